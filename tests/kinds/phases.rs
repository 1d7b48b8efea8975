//! Phases and ramps of every kind: by the time of arrival, as an independent computation has them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use slowfs::rpc::ListedFault;

use super::EIO;
use super::common::{Mount, errno_of, hanging, slowfs, stdout_of, wait_for};

/// Each on a method or a file of its own.
const FAULTS: [&str; 6] = [
    "error EIO -m mkdir -r .* --on-for 30ms --off-for 20ms",
    "error EIO -m symlink -r .* --starts 150ms --on-for 20ms --off-for 30ms --random --name drawn",
    "delay 20us -m write -r .*/ramp --ramp x0.5..x40/900ms",
    "delay 100us -m fsync -r .* --starts 100ms --on-for 25ms --off-for 25ms --random --ramp x1..x5/2s",
    "hang -m rename -r .*/(a|b) --on-for 40ms --off-for 40ms --random",
    "throttle --iops 200 -m write -r .*/throttle --on-for 50ms --off-for 70ms",
];

/// Does something over and over, at a pace that a trace can be read at.
fn go_on(mut act: impl FnMut()) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(1_500) {
        act();
        thread::sleep(Duration::from_micros(300));
    }
}

/// A thread for each fault; one that is held for ever fails the test.
fn meet_all(mount: &Mount) {
    let mnt = &mount.mnt();
    let open = |name: &str| File::create(mnt.join(name)).unwrap();
    let (ramp, synced, throttle) = (open("ramp"), open("synced"), open("throttle"));
    open("rename/a");
    let make_dirs = || {
        let dir = mnt.join("mkdir/dir");
        let _ = fs::create_dir(&dir).and_then(|()| fs::remove_dir(&dir));
    };
    let make_links = || {
        let link = mnt.join("symlink/link");
        let _ = symlink("to", &link).and_then(|()| fs::remove_file(&link));
    };
    let rename = || {
        let (a, b) = (mnt.join("rename/a"), mnt.join("rename/b"));
        fs::rename(&a, &b).and_then(|()| fs::rename(&b, &a)).unwrap();
    };
    let write = |file: &File| file.write_all_at(b"x", 0).unwrap();
    thread::scope(|scope| {
        let _cleared = mount.clear_on_drop();
        let threads = [
            scope.spawn(|| go_on(make_dirs)),
            scope.spawn(|| go_on(make_links)),
            scope.spawn(|| go_on(rename)),
            scope.spawn(|| go_on(|| synced.sync_all().unwrap())),
            scope.spawn(|| go_on(|| write(&ramp))),
            scope.spawn(|| go_on(|| write(&throttle))),
        ];
        for thread in threads {
            wait_for("what is held to be let go", || thread.is_finished().then_some(()));
        }
        // Before all is cleared.
        fs::write(list_of(mount), list(mount)).unwrap();
    });
}

/// Where the listing of the faults goes.
fn list_of(mount: &Mount) -> PathBuf {
    mount.scratch().join("list")
}

fn list(mount: &Mount) -> String {
    stdout_of(slowfs().args(["list", "--json", "--addr", &mount.addr]))
}

#[test]
fn a_trace_shows_what_an_independent_computation_says() {
    let mount = Mount::with(&["--seed", "7"]);
    for dir in ["mkdir", "symlink", "rename"] {
        fs::create_dir(mount.raw().join(dir)).unwrap();
    }
    let trace = mount.scratch().join("trace");
    let mut command = slowfs();
    command.args(["trace", "--addr", &mount.addr, "--to"]).arg(&trace);
    let mut tracer = command.spawn().unwrap();
    wait_for("the head", || fs::read_to_string(&trace).ok().filter(|text| !text.is_empty()));
    for fault in FAULTS {
        let words = fault.split(' ');
        stdout_of(slowfs().args(words).args(["--add", "--addr", &mount.addr]));
    }
    meet_all(&mount);
    kill_process(Pid::from_child(&tracer), Signal::INT).unwrap();
    assert!(tracer.wait().unwrap().success());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kinds/phases.py");
    let found =
        stdout_of(Command::new("/usr/bin/python3").arg(script).arg(trace).arg(list_of(&mount)));
    let found: Value = serde_json::from_str(&found).unwrap();
    for (id, fault) in (1..).zip(FAULTS) {
        let of = &found[id.to_string()];
        assert_eq!(of["wrong"], Value::Array(vec![]), "{fault}");
        let [on, off, hits] = ["on", "off", "hits"].map(|what| of[what].as_u64().unwrap());
        let has_off = fault.contains("--on-for");
        assert!(hits >= 5 && on >= hits && (off >= 20) == has_off, "{fault}: {on} {off} {hits}");
    }
}

#[test]
fn a_hang_lets_go_when_its_phase_ends() {
    let mount = Mount::new();
    let file = File::create(mount.mnt().join("f")).unwrap();
    let began = Instant::now();
    let hang = hanging(&["write"]).with("on_for", "3s").with("off_for", "1h");
    let id = mount.add(&hang);
    thread::scope(|scope| {
        let _cleared = mount.clear_on_drop();
        let writers: Vec<_> = (0..2u64)
            .map(|n| {
                let file = &file;
                scope.spawn(move || file.write_all_at(b"x", n))
            })
            .collect();
        wait_for("one to be held", || (mount.listed(id).held >= 1).then_some(()));
        for writer in writers {
            wait_for("the end of the phase", || writer.is_finished().then_some(()));
            writer.join().unwrap().unwrap();
        }
        let listed = mount.listed(id);
        assert_eq!((listed.state.as_str(), listed.held), ("off", 0));
        file.write_all_at(b"x", 3).unwrap();
    });
    assert!(began.elapsed() >= Duration::from_secs(3), "{:?}", began.elapsed());
}

/// By CLOCK_MONOTONIC.
fn now_ns() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000_000 + now.tv_nsec
}

/// Calls that lay in one phase from begin to end: those of on phases, and those of off phases.
#[derive(Default)]
struct Seen {
    on: u32,
    off: u32,
}

impl Seen {
    /// Makes a call under a fault that is on and off for so many nanoseconds each.
    fn call(&mut self, fault: &ListedFault, each: i64, call: impl FnOnce() -> io::Result<()>) {
        let phase = || (now_ns() - fault.set_ns.unwrap()) / each;
        let before = phase();
        let outcome = call();
        match (before % 2 == 0, phase() == before) {
            (_, false) => {}
            (true, true) => {
                assert_eq!(errno_of(outcome), EIO, "call {} while on", self.on);
                self.on += 1;
            }
            (false, true) => {
                outcome.unwrap_or_else(|e| panic!("call {} while off: {e}", self.off));
                self.off += 1;
            }
        }
    }
}

/// The kernel has it all in its caches while the faults are off.
#[test]
fn the_next_call_meets_a_phase_whatever_is_cached() {
    const EACH: Duration = Duration::from_millis(120);
    let mount = Mount::new();
    let (read, told) = (mount.mnt().join("read"), mount.mnt().join("told"));
    let open = |path: &Path| OpenOptions::new().read(true).open(path);
    for path in [&read, &told] {
        fs::write(path, vec![1; 1 << 16]).unwrap();
    }
    let (cached, handle) = (open(&read).unwrap(), open(&told).unwrap());
    let look = |file: &File| file.read_exact_at(&mut [0; 4096], 8192);
    look(&cached).unwrap();
    let phases = |methods: &str, path: &str| {
        let each = format!("{}ms", EACH.as_millis());
        let mut command = slowfs();
        command.args(["error", "EIO", "-m", methods, "-r", path, "--on-for", &each, "--off-for"]);
        stdout_of(command.args([&each, "--add", "--addr", &mount.addr]));
    };
    phases("read", ".*/read");
    phases("getattr,fgetattr", ".*/told");
    let faults = mount.client().list_faults().unwrap();
    let [of_reads, of_attributes] = &faults[..] else { panic!("{faults:?}") };
    let each = EACH.as_nanos() as i64;
    let mut seen: [Seen; 4] = Default::default();
    let began = Instant::now();
    let enough = |seen: &[Seen; 4]| seen.iter().all(|seen| seen.on > 100 && seen.off > 100);
    while began.elapsed() < Duration::from_millis(900)
        || !enough(&seen) && began.elapsed() < Duration::from_secs(60)
    {
        let [cached_read, opened_read, stat, fstat] = &mut seen;
        cached_read.call(of_reads, each, || look(&cached));
        opened_read.call(of_reads, each, || look(&open(&read)?));
        stat.call(of_attributes, each, || fs::metadata(&told).map(drop));
        fstat.call(of_attributes, each, || handle.metadata().map(drop));
    }
    assert!(enough(&seen), "{:?}", seen.map(|seen| (seen.on, seen.off)));
}
