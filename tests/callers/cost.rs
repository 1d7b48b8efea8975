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

/// So many threads of a process, or if negative processes, each with a file of the mount, which do this;
/// and those processes.
fn crowd(mount: &Mount, what: &str, many: i64) -> (Caller, Vec<Pid>) {
    let mut crowd = Caller::new(mount, &[what, &many.to_string()]);
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

/// Kills all of them; when that was, and how long it takes until they have ended.
fn ended_after(mut crowd: Caller, meanwhile: impl FnOnce(Instant)) -> Duration {
    let began = Instant::now();
    rustix::process::kill_process_group(Pid::from_child(&crowd.child), Signal::KILL).unwrap();
    meanwhile(began);
    assert!(crowd.lines.next().is_none(), "the last has closed what it says things through");
    began.elapsed()
}

/// After how long half of them, and all, are held no more.
fn freed_after(mount: &Mount, id: i64, many: i64, began: Instant) -> [Duration; 2] {
    [many / 2, 0].map(|left| {
        wait_for("them to be freed", || (mount.listed(id).held <= left).then(|| began.elapsed()))
    })
}

/// The share of a core that is the daemon's while that many are held, and how much later they end when
/// killed than others do. The second is what is promised: how fast a machine ends a thousand processes
/// is its own matter.
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
        let shares = (0..4).map(|_| {
            let (callers, pids) = crowd(&mount, "sync", many);
            wait_until_held(&mount, id, held);
            let share = share_of_a_core(mount.pid(), span);
            let each: Vec<_> =
                pids.into_iter().step_by(usize::try_from(held).unwrap() / 20).collect();
            let slowest = slowest_to_end(&each);
            let held = held - i64::try_from(each.len()).unwrap();
            let mut freed = [Duration::ZERO; 2];
            let took = ended_after(callers, |began| freed = freed_after(&mount, id, held, began));
            let floor = ended_after(crowd(&mount, "rest", many).0, drop);
            println!("{many}: {:.1}% of a core", share * 100.0);
            if !each.is_empty() {
                println!("{many}: {} killed one by one: the slowest after {slowest:?}", each.len());
            }
            println!("{many}: half and all free after {freed:?}, ended {took:?}, others {floor:?}");
            (share, slowest.max(took.saturating_sub(floor)))
        });
        let (mut cheap, mut soon) = (false, false);
        for (share, later) in shares {
            cheap |= share <= most;
            soon |= later < free;
            if cheap && soon {
                break;
            }
        }
        assert!(cheap, "{many}: always above {:.1}% of a core", most * 100.0);
        assert!(soon, "{many}: always later than {free:?}");
    }
}
