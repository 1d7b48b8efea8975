use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::*;

fn sleeper() -> Child {
    Command::new("sleep").arg("600").spawn().unwrap()
}

fn own_tid() -> u32 {
    u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap()
}

/// A thread that waits until its sender is dropped.
fn waiting() -> (u32, Sender<()>, JoinHandle<()>) {
    let (tell, told) = channel();
    let (end, ended) = channel::<()>();
    let thread = std::thread::spawn(move || {
        tell.send(own_tid()).unwrap();
        let _ = ended.recv();
    });
    (told.recv().unwrap(), end, thread)
}

/// Joining returns when the thread is about to end.
fn wait_for_the_end_of(tid: u32) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while std::path::Path::new(&format!("/proc/self/task/{tid}")).exists() {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
}

#[test]
fn a_caller_is_its_process() {
    let own = arrival(own_tid()).unwrap();
    assert_eq!(own.process.pid(), std::process::id());
    assert!(!own.killed);
    assert_eq!(arrival(std::process::id()), Some(own));
    assert_eq!(arrival(0), None);
    assert_eq!(arrival(u32::MAX), None);
    assert_eq!(own.process.plight(), Plight::None);
    assert_eq!(own.process.plight_of(own_tid()), Plight::None);
}

/// How many read(2) this thread has made so far.
fn reads() -> u64 {
    let io = std::fs::read_to_string("/proc/thread-self/io").unwrap();
    let line = io.lines().find_map(|line| line.strip_prefix("syscr: ")).unwrap();
    line.parse().unwrap()
}

#[test]
fn callers_of_one_process_that_come_together_are_looked_at_once() {
    let (tid, end, thread) = waiting();
    let now = Instant::now();
    let own = arrival_lately(own_tid(), now);
    assert_eq!(own, arrival(own_tid()));
    let before = reads();
    let looking = reads() - before;
    let before = reads();
    for _ in 0..10 {
        assert_eq!(arrival_lately(tid, now), own);
        assert_eq!(arrival_lately(0, now), None, "the kernel's own");
    }
    assert_eq!(reads() - before, looking, "no status was read");
    drop(end);
    thread.join().unwrap();
    wait_for_the_end_of(tid);
    assert_eq!(arrival_lately(tid, now), None, "it is no thread of that process any more");
}

#[test]
fn another_process_is_not_taken_for_the_latest_nor_is_a_killed_one_for_alive_for_long() {
    let mut child = sleeper();
    let now = Instant::now();
    assert_eq!(arrival_lately(own_tid(), now), arrival(own_tid()));
    let alive = arrival(child.id());
    assert_eq!(arrival_lately(child.id(), now), alive);
    child.kill().unwrap();
    assert_eq!(arrival_lately(child.id(), now), alive);
    let killed = alive.map(|alive| Arrival { killed: true, ..alive });
    assert_eq!(arrival_lately(child.id(), now + lately::FRESH), killed);
    assert_eq!(arrival_lately(child.id(), now), killed, "it is not seen alive again");
    child.wait().unwrap();
}

#[test]
fn a_thread_that_has_ended_in_a_process_that_lives_is_not_killed() {
    let (tid, end, thread) = waiting();
    let process = arrival(tid).unwrap().process;
    let mut lookouts = [(); 2].map(|()| Lookout::new(process, Some(tid)));
    lookouts[1].keep();
    assert_eq!(lookouts.each_ref().map(Lookout::is_kept), [false, true]);
    assert!(!lookouts.iter_mut().any(|lookout| lookout.is_troubled(true)));
    drop(end);
    thread.join().unwrap();
    wait_for_the_end_of(tid);
    assert!(lookouts.iter_mut().all(|lookout| lookout.is_troubled(true)));
    assert_eq!(process.plight_of(tid), Plight::None);
    assert_eq!(process.plight(), Plight::None);
    assert!(!Lookout::new(process, None).is_troubled(true));
}

#[test]
fn a_process_that_is_gone_is_leaving_and_is_no_later_one_of_its_number() {
    let mut child = sleeper();
    let process = arrival(child.id()).unwrap().process;
    child.kill().unwrap();
    // It stays to be waited for, and shows how it ended.
    let deadline = Instant::now() + Duration::from_secs(20);
    while process.plight() == Plight::None {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(process.plight(), Plight::Killed);
    child.wait().unwrap();
    assert_eq!(process.plight(), Plight::Leaving);
    assert_eq!(process.plight_of(child.id()), Plight::Leaving);
    let mut other = sleeper();
    let later = arrival(other.id()).unwrap().process;
    let earlier = Process { birth: later.birth - 1, ..later };
    assert_eq!(earlier.plight(), Plight::Leaving);
    assert_eq!(earlier.kill().unwrap_err().raw_os_error(), Some(libc::ESRCH));
    assert_eq!(groups(other.id(), Some(earlier)), [0; 0]);
    assert_eq!(later.plight(), Plight::None);
    later.kill().unwrap();
    other.wait().unwrap();
}

#[test]
fn one_that_sleeps_and_is_killed_is_in_trouble_at_the_next_look() {
    for keep in [false, true] {
        let mut child = sleeper();
        let process = arrival(child.id()).unwrap().process;
        let mut lookout = Lookout::new(process, None);
        if keep {
            lookout.keep();
        }
        let deadline = Instant::now() + Duration::from_secs(20);
        while !Status::of(child.id(), child.id()).unwrap().sleeps_lightly() {
            assert!(Instant::now() < deadline);
        }
        assert!((0..3).all(|_| !lookout.is_troubled(true)));
        child.kill().unwrap();
        while process.plight() == Plight::None {
            assert!(Instant::now() < deadline);
        }
        while !Status::of(child.id(), child.id()).unwrap().ended() {
            assert!(Instant::now() < deadline);
        }
        assert!(lookout.is_troubled(true), "{keep}");
        child.wait().unwrap();
        assert!(lookout.is_troubled(true), "{keep}");
    }
}

#[test]
fn caller_is_killed_as_a_process() {
    let mut child = sleeper();
    let process = victim(child.id()).unwrap();
    process.kill().unwrap();
    let status = child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(9));
    assert_eq!(process.kill().unwrap_err().raw_os_error(), Some(libc::ESRCH));
    assert_eq!(victim(child.id()), None);
}

#[test]
fn a_name_that_is_no_text_hides_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir
        .path()
        .join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"sl\xffep) R 1"));
    // By another process: what a thread of this one starts meanwhile would have it open for writing.
    assert!(Command::new("cp").arg("/bin/sleep").arg(&program).status().unwrap().success());
    let mut child = Command::new(program).arg("600").stdin(Stdio::null()).spawn().unwrap();
    let seen = arrival(child.id());
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(seen.unwrap().process.pid(), child.id());
}

#[test]
fn groups_are_those_of_the_thread_or_else_of_the_process() {
    let before = groups(std::process::id(), None);
    let process = arrival(std::process::id()).unwrap().process;
    let (own, tid, others) = std::thread::spawn(move || {
        let members = [4_000_000_000, 77].map(rustix::process::Gid::from_raw);
        rustix::thread::set_thread_groups(&members).expect("this test must run as root");
        let own = [None, Some(process)].map(|process| groups(own_tid(), process));
        (own, own_tid(), groups(std::process::id(), None))
    })
    .join()
    .unwrap();
    assert!(own.iter().all(|own| *own == [77, 4_000_000_000]));
    assert_eq!(others, before, "the other threads keep theirs");
    wait_for_the_end_of(tid);
    assert_eq!(groups(tid, Some(process)), before);
    assert!(groups(0, None).is_empty() && groups(u32::MAX, None).is_empty());
}

#[test]
fn init_unknown_the_kernel_and_ourselves_are_spared() {
    let own = std::process::id();
    for spared in [0, 1, own, u32::MAX] {
        assert_eq!(victim(spared), None, "{spared}");
    }
    // A thread of ours is ourselves.
    let (tid, end, thread) = waiting();
    assert_eq!(victim(tid), None);
    drop(end);
    thread.join().unwrap();
    // kthreadd, where this pid namespace has the kernel's threads.
    if std::fs::read("/proc/2/comm").is_ok_and(|name| name == b"kthreadd\n") {
        assert_eq!(victim(2), None);
    }
}
