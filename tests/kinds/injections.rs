//! Injections: each is known by its bytes, ends where it is written over, and can be healed.

use std::fs;
use std::hint::black_box;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;
use std::thread;

use rustix::fs::FallocateFlags;
use serde_json::Value;
use slowfs::fault::injections::RotWords;
use slowfs::rpc::Injection;

use super::common::calls::Mapping;
use super::common::{Mount, slowfs, stdout_of, text_of, wait_for};
use super::{all_of, copied, expected, mount_with, open, persisted, told};

fn injections(mount: &Mount) -> Vec<Injection> {
    mount.client().injections(0, 1_000).unwrap().injections
}

fn states(mount: &Mount) -> Vec<String> {
    injections(mount).into_iter().map(|one| one.state).collect()
}

/// Heals all; what came of each.
fn healed(mount: &Mount) -> Vec<String> {
    let healed = mount.client().heal(&[], 0).unwrap();
    healed.into_iter().map(|one| one.outcome).collect()
}

fn sha(bytes: &[u8]) -> String {
    let dir = super::common::scratch();
    let file = dir.path().join("bytes");
    fs::write(&file, bytes).unwrap();
    stdout_of(Command::new("sha256sum").arg(&file))[..64].to_owned()
}

#[test]
fn each_injection_is_known_by_its_bytes_and_healed() {
    for (kind, spots) in [
        ("lost-write", 1),
        ("torn-write units:0,2", 2),
        ("torn-write prefix:1000 --and 'error EIO'", 1),
        ("corrupt flip --spots 3", 3),
        ("corrupt random --unit 1KiB --spots 2", 2),
        ("corrupt zero --hidden", 1),
        ("corrupt stale", 1),
    ] {
        for flags in [0, libc::O_DIRECT] {
            let mount = mount_with(&format!("{kind} -m write -r .*/f --name it"), 8192);
            let file = open(&mount, flags);
            assert_eq!(told(&mount), expected(8192, &[]), "and so it is cached");
            let _ = file.write_at(&black_box([b'b'; 2048]), 1024);
            let (is, should) = (persisted(&mount), expected(8192, &[(1024, 3072)]));
            let all = injections(&mount);
            assert_eq!(all.len(), spots, "{kind}");
            let mut right = is.clone();
            for one in &all {
                let place = one.offset as usize..(one.offset + one.len) as usize;
                assert_eq!(one.expected_sha256.as_deref(), Some(&*sha(&should[place.clone()])));
                assert_eq!(one.found_sha256.as_deref(), Some(&*sha(&is[place.clone()])), "{kind}");
                assert_eq!((one.state.as_str(), one.left), ("standing", one.len));
                assert_eq!((one.name.as_deref(), one.method.as_str()), (Some("it"), "write"));
                assert_eq!(one.kind, kind.split(' ').next().unwrap());
                assert_eq!(one.path.0, mount.raw().join("f"));
                assert_eq!(one.inode as u64, fs::metadata(&one.path.0).unwrap().ino());
                right[place.clone()].copy_from_slice(&should[place]);
            }
            assert_eq!(right, should, "{kind}: all that is wrong is known");
            mount.client().clear_all_faults().unwrap();
            assert_eq!(healed(&mount), vec!["healed"; spots], "{kind}");
            assert_eq!(persisted(&mount), should, "{kind}");
            let mut read = vec![0; 8192];
            file.read_exact_at(&mut read, 0).unwrap();
            assert_eq!(read, should, "{kind}: read(2) sees it");
            assert_eq!(states(&mount), vec!["healed"; spots], "{kind}");
        }
    }
}

#[test]
fn what_is_written_since_is_left_alone() {
    let mount = mount_with("lost-write -m write -r .*/f --count 1", 16384);
    let file = open(&mount, 0);
    file.write_all_at(&black_box([b'b'; 12288]), 0).unwrap();
    // The same bytes as are there: nobody could tell by them.
    file.write_all_at(&black_box([b'a'; 100]), 50).unwrap();
    let mut mapped = Mapping::new(&file, 8192, libc::MAP_SHARED).unwrap();
    mapped[4096..8192].fill(b'c');
    mapped.sync().unwrap();
    drop(mapped);
    rustix::fs::fallocate(&file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 8192, 512)
        .unwrap();
    assert_eq!(copied(&mount, 9000, 10), 10);
    file.set_len(12000).unwrap();
    file.set_len(12288).unwrap();
    let left = injections(&mount)[0].left;
    assert_eq!(left, 12000 - 100 - 4096 - 512 - 10);
    assert_eq!(healed(&mount), ["healed"]);
    let mut right = vec![b'b'; 12288];
    right[50..150].fill(b'a');
    right[4096..8192].fill(b'c');
    right[8192..8704].fill(0);
    right[12000..].fill(0);
    assert_eq!(persisted(&mount), right);
    assert_eq!(healed(&mount), [""; 0], "nothing is left");
}

#[test]
fn what_is_written_over_whole_is_over() {
    let mount = mount_with("corrupt flip -m write -r .*/f --count 1", 8192);
    let file = open(&mount, 0);
    file.write_all_at(&black_box([b'b'; 4096]), 0).unwrap();
    file.write_all_at(&black_box([b'c'; 4096]), 0).unwrap();
    assert_eq!(states(&mount), ["overwritten"]);
    assert_eq!(mount.client().heal(&[1], 0).unwrap()[0].outcome, "overwritten");
    assert_eq!(persisted(&mount)[..4096], [b'c'; 4096]);
    assert!(mount.client().heal(&[2], 0).unwrap_err().to_string().contains("no injection 2"));
}

#[test]
fn what_others_change_behind_the_mount_is_left_alone() {
    let mount = mount_with("corrupt zero -m write", 4096);
    open(&mount, 0).write_all_at(&black_box([b'b'; 4096]), 0).unwrap();
    fs::write(mount.raw().join("f"), [b'x'; 4096]).unwrap();
    assert_eq!(healed(&mount), ["overwritten"]);
    assert_eq!(persisted(&mount), [b'x'; 4096]);
}

#[test]
fn what_others_change_behind_the_mount_is_what_should_be_there_once_it_rots() {
    let mount = mount_with("corrupt zero -m write", 4096);
    open(&mount, 0).write_all_at(&black_box([b'b'; 4096]), 0).unwrap();
    // Some of it is as it was.
    let others: Vec<u8> = [b"x", [0].as_slice()].concat().repeat(2048);
    fs::write(mount.raw().join("f"), &others).unwrap();
    let words = RotWords { pattern: ".*/f".into(), how: "random".into(), ..RotWords::default() };
    let words = RotWords { spots: 8, ..words };
    assert_eq!(mount.client().rot(&words).unwrap().spots, 8);
    assert_ne!(persisted(&mount), others);
    assert!(healed(&mount).iter().all(|outcome| outcome == "healed"));
    assert_eq!(persisted(&mount), others);
}

/// Nothing stood when it arrived.
#[test]
fn a_write_that_was_held_ends_what_it_writes_over() {
    let mount = mount_with("hang -m write -r .*/f", 4096);
    let _clear = mount.clear_on_drop();
    let file = open(&mount, 0);
    thread::scope(|scope| {
        let writer = scope.spawn(|| file.write_all_at(&black_box([b'b'; 4096]), 0));
        wait_for("the write to be held", || {
            (mount.client().list_faults().unwrap()[0].held == 1).then_some(())
        });
        let words = RotWords { pattern: ".*/f".into(), ..RotWords::default() };
        assert_eq!(mount.client().rot(&words).unwrap().spots, 1);
        mount.clear();
        writer.join().unwrap().unwrap();
    });
    assert_eq!(states(&mount), ["overwritten"]);
    assert_eq!(persisted(&mount), [b'b'; 4096]);
}

#[test]
fn a_file_is_found_by_its_inode_or_where_it_was_last() {
    let mount = mount_with("corrupt flip -m write", 4096);
    fs::create_dir(mount.mnt().join("d")).unwrap();
    open(&mount, 0).write_all_at(&black_box([b'b'; 4096]), 0).unwrap();
    fs::rename(mount.mnt().join("f"), mount.mnt().join("d/g")).unwrap();
    fs::rename(mount.mnt().join("d"), mount.mnt().join("e")).unwrap();
    // Then the kernel forgets all files.
    fs::write("/proc/sys/vm/drop_caches", "2").unwrap();
    assert_eq!(healed(&mount), ["healed"]);
    assert_eq!(fs::read(mount.raw().join("e/g")).unwrap(), [b'b'; 4096]);
    let other = mount.mnt().join("other");
    fs::write(&other, [b'b'; 4096]).unwrap();
    fs::remove_file(&other).unwrap();
    fs::write(&other, [b'c'; 10]).unwrap();
    assert_eq!(healed(&mount), ["gone", "healed"]);
    assert_eq!(states(&mount), ["healed", "gone", "healed"]);
}

#[test]
fn what_was_only_answered_is_transient() {
    let mount = mount_with("corrupt flip -m read -r .*/f --count 1", 4096);
    let mut read = [0; 4096];
    open(&mount, 0).read_exact_at(&mut read, 0).unwrap();
    let one = injections(&mount).remove(0);
    let at = one.offset as usize;
    assert_eq!((one.state.as_str(), one.len, one.left), ("transient", 1, 0));
    assert_eq!(one.found_sha256, Some(sha(&read[at..=at])));
    assert_eq!(one.expected_sha256, Some(sha(b"a")));
    assert_eq!(healed(&mount), [""; 0]);
    let mount = mount_with("short 100 -m write --count 1", 0);
    assert_eq!(open(&mount, 0).write_at(&black_box([b'b'; 300]), 0).unwrap(), 100);
    let one = injections(&mount).remove(0);
    assert_eq!((one.state.as_str(), one.offset, one.len), ("transient", 100, 200));
    assert_eq!(mount.client().heal(&[1], 0).unwrap()[0].outcome, "transient");
}

#[test]
fn a_trace_names_the_injections_that_a_request_made() {
    for (fault, count) in [
        ("corrupt flip --spots 3 -m write", 3),
        ("corrupt zero --spots 2 -m read", 2),
        ("short 100 -m write", 1),
        ("short 100 -m read", 1),
        ("lost-write -m write --and 'delay 1ms'", 1),
        ("torn-write units:1 -m write --and 'error EIO'", 2),
        ("delay 1ms -m write", 0),
    ] {
        let mount = mount_with(&format!("{fault} -r .*/f --name it"), 8192);
        let device = ["device", "nvme", "--addr", &mount.addr];
        assert!(slowfs().args(device).output().unwrap().status.success());
        let file = open(&mount, 0);
        let mut client = mount.client();
        client.trace_start(&[], ".*/f", true).unwrap();
        let _ = file.write_at(&black_box([b'b'; 2048]), 0);
        let _ = file.read_at(&mut [0; 2048], 0);
        let hits: Vec<_> = all_of(&mut client).into_iter().flat_map(|event| event.hits).collect();
        let (own, other): (Vec<_>, Vec<_>) =
            hits.iter().partition(|hit| hit.name.as_deref() == Some("it"));
        assert!(!own.is_empty() && !other.is_empty(), "{fault}: {hits:?}");
        assert!(other.iter().all(|hit| hit.injection.is_empty()), "{fault}: {hits:?}");
        let ids: Vec<i64> = injections(&mount).iter().map(|one| one.id).collect();
        let named: Vec<i64> = own.iter().flat_map(|hit| hit.injection.clone()).collect();
        assert_eq!((&named, ids.len()), (&ids, count), "{fault}");
    }
}

#[test]
fn a_copy_is_healed_by_what_was_copied() {
    for kind in ["lost-write", "torn-write prefix:100", "corrupt random --spots 2"] {
        let mount = mount_with(&format!("{kind} -m write -r .*/f"), 8192);
        assert_eq!(copied(&mount, 1000, 4000), 4000);
        assert!(healed(&mount).iter().all(|outcome| outcome == "healed"), "{kind}");
        assert_eq!(persisted(&mount), expected(8192, &[(1000, 5000)]), "{kind}");
    }
}

fn rot(mount: &Mount, how: &str, spots: i64, hidden: bool) -> RotWords {
    let words = RotWords {
        pattern: ".*/[fg]".into(),
        how: how.into(),
        spots,
        seed: Some("7".into()),
        hidden,
        ..RotWords::default()
    };
    let rotted = mount.client().rot(&words).unwrap();
    assert_eq!((rotted.files, rotted.bytes, rotted.spots), (2, 16384, spots));
    assert!(rotted.failed.is_empty(), "{rotted:?}");
    words
}

#[test]
fn rot_spoils_what_is_stored_and_is_healed() {
    let tree = || {
        let mount = mount_with("error EIO -m bmap", 8192);
        fs::write(mount.raw().join("g"), [b'a'; 8192]).unwrap();
        mount
    };
    let both = |mount: &Mount| ["f", "g"].map(|name| fs::read(mount.raw().join(name)).unwrap());
    let right = [vec![b'a'; 8192], vec![b'a'; 8192]];
    let mount = tree();
    let file = open(&mount, 0);
    let mut read = vec![0; 8192];
    file.read_exact_at(&mut read, 0).unwrap();
    rot(&mount, "flip", 5, false);
    let spoilt = both(&mount);
    let bits = |all: &[Vec<u8>; 2]| -> u32 {
        all.concat().iter().map(|byte| (byte ^ b'a').count_ones()).sum()
    };
    assert_eq!(bits(&spoilt), 5);
    file.read_exact_at(&mut read, 0).unwrap();
    assert_eq!(read, spoilt[0], "read(2) sees it");
    let other = tree();
    rot(&other, "flip", 5, false);
    assert_eq!(both(&other), spoilt, "the same seed, the same bits");
    // What is wrong already is not what should be there.
    rot(&mount, "random", 32, true);
    assert!(healed(&mount).iter().all(|outcome| outcome == "healed"));
    assert_eq!(both(&mount), right);
    let time = || fs::metadata(mount.raw().join("g")).unwrap().modified().unwrap();
    let before = time();
    rot(&mount, "zero", 32, true);
    assert_eq!((time(), both(&mount)), (before, [vec![0; 8192], vec![0; 8192]]));
}

#[test]
fn the_commands_list_heal_and_rot() {
    let mount = mount_with("lost-write -m write --name it", 4096);
    let run = |args: &[&str]| {
        let mut command = slowfs();
        command.args(args).args(["--addr", &mount.addr]).output().unwrap()
    };
    assert!(text_of(&run(&["injections"])).contains("no injections"));
    open(&mount, 0).write_all_at(&black_box([b'b'; 100]), 7).unwrap();
    let table = text_of(&run(&["injections"]));
    assert!(table.contains("lost-write") && table.contains("standing"), "{table}");
    let json: Value = serde_json::from_slice(&run(&["injections", "--json"]).stdout).unwrap();
    let one = &json["injections"][0];
    assert_eq!((&one["offset"], &one["len"], &one["name"]), (&7.into(), &100.into(), &"it".into()));
    let healed = run(&["heal", "--all"]);
    assert_eq!(text_of(&healed).trim(), "1 healed");
    assert_eq!(persisted(&mount), expected(4096, &[(7, 107)]));
    assert_eq!(text_of(&run(&["heal", "--all"])).trim(), "nothing to heal");
    assert_eq!(run(&["rot"]).status.code(), Some(2), "of no files");
    let rotted = text_of(&run(&["rot", "zero", "-r", ".*/f", "--spots", "2", "--seed", "1"]));
    assert!(rotted.contains("2 spots changed in 1 file of 4096 bytes, with seed 1"), "{rotted}");
    assert_eq!(run(&["heal", "99"]).status.code(), Some(1));
    for wrong in [["rot", "stale", "-r", "x"], ["rot", "--unit=500", "-r", "x"]] {
        let refused = run(&wrong);
        assert_eq!(refused.status.code(), Some(2), "{}", text_of(&refused));
    }
}
