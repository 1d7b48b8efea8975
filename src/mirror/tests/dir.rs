//! Listings.

use std::collections::BTreeSet;
use std::os::unix::fs::{DirEntryExt, MetadataExt};

use rustix::fs::FileType;

use super::*;

/// Lists everything, `at_once` entries a call.
fn list(disk: &Disk, fh: Fh, at_once: usize) -> Vec<(String, u64)> {
    let mut all = Vec::new();
    let mut offset = 0;
    loop {
        let before = all.len();
        disk.mirror
            .readdir(fh, offset, &mut |entry| {
                if all.len() == before + at_once {
                    return true;
                }
                offset = entry.offset;
                all.push((entry.name.to_str().unwrap().to_owned(), entry.shown));
                false
            })
            .unwrap();
        if all.len() == before {
            return all;
        }
    }
}

#[test]
fn listing_shows_names_numbers_and_kinds() {
    let disk = Disk::new();
    let dir = disk.make_dir("d");
    disk.make_file("d/f");
    std::os::unix::fs::symlink("x", disk.backing.join("d/s")).unwrap();
    let fh = disk.mirror.opendir(dir).unwrap();
    let mut seen = BTreeSet::new();
    let mut kinds = Vec::new();
    disk.mirror
        .readdir(fh, 0, &mut |entry| {
            seen.insert((entry.name.to_str().unwrap().to_owned(), entry.shown));
            kinds.push(entry.kind);
            false
        })
        .unwrap();
    let mut expected: BTreeSet<_> = fs::read_dir(disk.backing.join("d"))
        .unwrap()
        .map(|e| e.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), e.ino()))
        .collect();
    expected.insert((".".into(), dir.0));
    expected.insert(("..".into(), disk.backing.metadata().unwrap().ino()));
    assert_eq!(seen, expected);
    for kind in [FileType::Directory, FileType::RegularFile, FileType::Symlink] {
        assert!(kinds.contains(&kind));
    }
    disk.mirror.fsync(fh, false).unwrap();
    disk.mirror.releasedir(fh).unwrap();
    assert_eq!(code(disk.mirror.opendir(disk.walk("d/f"))), libc::ENOTDIR);
}

#[test]
fn listing_goes_on_at_any_offset() {
    let disk = Disk::new();
    for n in 0..500 {
        disk.touch(&format!("file-with-a-rather-long-name-{n}"));
    }
    let fh = disk.mirror.opendir(ROOT).unwrap();
    let all = list(&disk, fh, usize::MAX);
    assert_eq!(all.len(), 502);
    assert_eq!(list(&disk, fh, 7), all);
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 502);
}

#[test]
fn entries_that_stay_are_listed_once_while_others_come_and_go() {
    let disk = Disk::new();
    (0..200).for_each(|n| disk.touch(&format!("stay{n}")));
    (0..200).for_each(|n| disk.touch(&format!("go{n}")));
    let fh = disk.mirror.opendir(ROOT).unwrap();
    let (mut seen, mut offset, mut round) = (Vec::new(), 0, 0);
    loop {
        let before = seen.len();
        disk.mirror
            .readdir(fh, offset, &mut |entry| {
                if seen.len() == before + 10 {
                    return true;
                }
                offset = entry.offset;
                seen.push(entry.name.to_owned());
                false
            })
            .unwrap();
        if seen.len() == before {
            break;
        }
        for n in (round * 5)..(round * 5 + 5) {
            let _ = disk.mirror.unlink(ROOT, os(&format!("go{n}")));
            disk.touch(&format!("new{n}"));
        }
        round += 1;
    }
    let stayed: Vec<_> = seen.iter().filter(|name| name.as_bytes().starts_with(b"stay")).collect();
    assert_eq!(stayed.len(), 200);
    assert_eq!(stayed.iter().collect::<BTreeSet<_>>().len(), 200);
}

#[test]
fn readdirplus_counts_what_fitted_and_nothing_else() {
    let disk = Disk::new();
    (0..10).for_each(|n| disk.touch(&format!("f{n}")));
    let fh = disk.mirror.opendir(ROOT).unwrap();
    let (mut taken, mut refused, mut dots) = (Vec::new(), None, 0);
    disk.mirror
        .readdirplus(fh, 0, &mut |entry, looked_up| {
            if entry.is_dot() {
                dots += 1;
                return false;
            }
            assert_eq!(looked_up.ino.0, entry.shown);
            if taken.len() == 4 {
                refused = Some(looked_up.ino);
                return true;
            }
            taken.push(looked_up.ino);
            false
        })
        .unwrap();
    let refused = refused.unwrap();
    taken.iter().for_each(|ino| assert_eq!(disk.lookups(*ino), 1));
    assert_eq!(disk.lookups(refused), 0);
    assert_eq!(disk.mirror.table.len(), 5, "what did not fit is not kept");
    assert!(dots <= 2);
}

#[test]
fn readdirplus_of_a_known_inode_adds_to_its_count() {
    let disk = Disk::new();
    let ino = disk.make_file("a");
    let fh = disk.mirror.opendir(ROOT).unwrap();
    disk.mirror.readdirplus(fh, 0, &mut |_, _| false).unwrap();
    assert_eq!(disk.lookups(ino), 2);
    disk.mirror.readdirplus(fh, 0, &mut |_, _| true).unwrap();
    assert_eq!(disk.lookups(ino), 2);
}

#[test]
fn listings_on_one_handle_do_not_disturb_each_other() {
    let disk = Disk::new();
    (0..50).for_each(|n| disk.touch(&format!("f{n}")));
    let fh = disk.mirror.opendir(ROOT).unwrap();
    let mut outer = 0;
    disk.mirror
        .readdir(fh, 0, &mut |_| {
            outer += 1;
            assert_eq!(list(&disk, fh, 20).len(), 52);
            false
        })
        .unwrap();
    assert_eq!(outer, 52);
    assert_eq!(list(&disk, fh, 20).len(), 52);
}

#[test]
fn rewound_listing_shows_what_is_there_now() {
    let disk = Disk::new();
    let fh = disk.mirror.opendir(ROOT).unwrap();
    assert_eq!(list(&disk, fh, 100).len(), 2);
    disk.touch("new");
    assert_eq!(list(&disk, fh, 100).len(), 3);
}
