//! What it costs to watch who is held.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::common::{hanging, long_or};
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

/// The bars are those of the optimised program: 2% of a core for 4,000 threads of one process, 4% for
/// 1,000 processes.
#[test]
fn watching_the_held_costs_little_and_a_killed_one_is_free_soon() {
    let cases = long_or(
        [(4_000, 4_000, 0.04), (-1_000, 1_000, 0.10)],
        [(1_000, 1_000, 0.04), (-100, 100, 0.04)],
    );
    for (many, held, most) in cases {
        let mount = mount();
        let _clear = mount.clear_on_drop();
        let id = mount.add(&hanging(&["fsync"]));
        let mut caller = Caller::new(&mount, &["sync", &many.to_string()]);
        caller.hear("ready");
        wait_until_held(&mount, id, held);
        let span = long_or(Duration::from_secs(5), Duration::from_millis(1500));
        // A busy machine makes a look dearer: the best of a few counts.
        let share = (0..4)
            .map(|_| share_of_a_core(mount.pid(), span))
            .inspect(|share| println!("{many}: {:.1}% of a core", share * 100.0))
            .find(|share| *share <= most);
        assert!(share.is_some(), "{many}: always above {:.1}% of a core", most * 100.0);
        let began = Instant::now();
        rustix::process::kill_process_group(Pid::from_child(&caller.child), Signal::KILL).unwrap();
        wait_until_held(&mount, id, 0);
        println!("{many}: free after {:?}", began.elapsed());
        assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    }
}
