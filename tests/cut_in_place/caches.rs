//! What the kernel and programs have of before the cut: handles, pages, node ids.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use libc::{EIO, ESTALE};

use super::common::calls::Mapping;
use super::common::errno_of;
use super::{cut, durable, open, tracking};

#[test]
fn what_was_open_fails_and_what_is_opened_anew_has_what_was_durable() {
    for flags in [0, libc::O_DIRECT, libc::O_APPEND] {
        let (mount, _) = tracking(&[]);
        let path = durable(&mount, "f");
        let file = open(&path, flags);
        let mut page = Page([b'n'; 4096]);
        let at = if flags == libc::O_APPEND { 4096 } else { 0 };
        file.write_all_at(&page.0, at).unwrap();
        let directory = File::open(mount.mnt()).unwrap();
        let lost = cut(&mount);
        assert_eq!((lost.reverted, lost.off, lost.cuts), (1, false, 1));
        assert_eq!(errno_of(file.read_at(&mut page.0, 0)), EIO, "{flags:o}");
        assert_eq!(errno_of(file.write_at(&page.0, 0)), EIO, "{flags:o}");
        assert_eq!(errno_of(file.sync_all()), EIO, "{flags:o}");
        assert!([EIO, ESTALE].contains(&errno_of(file.metadata())), "{flags:o}");
        assert_eq!(errno_of(directory.sync_all()), EIO);
        drop((file, directory));
        let file = open(&path, flags);
        assert_eq!(file.read_at(&mut page.0, 0).unwrap(), 4096);
        assert!(page.0 == [b'o'; 4096] && file.metadata().unwrap().len() == 4096, "{flags:o}");
        file.write_all_at(&page.0, 0).unwrap();
        file.sync_all().unwrap();
        let told = mount.client().unsynced().unwrap();
        assert_eq!((told.cuts, told.off), (1, false));
    }
}

/// A page that O_DIRECT takes.
#[repr(align(4096))]
struct Page([u8; 4096]);

/// What the kernel has cached of the old file is not met by the new one, nor does it reach the disk.
#[test]
fn what_is_stored_into_a_mapping_is_gone_with_its_pages() {
    for direct in [false, true] {
        let options: &[&str] = if direct { &["--direct-io"] } else { &[] };
        let (mount, _) = tracking(options);
        let path = durable(&mount, "f");
        let file = open(&path, 0);
        let Ok(mut mapped) = Mapping::new(&file, 4096, libc::MAP_SHARED) else {
            assert!(direct, "a cached file is mapped");
            continue;
        };
        file.write_all_at(b"w", 0).unwrap();
        mapped[1] = b'd';
        cut(&mount);
        // The page is gone; to store there again would be SIGBUS.
        let again = open(&path, 0);
        let mut read = [0; 4096];
        again.read_exact_at(&mut read, 0).unwrap();
        assert!(read == [b'o'; 4096], "{:?}", &read[..2]);
        again.sync_all().unwrap();
        let mut mapped_again = Mapping::new(&again, 4096, libc::MAP_SHARED).unwrap();
        assert_eq!(mapped_again[0], b'o');
        mapped_again[2] = b'2';
        mapped_again.sync().unwrap();
        again.sync_all().unwrap();
        assert_eq!(&fs::read(mount.raw().join("f")).unwrap()[..3], b"oo2");
        assert_eq!(errno_of(file.sync_all()), EIO);
        drop(mapped);
    }
}

/// A working directory is a name that nobody looks up anew.
#[test]
fn a_directory_that_was_looked_up_before_is_stale_and_the_root_never() {
    let (mount, _) = tracking(&[]);
    let (mnt, dir) = (mount.mnt(), mount.mnt().join("d"));
    fs::create_dir(&dir).unwrap();
    mount.client().checkpoint().unwrap();
    let path = |dir: &Path| {
        let flags = rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY;
        rustix::fs::open(dir, flags, rustix::fs::Mode::empty()).unwrap()
    };
    let (root, within) = (path(&mnt), path(&dir));
    cut(&mount);
    let make = |at: &_| {
        let made = rustix::fs::mkdirat(at, "new", rustix::fs::Mode::RWXU);
        made.map_err(io::Error::from)
    };
    assert_eq!(errno_of(make(&within)), ESTALE);
    make(&root).unwrap();
    make(&path(&dir)).unwrap();
}
