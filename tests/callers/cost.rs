//! What it costs to watch who is held.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use super::common::{Mount, hanging, long_or, wait_for};
use super::{Caller, SOON, mount, wait_until_held};

fn processor_time(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
    let ticks: u64 = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

fn share_of_a_core(pid: u32, span: Duration) -> f64 {
    let (before, began) = (processor_time(pid), Instant::now());
    thread::sleep(span);
    (processor_time(pid) - before).as_secs_f64() / began.elapsed().as_secs_f64()
}

/// So many threads of a process, or if negative processes, each of which syncs a file of the mount; and
/// those processes.
fn crowd(mount: &Mount, many: i64) -> (Caller, Vec<Pid>) {
    let mut crowd = Caller::new(mount, &["sync", &many.to_string()]);
    crowd.hear("ready");
    let children = crowd.lines.next().unwrap().unwrap();
    let pids =
        children.split_ascii_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap());
    (crowd, pids.collect())
}

/// How long the slowest of these takes to end, each killed for itself among the others.
fn slowest_to_end(pids: &[Pid]) -> Duration {
    let ended_after = |pid: &Pid| {
        let began = Instant::now();
        kill_process(*pid, Signal::KILL).unwrap();
        wait_for("one to end", || test_kill_process(*pid).is_err().then(|| began.elapsed()))
    };
    pids.iter().map(ended_after).max().unwrap_or_default()
}

/// After how long half of them, and all, are held no more when all are killed at once.
fn freed_after(mount: &Mount, id: i64, callers: &Caller) -> [Duration; 2] {
    let (held, began) = (mount.listed(id).held, Instant::now());
    rustix::process::kill_process_group(Pid::from_child(&callers.child), Signal::KILL).unwrap();
    [held / 2, 0].map(|left| {
        wait_for("them to be freed", || (mount.listed(id).held <= left).then(|| began.elapsed()))
    })
}

/// The share of a core that is the daemon's while that many are held, and in the same try how long a killed
/// one is held: the slowest of some processes killed one by one among the others, or all threads of the one
/// process. How fast a machine ends a thousand processes at once is its own matter: that is printed.
#[test]
fn watching_the_held_costs_little_and_a_killed_one_is_free_soon() {
    // Those of the optimised program; a busy machine makes each look dearer, and all later.
    let cases = long_or(
        [(4_000, 4_000, 0.02), (-1_000, 1_000, 0.04)],
        [(1_000, 1_000, 0.04), (-100, 100, 0.04)],
    );
    let (span, free) = long_or(
        (Duration::from_secs(5), Duration::from_millis(200)),
        (Duration::from_millis(1500), SOON),
    );
    for (many, held, most) in cases {
        let mount = mount();
        let _clear = mount.clear_on_drop();
        let id = mount.add(&hanging(&["fsync"]));
        // The best of a few counts.
        let is_good = |_: &i32| {
            let (mut callers, pids) = crowd(&mount, many);
            wait_until_held(&mount, id, held);
            let share = share_of_a_core(mount.pid(), span);
            let each: Vec<_> =
                pids.into_iter().step_by(usize::try_from(held).unwrap() / 20).collect();
            let slowest = slowest_to_end(&each);
            let freed = freed_after(&mount, id, &callers);
            assert!(callers.lines.next().is_none(), "all of them have ended");
            println!("{many}: {:.1}% of a core", share * 100.0);
            println!("{many}: {} killed one by one: the slowest after {slowest:?}", each.len());
            println!("{many}: killed at once half and all are free after {freed:?}");
            let took = if many > 0 { freed[1] } else { slowest };
            share <= most && took < free
        };
        let good = (0..4).find(is_good);
        assert!(good.is_some(), "{many}: never below {:.1}% of a core and {free:?}", most * 100.0);
    }
}
