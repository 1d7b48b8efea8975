//! Filters of every fault.

use std::os::unix::fs::FileExt;

use super::common::calls::Mapping;
use super::common::errno_of;
use super::{EIO, mount_with, open, persisted};

#[test]
fn filters_let_only_their_own_requests_through() {
    let mount = mount_with("error EIO -m write -r .*/f --uid 0", 8192);
    let file = open(&mount, 0);
    assert_eq!(errno_of(file.write_at(b"b", 0)), EIO);
    let mut mapped = Mapping::new(&file, 8192, libc::MAP_SHARED).unwrap();
    mapped[0] = b'm';
    mapped.sync().unwrap();
    assert_eq!(persisted(&mount)[0], b'm', "written back by nobody");
    drop((mapped, file));
    // Past the cache, as the kernel parts what goes through it at its pages.
    let mount = mount_with("error EIO -m write -r .*/f --range 4KiB..5KiB --size ..200", 8192);
    let file = open(&mount, libc::O_DIRECT);
    for (offset, len, fails) in
        [(0, 100, false), (4000, 96, false), (4000, 97, true), (5119, 1, true), (5120, 9, false)]
    {
        let written = file.write_at(&vec![b'b'; len], offset);
        assert_eq!(written.is_err(), fails, "{offset} {len}");
    }
    assert!(file.write_at(&[b'b'; 200], 4096).is_ok(), "too large");
    let mount = mount_with("error EIO -m write -r .*/f --flags sync", 8192);
    assert!(open(&mount, 0).write_at(b"b", 0).is_ok());
    assert_eq!(errno_of(open(&mount, libc::O_SYNC).write_at(b"b", 0)), EIO);
}

#[test]
fn a_read_filtered_by_its_bytes_is_met_past_the_cache() {
    let mount = mount_with("error EIO -m read -r .*/f --range 4KiB..5KiB", 8192);
    let file = open(&mount, 0);
    let mut read = [0; 100];
    assert!(file.read_at(&mut read, 0).is_ok());
    assert_eq!(errno_of(file.read_at(&mut read, 4096)), EIO);
    assert!(file.read_at(&mut read, 5120).is_ok());
}
