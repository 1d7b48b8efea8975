//! `bad-sector`: what is bad cannot be read until it is written whole, and all else can.

use std::fs::{self, File};
use std::hint::black_box;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use rustix::fs::Advice;

use super::common::{Mount, errno_of, slowfs, stdout_of};
use super::{EIO, mount_with, open};

const PAGE: usize = 4096;
const PAGES: usize = 16;

/// Page 5 of 16 is bad.
const FIFTH: &str = "bad-sector --range 20KiB..24KiB -r .*/f";

/// Has the kernel forget the pages of a file.
fn drop_pages(file: &File) {
    rustix::fs::fadvise(file, 0, None, Advice::DontNeed).unwrap();
}

/// What each page of the file is when it is read by itself: its first byte, or none if it cannot be.
fn pages(file: &File) -> Vec<Option<u8>> {
    drop_pages(file);
    let read = |page: usize| {
        let mut bytes = [0; PAGE];
        match file.read_exact_at(&mut bytes, (page * PAGE) as u64) {
            Ok(()) => Some(bytes[0]),
            failed => {
                assert_eq!(errno_of(failed), EIO);
                None
            }
        }
    };
    (0..PAGES).map(read).collect()
}

/// Pages of `a`, but for the fifth.
fn but_for_the_fifth(fifth: Option<u8>) -> Vec<Option<u8>> {
    (0..PAGES).map(|page| if page == 5 { fifth } else { Some(b'a') }).collect()
}

#[test]
fn page_five_of_sixteen_cannot_be_read_and_no_other() {
    let mount = mount_with(FIFTH, PAGES * PAGE);
    for flags in [0, libc::O_DIRECT] {
        let file = open(&mount, flags);
        for _ in 0..2 {
            assert_eq!(pages(&file), but_for_the_fifth(None), "{flags:o}");
        }
        // Ahead of time, and across: the page cache has what comes before, a request past it fails whole.
        drop_pages(&file);
        rustix::fs::fadvise(&file, 0, None, Advice::WillNeed).unwrap();
        let mut bytes = vec![0; PAGES * PAGE];
        match flags {
            0 => assert_eq!(file.read_at(&mut bytes, 0).unwrap(), 5 * PAGE),
            _ => assert_eq!(errno_of(file.read_at(&mut bytes, 0)), EIO),
        }
        assert_eq!(errno_of(file.read_at(&mut bytes, 5 * PAGE as u64)), EIO, "{flags:o}");
        assert_eq!(pages(&file), but_for_the_fifth(None), "{flags:o}");
    }
}

#[test]
fn a_write_of_all_of_it_heals_it_and_one_of_a_part_does_not() {
    for (flags, sticky) in [(0, false), (libc::O_DIRECT, false), (0, true)] {
        let fault = if sticky { format!("{FIFTH} --sticky") } else { FIFTH.to_owned() };
        let mount = mount_with(&format!("{fault} --unit 4KiB"), PAGES * PAGE);
        let file = open(&mount, flags);
        file.write_all_at(&black_box([b'b'; PAGE - 1]), 5 * PAGE as u64).unwrap();
        file.write_all_at(b"b", 6 * PAGE as u64 - 1).unwrap();
        assert_eq!(pages(&file), but_for_the_fifth(None), "{flags:o}");
        file.write_all_at(&black_box([b'c'; PAGE]), 5 * PAGE as u64).unwrap();
        let healed = (!sticky).then_some(b'c');
        assert_eq!(pages(&file), but_for_the_fifth(healed), "{flags:o} {sticky}");
    }
}

#[test]
fn a_mapped_page_that_is_bad_is_a_bus_error() {
    let mount = mount_with(FIFTH, PAGES * PAGE);
    let script = "import mmap, sys\n\
                  f = open(sys.argv[1], 'rb')\n\
                  m = mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ)\n\
                  print(sum(m[n * 4096] for n in range(16) if n != 5 or len(sys.argv) > 2))";
    let read = |more: &[&str]| {
        let path = mount.mnt().join("f");
        Command::new("python3").args(["-c", script]).arg(path).args(more).output().unwrap()
    };
    let spared = read(&[]);
    assert_eq!(String::from_utf8_lossy(&spared.stdout).trim(), "1455", "{spared:?}");
    assert_eq!(read(&["all"]).status.signal(), Some(libc::SIGBUS));
    open(&mount, 0).write_all_at(&black_box([b'a'; PAGE]), 5 * PAGE as u64).unwrap();
    assert_eq!(String::from_utf8_lossy(&read(&["all"]).stdout).trim(), "1552");
}

#[test]
fn a_copy_cannot_read_it_and_heals_where_it_writes() {
    let mount = mount_with(FIFTH, PAGES * PAGE);
    fs::write(mount.raw().join("g"), vec![b'b'; PAGES * PAGE]).unwrap();
    let f = open(&mount, 0);
    let g = File::options().read(true).write(true).open(mount.mnt().join("g")).unwrap();
    let copy = |from: &File, to: &File, at: usize| {
        let (mut from_at, mut to_at) = (at as u64, at as u64);
        let copied =
            rustix::fs::copy_file_range(from, Some(&mut from_at), to, Some(&mut to_at), PAGE);
        copied.map_err(rustix::io::Errno::raw_os_error)
    };
    assert_eq!(copy(&f, &g, 5 * PAGE), Err(EIO));
    assert_eq!(copy(&f, &g, 4 * PAGE), Ok(PAGE));
    assert_eq!(copy(&g, &f, 5 * PAGE), Ok(PAGE));
    assert_eq!(pages(&f), but_for_the_fifth(Some(b'b')));
    assert_eq!(copy(&f, &g, 5 * PAGE), Ok(PAGE));
}

#[test]
fn what_is_cached_is_read_from_there_and_files_are_opened_as_ever() {
    let mount = Mount::new();
    fs::write(mount.raw().join("f"), vec![b'a'; PAGES * PAGE]).unwrap();
    let mut bytes = vec![0; PAGES * PAGE];
    // Whoever needs memory may have the kernel drop pages in between.
    let kept = (0..20).any(|_| {
        mount.clear();
        let file = open(&mount, 0);
        file.read_exact_at(&mut bytes, 0).unwrap();
        let bad = ["bad-sector", "--density", "1", "-r", ".*/f", "--addr", &mount.addr];
        stdout_of(slowfs().args(bad));
        let again = open(&mount, 0);
        let read = [&file, &again].map(|file| file.read_exact_at(&mut bytes, 0).is_ok());
        let fault = mount.client().list_faults().unwrap().remove(0);
        assert_eq!(fault.past_cache, 0, "{fault:?}");
        drop_pages(&again);
        assert_eq!(errno_of(again.read_at(&mut bytes, 0)), EIO);
        read == [true; 2] && fault.matched == 0
    });
    assert!(kept, "reads of cached pages arrive");
}

#[test]
fn the_same_seed_has_the_same_bad_sectors_of_the_same_files() {
    const FAULT: &str = "bad-sector --density 20% --unit 4KiB --name bad";
    let mut mount = Mount::new();
    fs::write(mount.raw().join("f"), vec![b'a'; PAGES * PAGE]).unwrap();
    let mut bad = |seed: &str| {
        mount.stop();
        mount.start(&["--seed", seed, "--fault", FAULT]);
        let pages = pages(&open(&mount, 0));
        (0..PAGES).filter(|page| pages[*page].is_none()).collect::<Vec<_>>()
    };
    let seeds = ["1", "2", "3", "4"];
    let first = seeds.map(&mut bad);
    assert_eq!(first, seeds.map(&mut bad));
    let mut distinct = first.to_vec();
    distinct.sort();
    distinct.dedup();
    assert!(distinct.len() > 1, "of 16 pages a fifth is bad: {first:?}");
}

#[test]
fn what_was_written_to_its_end_can_be_read_to_its_end() {
    let mount = mount_with("bad-sector --density 1", 1000);
    for flags in [0, libc::O_DIRECT] {
        let old = open(&mount, flags);
        let mut bytes = [0; PAGE];
        assert_eq!(errno_of(old.read_at(&mut bytes, 0)), EIO, "{flags:o}");
        assert_eq!(old.read_at(&mut bytes, PAGE as u64).unwrap(), 0, "{flags:o}: behind the end");
        let path = mount.mnt().join(format!("new{flags}"));
        let mut options = File::options();
        options.read(true).write(true).create_new(true).custom_flags(flags);
        let new = options.open(&path).unwrap();
        assert_eq!(new.read_at(&mut bytes, 0).unwrap(), 0, "{flags:o}: it is empty");
        for (start, end) in [(0, 1000), (1000, 1700), (1700, 5001)] {
            new.write_all_at(&vec![b'n'; end - start], start as u64).unwrap();
            drop_pages(&new);
            let mut all = vec![0; end];
            new.read_exact_at(&mut all, 0).unwrap();
            assert!(all.iter().all(|byte| *byte == b'n'), "{flags:o} {end}");
        }
    }
}
