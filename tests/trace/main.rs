//! The trace against what is known otherwise: what programs did, and how often faults fired.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod command;
mod requests;
mod strace;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::trace::drain;
use common::{Mount, delaying, errno_of, failing, fault_on, hanging, wait_for};
use slowfs::fault::FaultWords;
use slowfs::rpc::{Client, TraceEvent};

fn tracing(mount: &Mount) -> Client {
    let mut client = mount.client();
    client.trace_start(&[], "", false).unwrap();
    client
}

fn name_of(event: &TraceEvent) -> String {
    let path = event.path.as_ref().expect("a path");
    path.0.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What each thread does to a file of its own, and the lines that tell it.
fn live(dir: &Path, n: usize) -> Vec<String> {
    let (name, path) = (format!("file{n}"), dir.join(format!("file{n}")));
    let mut lines = vec![format!("create {name}")];
    let mut file = File::create_new(&path).unwrap();
    for round in 0..20 {
        // The kernel cuts a write into pieces of 1 MiB.
        let len = if round == 0 { 3 << 20 } else { 100 + round };
        let at = file.metadata().unwrap().len();
        file.write_all(&vec![1; len]).unwrap();
        let pieces = (0..len).step_by(1 << 20);
        lines.extend(pieces.map(|piece| {
            format!("write {name} {} at {}", (len - piece).min(1 << 20), at as usize + piece)
        }));
        if round % 5 == 0 {
            file.sync_all().unwrap();
            lines.push(format!("fsync {name}"));
        }
        if round % 7 == 0 {
            file.sync_data().unwrap();
            lines.push(format!("fdatasync {name}"));
        }
    }
    fs::rename(&path, dir.join(format!("moved{n}"))).unwrap();
    fs::rename(dir.join(format!("moved{n}")), &path).unwrap();
    fs::remove_file(&path).unwrap();
    lines.extend([
        format!("rename {name} to moved{n}"),
        format!("rename moved{n} to {name}"),
        format!("unlink {name}"),
    ]);
    lines
}

fn line_of(event: &TraceEvent) -> String {
    let (method, name) = (&event.method, name_of(event));
    match method.as_str() {
        "write" => format!("{method} {name} {} at {}", event.bytes, event.offset.unwrap()),
        "rename" => {
            let other = event.other.as_ref().unwrap().0.file_name().unwrap();
            format!("{method} {name} to {}", other.to_string_lossy())
        }
        _ => format!("{method} {name}"),
    }
}

/// Each request of a program is there once, in the order of its file, with times that agree.
#[test]
fn what_programs_do_is_there_in_order() {
    const THREADS: usize = 4;
    let mount = Mount::new();
    let mnt = mount.mnt();
    let mut client = tracing(&mount);
    let lived: Vec<Vec<String>> = thread::scope(|scope| {
        let mnt = &mnt;
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || live(mnt, n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let (events, dropped) = drain(&mut client);
    assert_eq!(dropped, 0);
    let told = ["create", "write", "fsync", "fdatasync", "rename", "unlink"];
    for (n, lived) in lived.iter().enumerate() {
        let of_file = events.iter().filter(|event| {
            let own = |name: String| name == format!("file{n}") || name == format!("moved{n}");
            told.contains(&event.method.as_str()) && own(name_of(event))
        });
        assert_eq!(&of_file.map(line_of).collect::<Vec<_>>(), lived);
    }
    let seqs: Vec<_> = events.iter().map(|event| event.seq).collect();
    assert_eq!(seqs, (1..=events.len() as i64).collect::<Vec<_>>());
    for event in events {
        let backing = event.backing_ns.expect("it ran");
        assert!(event.t_ns + backing <= event.done_ns && backing >= 0, "{event:?}");
        assert!(event.hits.is_empty(), "{event:?}");
    }
}

/// Of how many lines each fault is told.
fn hits(events: &[TraceEvent]) -> BTreeMap<i64, i64> {
    let mut hits = BTreeMap::new();
    let all = events.iter().flat_map(|event| &event.hits);
    all.for_each(|hit| *hits.entry(hit.id).or_default() += 1);
    hits
}

/// How often each fault has fired, gone or not.
fn fired(mount: &Mount) -> BTreeMap<i64, i64> {
    let mut client = mount.client();
    let faults = [client.list_faults().unwrap(), client.list_ended().unwrap()].concat();
    faults.into_iter().filter(|f| f.fired > 0).map(|f| (f.id, f.fired)).collect()
}

#[test]
fn lines_with_a_hit_are_as_many_as_the_faults_fired() {
    let mount = Mount::with(&["--seed", "7"]);
    let mnt = mount.mnt();
    // A rename that is held holds its directory.
    fs::create_dir(mnt.join("apart")).unwrap();
    let cached = mnt.join("cached");
    fs::write(&cached, vec![1; 1 << 16]).unwrap();
    let cached = File::open(&cached).unwrap();
    cached.read_exact_at(&mut vec![0; 1 << 16], 0).unwrap();
    let mut client = tracing(&mount);
    let half = |fault: FaultWords| fault.with("probability", "50%");
    let delay = mount.add(&half(delaying(&["write"], Duration::from_millis(1))));
    let error = mount.add(&half(failing(&["mkdir"], "ENOSPC")));
    let both = mount.add(&delaying(&["rmdir"], Duration::from_millis(2)).and("error", "EBUSY"));
    let read = mount.add(&half(failing(&["read"], "EIO")));
    let kill = mount.add(&fault_on(&["fsync"]).and("kill", "").with("count", "1"));
    let hang = mount.add(&hanging(&["rename"]));
    fs::write(mnt.join("killed"), "x").unwrap();
    let killed = Command::new("sync").arg(mnt.join("killed")).status().unwrap();
    assert!(!killed.success());
    fs::write(mnt.join("apart/from"), "x").unwrap();
    thread::scope(|scope| {
        let _cleared = mount.clear_on_drop();
        let (mnt, cached) = (&mnt, &cached);
        let renamed = scope.spawn(move || fs::rename(mnt.join("apart/from"), mnt.join("apart/to")));
        let threads: Vec<_> = (0..4)
            .map(|n| {
                scope.spawn(move || {
                    let path = mnt.join(format!("file{n}"));
                    let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
                    for round in 0..50 {
                        file.write_all(b"x").unwrap();
                        let dir = mnt.join(format!("dir{n}-{round}"));
                        if fs::create_dir(&dir).is_ok() {
                            assert_eq!(errno_of(fs::remove_dir(dir)), libc::EBUSY);
                        }
                        let _ = cached.read_at(&mut [0; 4096], 4096 * (round % 16));
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        wait_for("the rename to be held", || (mount.listed(hang).held == 1).then_some(()));
        assert!(mount.client().remove_fault(&hang.to_string()).unwrap());
        renamed.join().unwrap().unwrap();
    });
    let (events, dropped) = drain(&mut client);
    let fired = fired(&mount);
    assert_eq!((hits(&events), dropped), (fired.clone(), 0));
    assert_eq!(fired[&kill] + fired[&hang], 2);
    for id in [delay, error, both, read] {
        assert!(fired[&id] > 20, "fault {id} fired {} times", fired[&id]);
    }
    for (event, hit) in events.iter().flat_map(|e| e.hits.iter().map(move |hit| (e, hit))) {
        let asked = |ns| hit.asked_ns == Some(ns) && hit.due_ns == Some(event.t_ns + ns);
        let told = format!("{event:?}");
        match hit.id {
            id if id == delay => {
                assert!(asked(1_000_000) && hit.action == "held", "{told}");
                assert!(event.done_ns >= hit.due_ns.unwrap() && event.result == "ok", "{told}");
            }
            id if id == error => {
                assert!(hit.action == "failed" && hit.asked_ns.is_none(), "{told}");
                assert!(event.result == "ENOSPC" && event.backing_ns.is_none(), "{told}");
            }
            id if id == both => {
                assert!(asked(2_000_000) && hit.action == "held+failed", "{told}");
                assert!(hit.kind == "delay+error" && event.errno == libc::EBUSY, "{told}");
            }
            id if id == kill => assert_eq!(hit.action, "killed", "{told}"),
            id if id == hang => {
                assert_eq!((hit.action.as_str(), hit.due_ns), ("held+released", None), "{told}");
                assert!(event.result == "ok" && event.backing_ns.is_some(), "{told}");
            }
            _ => assert_eq!((hit.id, event.result.as_str()), (read, "EIO"), "{told}"),
        }
    }
    // The numbers are those that went into the draws: each once.
    let mut drawn: Vec<_> = events.iter().flat_map(|e| &e.hits).map(|h| (h.id, h.n)).collect();
    let lines = drawn.len();
    drawn.sort_unstable();
    drawn.dedup();
    assert_eq!(drawn.len(), lines);
}

/// Nobody reads: operations go on, and what is dropped is counted.
#[test]
fn what_nobody_reads_is_dropped_counted_and_waited_for_by_nobody() {
    let mount = Mount::new();
    let dir = (0..12).fold(mount.mnt(), |dir, _| dir.join("x".repeat(250)));
    fs::create_dir_all(&dir).unwrap();
    let dir = File::open(&dir).unwrap();
    let mut client = tracing(&mount);
    let look = |n: usize| {
        let flags = rustix::fs::AtFlags::empty();
        let found = rustix::fs::statat(&dir, format!("none{n}"), flags);
        assert_eq!(found.unwrap_err(), rustix::io::Errno::NOENT);
    };
    // Each takes 3,000 bytes for its path alone, and 16 MiB are kept.
    let began = Instant::now();
    (0..8_000).for_each(look);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let (events, dropped) = drain(&mut client);
    assert!(dropped > 2_000 && events.len() > 1_000, "{dropped} of {}", events.len());
    // The kernel asks for the directory's attributes anew each second.
    let of_names = |event: &&TraceEvent| name_of(event).starts_with("none");
    assert!(events.iter().filter(of_names).all(|event| event.result == "ENOENT"));
    assert_eq!(events[0].seq, dropped + 1);
    assert_eq!(events.last().unwrap().seq, dropped + events.len() as i64);
    assert!(events.last().unwrap().seq >= 8_000);
}

#[test]
fn a_trace_ends_with_its_connection_and_takes_one_reader() {
    let mount = Mount::new();
    let mut other = mount.client();
    let none = other.trace_read(0, 1).unwrap_err().to_string();
    assert!(none.contains("this connection has no trace"), "{none}");
    let mut reader = tracing(&mount);
    fs::create_dir(mount.mnt().join("dir")).unwrap();
    let taken = other.trace_start(&[], "", false).unwrap_err().to_string();
    assert!(taken.contains("one trace at a time"), "{taken}");
    // It is still there, whatever others asked, and clearing faults leaves it alone.
    mount.clear();
    assert!(drain(&mut reader).0.iter().any(|event| event.method == "mkdir"));
    drop(reader);
    wait_for("the trace to end", || other.trace_start(&[], "", false).ok());
    other.trace_stop().unwrap();
    assert!(other.trace_read(0, 1).is_err());
    tracing(&mount);
}

#[test]
fn a_reader_chooses_by_method_path_and_what_fired() {
    let mount = Mount::new();
    let mnt = mount.mnt();
    let wal = format!("{}/wal/.*", mount.raw().display());
    for dir in ["wal", "data"] {
        fs::create_dir(mnt.join(dir)).unwrap();
    }
    let use_files = || {
        for name in ["wal/a", "data/a"] {
            let file = File::create(mnt.join(name)).unwrap();
            file.write_all_at(b"x", 0).unwrap();
            let _ = file.sync_all();
        }
    };
    let methods = ["write", "fsync"].map(str::to_owned);
    let mut client = mount.client();
    client.trace_start(&methods, &wal, false).unwrap();
    use_files();
    let told = |client: &mut Client| drain(client).0.iter().map(line_of).collect::<Vec<_>>();
    assert_eq!(told(&mut client), ["write a 1 at 0", "fsync a"]);
    client.trace_start(&[], "", true).unwrap();
    mount.add(&failing(&["fsync"], "EIO"));
    use_files();
    assert_eq!(told(&mut client), ["fsync a", "fsync a"]);
    let unknown = client.trace_start(&["wirte".to_owned()], "", false).unwrap_err().to_string();
    assert!(unknown.contains("wirte") && unknown.contains("write"), "{unknown}");
    assert!(client.trace_start(&[], "(", false).is_err());
}
