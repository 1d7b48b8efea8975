//! What a trace says of each request: its names, its open file, its flags.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::thread;

use rustix::fs::FallocateFlags;
use slowfs::rpc::{TraceEvent, WirePath};

use super::common::trace::drain;
use super::common::{Mount, hanging, wait_for};
use super::tracing;

/// One of a directory's files, as a trace names it.
fn backing(mount: &Mount, name: &str) -> Option<String> {
    Some(mount.raw().join(name).display().to_string())
}

/// The events of that method, each with its two paths.
fn named(events: &[TraceEvent], method: &str) -> Vec<[Option<String>; 2]> {
    let text = |path: &Option<WirePath>| Some(path.as_ref()?.0.display().to_string());
    let of_method = events.iter().filter(|event| event.method == method);
    of_method.map(|event| [text(&event.path), text(&event.other)]).collect()
}

#[test]
fn names_are_those_at_arrival_the_source_first() {
    let mount = Mount::new();
    let mnt = mount.mnt();
    let mut client = tracing(&mount);
    fs::write(mnt.join("a"), "0123456789").unwrap();
    fs::hard_link(mnt.join("a"), mnt.join("b")).unwrap();
    fs::rename(mnt.join("b"), mnt.join("c")).unwrap();
    let (from, to) = (File::open(mnt.join("c")).unwrap(), File::create(mnt.join("d")).unwrap());
    let copied = rustix::fs::copy_file_range(&from, Some(&mut 2), &to, Some(&mut 5), 4);
    assert_eq!(copied, Ok(4));
    // Held, and meanwhile its file comes to be called otherwise.
    let hang = mount.add(&hanging(&["open"]));
    thread::scope(|scope| {
        let _cleared = mount.clear_on_drop();
        let held = scope.spawn(|| File::open(mnt.join("d")).unwrap());
        wait_for("the open to be held", || (mount.listed(hang).held == 1).then_some(()));
        fs::rename(mnt.join("d"), mnt.join("e")).unwrap();
        mount.clear();
        held.join().unwrap();
    });
    let (events, _) = drain(&mut client);
    let named = |method| named(&events, method);
    let name = |name| backing(&mount, name);
    assert_eq!(named("link"), [[name("a"), name("b")]]);
    assert_eq!(named("rename"), [[name("b"), name("c")], [name("d"), name("e")]]);
    assert_eq!(named("copy_file_range"), [[name("c"), name("d")]]);
    assert_eq!(named("open"), [[name("c"), None], [name("d"), None]]);
    // What it writes is of the target.
    let copy = events.iter().find(|event| event.method == "copy_file_range").unwrap();
    assert_eq!((copy.offset, copy.len, copy.bytes), (Some(5), Some(4), 4), "{copy:?}");
    let target = fs::metadata(mnt.join("e")).unwrap().ino();
    assert_eq!(copy.inode as u64, target, "{copy:?}");
}

/// A reader is shown what arrived under a name that it asked for, whatever that is called when it is
/// answered; and no more.
#[test]
fn a_reader_is_shown_what_arrived_under_the_names_that_it_wants() {
    let mount = Mount::new();
    let (mnt, mut client) = (mount.mnt(), mount.client());
    fs::write(mnt.join("before"), "x").unwrap();
    let hang = mount.add(&hanging(&["open"]));
    client.trace_start(&["open".to_owned()], ".*/before", false).unwrap();
    thread::scope(|scope| {
        let _cleared = mount.clear_on_drop();
        let held = |n| mount.listed(hang).held == n;
        let first = scope.spawn(|| File::open(mnt.join("before")).unwrap());
        wait_for("the first to be held", || held(1).then_some(()));
        fs::rename(mnt.join("before"), mnt.join("after")).unwrap();
        let second = scope.spawn(|| File::open(mnt.join("after")).unwrap());
        wait_for("the second to be held", || held(2).then_some(()));
        fs::rename(mnt.join("after"), mnt.join("before")).unwrap();
        mount.clear();
        let _ = (first.join().unwrap(), second.join().unwrap());
    });
    let (events, _) = drain(&mut client);
    assert_eq!(named(&events, "open"), [[backing(&mount, "before"), None]]);
}

#[test]
fn requests_tell_their_open_file_and_how_it_was_opened() {
    let mount = Mount::new();
    let (mnt, mut client) = (mount.mnt(), tracing(&mount));
    fs::create_dir(mnt.join("dir")).unwrap();
    let mut options = OpenOptions::new();
    options.read(true).append(true).custom_flags(libc::O_DSYNC);
    let file = options.create_new(true).open(mnt.join("file")).unwrap();
    (&file).write_all(b"0123456789").unwrap();
    file.set_len(4).unwrap();
    rustix::fs::seek(&file, rustix::fs::SeekFrom::Hole(0)).unwrap();
    rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, 100).unwrap();
    file.sync_all().unwrap();
    let again = options.create_new(false).open(mnt.join("file")).unwrap();
    drop(again);
    drop(file);
    fs::read_dir(mnt.join("dir")).unwrap().for_each(drop);
    let mut events = Vec::new();
    wait_for("all to be released", || {
        events.extend(drain(&mut client).0);
        let released = |method| events.iter().filter(|e: &&TraceEvent| e.method == method).count();
        (released("release") == 2 && released("releasedir") == 1).then_some(())
    });
    let of = |method: &str| events.iter().filter(|e| e.method == method).collect::<Vec<_>>();
    let asked = libc::O_APPEND | libc::O_DSYNC;
    for method in ["create", "open"] {
        let [opened] = of(method)[..] else { panic!("one {method}") };
        assert_eq!(opened.flags & asked, asked, "{opened:?}");
        assert_eq!(opened.handle, None, "there is none yet");
    }
    let handle = of("write")[0].handle.unwrap();
    for method in ["write", "ftruncate", "lseek", "fallocate", "fsync", "flush", "release"] {
        let [first, ..] = of(method)[..] else { panic!("no {method}") };
        let by_own = of(method).iter().any(|event| event.handle == Some(handle));
        assert!(by_own && first.handle.is_some(), "{method}: {first:?}");
    }
    for released in of("release") {
        assert_eq!(released.flags & asked, asked, "{released:?}");
    }
    let dir = of("readdir")[0].handle;
    assert!(dir.is_some() && of("releasedir")[0].handle == dir);
}
