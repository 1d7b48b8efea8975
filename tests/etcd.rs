//! The users' main job on a real database: the experiment of examples/etcd, at its shortest.
//!
//! Needs what `scripts/setup test` installs, and FUSE; without them its scripts say what is missing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use common::{slowfs, stdout_of, text_of, wait_up_to};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
/// How long one script may take.
const SCRIPT_PATIENCE: Duration = Duration::from_secs(120);

/// One of the scripts, in a directory of its own, with none of the caller's settings.
fn script(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(Path::new(REPOSITORY).join(name));
    for (variable, _) in std::env::vars() {
        if !["PATH", "HOME", "TMPDIR", "LANG"].contains(&variable.as_str()) {
            command.env_remove(variable);
        }
    }
    command.current_dir(directory).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("SLOWFS", env!("CARGO_BIN_EXE_slowfs")).env("CLUSTER", "local");
    command.stdin(Stdio::null());
    command
}

fn scratch() -> TempDir {
    tempfile::Builder::new().prefix("slowfs-test-").tempdir().unwrap()
}

/// The runs below `results`, oldest first.
fn runs(results: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(results) else { return Vec::new() };
    let mut found: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.join("run.json").exists() && !name_of(path).starts_with('.'));
    found.sort();
    found
}

fn name_of(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

fn facts(run: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap()
}

/// The two columns of a CSV, after its header.
fn csv(run: &Path, name: &str, header: &str) -> Vec<(u64, String)> {
    let text = fs::read_to_string(run.join(name)).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(header), "{name}");
    lines
        .map(|line| {
            let (key, value) = line.split_once(',').unwrap();
            (key.parse().unwrap(), value.to_owned())
        })
        .collect()
}

/// The latency of each put in nanoseconds, in order; None where it failed.
fn latencies(run: &Path) -> Vec<Option<u64>> {
    let rows = csv(run, "per_op_latency.csv", "op,seconds");
    assert!(rows.iter().map(|(op, _)| *op).eq(1..=rows.len() as u64), "{rows:?}");
    let ns = |seconds: &String| {
        let (whole, fraction) = seconds.split_once('.').unwrap();
        assert_eq!(fraction.len(), 9, "nanoseconds: {seconds}");
        whole.parse::<u64>().unwrap() * 1_000_000_000 + fraction.parse::<u64>().unwrap()
    };
    rows.iter().map(|(_, seconds)| (seconds != "NaN").then(|| ns(seconds))).collect()
}

fn median(run: &Path) -> Duration {
    let mut took: Vec<_> = latencies(run).into_iter().flatten().collect();
    took.sort_unstable();
    Duration::from_nanos(took[took.len() / 2])
}

/// The CSVs by second agree with the one by operation.
fn assert_seconds_add_up(run: &Path) {
    let succeeded = latencies(run).into_iter().flatten().count();
    let throughput = csv(run, "throughput_per_sec.csv", "sec,ops");
    assert!(throughput.iter().map(|(sec, _)| *sec).eq(0..throughput.len() as u64));
    let ops: Vec<usize> = throughput.iter().map(|(_, ops)| ops.parse().unwrap()).collect();
    assert_eq!(ops.iter().sum::<usize>(), succeeded);
    let latency = csv(run, "latency_per_sec.csv", "sec,avg_latency_s");
    let seconds: Vec<_> = latency.iter().map(|(sec, _)| *sec).collect();
    let busy: Vec<_> = (0..).zip(&ops).filter(|(_, ops)| **ops > 0).map(|(sec, _)| sec).collect();
    assert_eq!(seconds, busy, "an average for each second in which a put ended");
}

/// Those that runs of any length have; over time only what lasts five seconds is drawn.
fn assert_plotted(results: &Path) {
    for plot in ["latency_cdf", "put_latency_vs_delay"] {
        let png = fs::read(results.join(format!("{plot}.png"))).unwrap();
        assert!(png.starts_with(b"\x89PNG") && png.len() > 10_000, "{plot}: {} bytes", png.len());
        let svg = fs::read_to_string(results.join(format!("{plot}.svg"))).unwrap();
        assert!(svg.contains("</svg>"), "{plot}");
    }
    let report = fs::read_to_string(results.join("report.html")).unwrap();
    let drawn = report.matches("src=\"data:image/svg+xml;base64,").count();
    assert_eq!(report.matches("src=").count(), drawn, "it needs no other file");
    assert_eq!(drawn + report.matches("Left out: the longest run lasted").count(), 4);
}

#[test]
fn puts_slow_down_by_the_delay_recover_and_all_keys_are_kept() {
    let scratch = scratch();
    let results = scratch.path().join("results");
    let mut demo = script("examples/etcd/demo.py", scratch.path());
    demo.args(["--puts", "50", "--delayed-puts", "5", "--results", "results"]);
    demo.args(["--slowfs", env!("CARGO_BIN_EXE_slowfs")]);
    stdout_of(&mut demo);

    let [before, delayed, after] = &runs(&results)[..] else { panic!("{:?}", runs(&results)) };
    let delay = Duration::from_millis(300);
    assert!(name_of(before).ends_with("_etcd_fsdelay_baseline_etcd2_0us"), "{before:?}");
    assert!(name_of(delayed).ends_with("_etcd_fsdelay_delay_etcd2_300000us"), "{delayed:?}");
    for run in [before, delayed, after] {
        assert_seconds_add_up(run);
        assert_eq!(facts(run)["puts"]["failed"], 0);
        assert_eq!(facts(run)["leader"]["after"], "etcd2");
        assert_eq!(facts(run)["leader"]["changed"], false);
    }
    assert_eq!(latencies(delayed).len(), 5);
    assert!(median(delayed) >= median(before) + delay, "{:?}", median(delayed));
    assert!(median(after) < delay, "{:?}", median(after));

    assert_eq!(facts(before)["fault"], Value::Null);
    let facts = facts(delayed);
    let fired = facts["fault"]["fired"].as_u64().unwrap();
    assert!(fired >= 10, "a put waits for a write and an fdatasync: fired {fired} times");
    assert_eq!(facts["fault"]["matched"], fired);
    assert_eq!(facts["parameters"]["wal_delay_us"], 300_000);
    assert_eq!(facts["versions"]["slowfs"], env!("CARGO_PKG_VERSION"));
    assert!(facts["versions"]["etcd"].as_str().unwrap().starts_with("3."));
    assert_plotted(&results);
}

/// A cluster that is kept while runs come and go.
struct Kept {
    scratch: TempDir,
    keeper: Child,
    found: Value,
}

impl Kept {
    fn new() -> Kept {
        let scratch = scratch();
        let mut keeper = script("examples/etcd/local.py", scratch.path());
        let keeper = keeper.args(["--keep", "cluster.json"]).stdout(Stdio::null()).spawn().unwrap();
        let file = scratch.path().join("cluster.json");
        let text = wait_up_to(SCRIPT_PATIENCE, "the cluster", || fs::read_to_string(&file).ok());
        Kept { scratch, keeper, found: serde_json::from_str(&text).unwrap() }
    }

    fn run(&self, mode: &str, settings: &[(&str, &str)]) -> Command {
        let mut command = script("examples/etcd/run_etcd_fsdelay.sh", self.scratch.path());
        command.arg(mode).env("CLUSTER", "cluster.json").env("WARMUP", "5");
        command.envs(settings.iter().copied());
        command
    }

    fn faults(&self) -> String {
        let addr = self.found["control"].as_str().unwrap();
        stdout_of(slowfs().args(["list", "--addr", addr]))
    }

    /// The one run that `RESULTS=name` has.
    fn result(&self, name: &str) -> PathBuf {
        let [run] = &runs(&self.scratch.path().join(name))[..] else { panic!("one run in {name}") };
        run.clone()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = kill_process(Pid::from_child(&self.keeper), Signal::TERM);
        let _ = self.keeper.wait();
    }
}

/// Waits for the end of `child`, which may not hang.
fn ended(mut child: Child) -> Output {
    wait_up_to(SCRIPT_PATIENCE, "the script's end", || child.try_wait().unwrap());
    child.wait_with_output().unwrap()
}

#[test]
fn a_run_on_a_running_cluster_tells_what_went_wrong_and_clears_its_fault() {
    let kept = Kept::new();
    let failing = [("RESULTS", "failing"), ("OPS", "3"), ("PUT_TIMEOUT", "0.2"), ("WARMUP", "0")];
    let output = kept.run("delay", &failing).env("WAL_DELAY_US", "400000").output().unwrap();
    assert!(output.status.success(), "{}", text_of(&output));
    assert!(text_of(&output).contains("WARNING: 3 of 3 puts failed"), "{}", text_of(&output));
    let run = kept.result("failing");
    assert_eq!(latencies(&run), [None, None, None]);
    assert_eq!(facts(&run)["puts"]["failed"], 3);

    let elsewhere = [("WAL_REGEX", ".*/elsewhere/.*"), ("WAL_DELAY_US", "100000"), ("OPS", "3")];
    let output = kept.run("delay", &elsewhere).env("VERIFY_DELAY", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    assert!(text_of(&output).contains("asked for 100000 us"), "{}", text_of(&output));
    let output = kept.run("delay", &elsewhere).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    assert!(text_of(&output).contains("the fault never fired"), "{}", text_of(&output));
    for (settings, told) in [
        (&[("OPS", "3")][..], "MODE=delay needs WAL_DELAY_US, above 0, or WAL_FAULT"),
        (&[("OPS", "abc")], "OPS=abc: write a whole number, as 200"),
        (&[("WAL_DELAY_US", "300ms")], "WAL_DELAY_US=300ms: write a whole number of microseconds"),
        (&[("WAL_DELAY_US", "3000000000")], "WAL_DELAY_US=3000000000: at most 2147483647"),
        (&[("RATE", "fast")], "RATE=fast: write puts per second, as 200"),
        (&[("VERIFY_DELAY", "yes")], "VERIFY_DELAY=yes: write 0 or 1"),
        (&[("WAL_FAULT", "foo")], "WAL_FAULT=foo: no kind of fault is called foo"),
        (&[("WAL_FAULT", "1ms"), ("WAL_REGEX", "(")], "WAL_REGEX=(: invalid pattern"),
        (&[("WAL_DELAY_US", "5"), ("WAL_METHODS", "fsnc")], "no method fsnc (did you mean fsync?)"),
        (&[("WAL_FAULT", "1ms"), ("MOUNT_OPTIONS", "--direct-io")], "MOUNT_OPTIONS is for CLUSTER"),
    ] {
        let output = kept.run("delay", settings).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{settings:?}: {}", text_of(&output));
        assert!(text_of(&output).contains(told), "{settings:?}: {}", text_of(&output));
    }
    a_terminal_sees_how_far_it_is(&kept);

    for signal in [Signal::INT, Signal::TERM] {
        let endless = [("RESULTS", "endless"), ("OPS", "1000"), ("WAL_DELAY_US", "300000")];
        let mut command = kept.run("delay", &endless);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_up_to(SCRIPT_PATIENCE, "the fault", || {
            (!kept.faults().starts_with("no faults")).then_some(())
        });
        kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(ended(child).status.code(), Some(130));
        assert!(kept.faults().starts_with("no faults"), "{}", kept.faults());
        let left = fs::read_dir(kept.scratch.path().join("endless")).map_or(0, Iterator::count);
        assert_eq!(left, 0, "no half of a result");
    }
    a_fault_takes_the_place_of_the_delay(&kept);
    // The cluster has felt none of it.
    stdout_of(&mut kept.run("baseline", &[("RESULTS", "after"), ("OPS", "5")]));
}

fn a_terminal_sees_how_far_it_is(kept: &Kept) {
    let seen = [("RESULTS", "seen"), ("OPS", "3"), ("WAL_DELAY_US", "300000")];
    let run = kept.run("delay", &seen);
    let line = format!("{} delay", run.get_program().to_str().unwrap());
    let mut terminal = Command::new("script");
    terminal.args(["-qec", &line, "/dev/null"]).current_dir(kept.scratch.path());
    terminal.env_clear().envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    terminal.env("PATH", std::env::var("PATH").unwrap()).stdin(Stdio::null());
    let text = stdout_of(&mut terminal);
    assert!(text.contains("1 of 3 puts, "), "{text:?}");
}

/// `WAL_FAULT`: the directory, run.json and the plots say what was injected, and both are refused.
fn a_fault_takes_the_place_of_the_delay(kept: &Kept) {
    let fault = "lognormal:p50=20ms,p99=30ms";
    let both = [("WAL_FAULT", fault), ("WAL_DELAY_US", "5")];
    let output = kept.run("delay", &both).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
    assert!(text_of(&output).contains("are both given"), "{}", text_of(&output));
    let wrong = kept.run("delay", &[("WAL_FAULT", "lognormal:p50=5ms")]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1), "{}", text_of(&wrong));
    assert!(text_of(&wrong).contains("write it as in lognormal:"), "{}", text_of(&wrong));
    for (fault, name) in
        [(fault, "_fault-lognormal-p50-20ms-p99-30ms"), ("device nvme", "_fault-device-nvme")]
    {
        let results = kept.scratch.path().join(name);
        let settings = [("WAL_FAULT", fault), ("OPS", "5"), ("VERIFY_DELAY", "1"), ("WARMUP", "2")];
        let mut run = kept.run("delay", &settings);
        stdout_of(run.env("RESULTS", &results));
        let [run] = &runs(&results)[..] else { panic!("{:?}", runs(&results)) };
        assert!(name_of(run).ends_with(name), "{run:?}");
        assert_eq!(facts(run)["parameters"]["wal_fault"], fault);
        if fault.starts_with("lognormal") {
            assert!(median(run) >= Duration::from_millis(20), "{:?}", median(run));
        }
        stdout_of(script("examples/etcd/plot_results.py", kept.scratch.path()).arg(&results));
        for file in ["summary.csv", "report.html"] {
            assert!(fs::read_to_string(results.join(file)).unwrap().contains(fault), "{file}");
        }
    }
}

/// No engine runs here: this tells what Docker is asked, not what it does.
#[test]
fn containers_are_found_and_asked_through_docker() {
    let kept = Kept::new();
    let played = kept.scratch.path().join("cluster.json");
    let path = format!("{REPOSITORY}/tests/etcd:{}", std::env::var("PATH").unwrap());
    let mut run =
        kept.run("delay", &[("OPS", "5"), ("WAL_DELAY_US", "20000"), ("CLIENT", "etcdctl")]);
    run.env_remove("CLUSTER").env("PATH", path).env("PLAYED", &played);
    run.env("SLOWFS_ADDR", kept.found["control"].as_str().unwrap());
    run.env("SLOWFS_MOUNTPOINT", kept.found["data"].as_str().unwrap()).env("VERIFY_DELAY", "1");
    stdout_of(&mut run);
    let run = kept.result("results");
    assert_eq!(facts(&run)["cluster"]["kind"], "docker");
    assert!(median(&run) >= Duration::from_millis(40), "{:?}", median(&run));
    let calls = fs::read_to_string(kept.scratch.path().join("cluster.json.calls")).unwrap();
    assert!(calls.starts_with("info "), "an engine that answers is the default: {calls}");
    let put = "exec etcd2 etcdctl --endpoints=http://etcd2:2379 ";
    assert_eq!(calls.lines().filter(|call| call.starts_with(put)).count(), 5 + 5, "{calls}");
}

/// The command lines of the processes that work below `directory`.
fn at_work(directory: &Path) -> Vec<String> {
    let processes = fs::read_dir("/proc").unwrap().map(|entry| entry.unwrap().path());
    let lines = processes.filter_map(|process| fs::read_to_string(process.join("cmdline")).ok());
    lines.filter(|line| line.contains(directory.to_str().unwrap())).collect()
}

#[test]
fn an_interrupted_sweep_leaves_nothing_and_goes_on_where_it_stopped() {
    let scratch = scratch();
    let data = scratch.path().join("data");
    fs::create_dir(&data).unwrap();
    let results = scratch.path().join("swept");
    let sweep = || {
        let mut command = script("examples/etcd/sweep.sh", scratch.path());
        command.arg("20000").env("RESULTS", "swept").env("DATA_DIR", &data).env("SEED", "5");
        command.envs([("OPS", "5"), ("REPEAT", "2"), ("WARMUP", "5")]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    };
    let child = sweep().spawn().unwrap();
    let first = wait_up_to(SCRIPT_PATIENCE, "the first run", || runs(&results).first().cloned());
    wait_up_to(SCRIPT_PATIENCE, "the next cluster", || (!at_work(&data).is_empty()).then_some(()));
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    assert_eq!(ended(child).status.code(), Some(130));
    assert_eq!(at_work(&data), [""; 0]);
    assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "mounts and directories are gone");
    let begun = runs(&results).len();
    assert!(begun < 4, "it was interrupted");

    let text = stdout_of(&mut sweep());
    assert!(text.contains(&format!("[{} of 4, ", begun + 1)), "{text}");
    assert!(!text.contains(&format!("[{begun} of 4, ")), "done again: {text}");
    let done = runs(&results);
    assert_eq!(done.len(), 4, "{done:?}");
    assert!(done.contains(&first));
    let mut points: Vec<_> = done.iter().map(|run| facts(run)["sweep"].to_string()).collect();
    points.sort();
    points.dedup();
    assert_eq!(points.len(), 4, "each delay in each repetition: {points:?}");
    let plan: Value =
        serde_json::from_str(&fs::read_to_string(results.join("sweep.json")).unwrap()).unwrap();
    assert_eq!(plan["seed"], 5);
    assert_plotted(&results);

    let other = sweep().env("OPS", "6").output().unwrap();
    assert_eq!(other.status.code(), Some(2), "another sweep's plan: {}", text_of(&other));
}

#[test]
fn what_is_plotted_together_belongs_together() {
    let scratch = scratch();
    stdout_of(script("tests/etcd/edges.py", scratch.path()).arg(scratch.path()));
}

#[test]
fn faults_are_refused_before_anything_starts_or_set_and_counted_as_asked() {
    let scratch = scratch();
    stdout_of(script("tests/etcd/faults.py", scratch.path()).arg(scratch.path()));
}

#[test]
fn leadership_moves_by_restarts_where_it_must() {
    let scratch = scratch();
    let mut moved = script("tests/etcd/leadership.py", scratch.path());
    stdout_of(moved.arg(env!("CARGO_BIN_EXE_slowfs")));
}
