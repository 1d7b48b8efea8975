//! `slowfs selftest`: it measures on mirrors of its own, and leaves nothing, however it ends.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;
mod common;

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use common::{slowfs, text_of, wait_for};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Somebody who is not root, but known: fusermount3 asks for the name.
const USER: u32 = 65_534;

/// What a slow machine can excuse, and what nothing can.
const SPEEDS: [&str; 4] = ["delays", "concurrency", "isolation", "cost"];
const PROMISES: [&str; 3] = ["shortest", "chances", "seed"];

/// A directory for what is temporary, in memory: a disk would be measured as well.
fn temporary() -> TempDir {
    let dir = tempfile::Builder::new().prefix("slowfs-test-").tempdir_in("/dev/shm").unwrap();
    fs::set_permissions(dir.path(), PermissionsExt::from_mode(0o755)).unwrap();
    dir
}

fn on(dir: &TempDir, words: &[&str]) -> Command {
    let mut command = slowfs();
    command.args(words).env("TMPDIR", dir.path());
    command
}

/// Nothing is in the directory, and nothing mounted below it.
fn assert_empty(dir: &Path) {
    let left: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty() && !is_mounted_below(dir), "left: {left:?}");
}

fn is_mounted_below(dir: &Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    mounts.contains(&format!(" {}/", dir.display()))
}

#[test]
fn a_quick_one_by_an_ordinary_user_keeps_every_promise() {
    let dir = temporary();
    let (within, svg) = (dir.path().join("within"), dir.path().join("accuracy.svg"));
    fs::create_dir(&within).unwrap();
    for theirs in [dir.path(), &within] {
        chown(theirs, Some(USER), Some(USER)).unwrap();
    }
    let out = dir.path().display();
    alone::run(&format!(
        r#"
mknod -m 666 fuse c 10 229
mount --bind fuse /dev/fuse
cp "$(readlink -f bin/slowfs)" slowfs
chmod 755 slowfs
TMPDIR={out}/within setpriv --reuid {USER} --regid {USER} --clear-groups ./slowfs selftest \
    --quick --json --svg {out}/accuracy.svg 2>said >{out}/report.json && ended=0 || ended=$?
echo $ended >{out}/ended
[ -s {out}/report.json ] || die 'nothing was measured'
"#
    ));
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(read("ended"), if report["ok"] == true { "0\n" } else { "1\n" }, "{report}");
    assert_empty(&within);

    let rows = report["rows"].as_array().unwrap();
    let tests: Vec<_> = rows.iter().map(|row| row["test"].as_str().unwrap()).collect();
    for test in SPEEDS.iter().chain(&PROMISES) {
        assert!(tests.contains(test), "{test} in {tests:?}");
    }
    for row in rows {
        let (test, why) = (row["test"].as_str().unwrap(), row["why"].as_str());
        let figure = |name: &str| row[name].as_f64();
        assert!(row["n"].as_u64() > Some(0) && figure("low") <= figure("got"), "{row}");
        match row["verdict"].as_str().unwrap() {
            "ok" => assert_eq!(why, None, "{row}"),
            // So slow a machine that nothing can be said of dice either.
            "noisy" if !SPEEDS.contains(&test) => {
                assert!(why.unwrap().starts_with("only "), "{row}")
            }
            "noisy" => assert!(why.is_some(), "{row}"),
            // A bar of speed can be missed on any machine; that all were delayed is a promise.
            _ => assert!(SPEEDS.contains(&test) && why == Some("beyond the bar"), "{row}"),
        }
        if test == "delays" && row["verdict"] != "noisy" {
            let is_met = figure("over_low").unwrap() <= figure("bar_to").unwrap();
            assert_eq!(row["verdict"] == "ok", is_met, "{row}");
            assert!(figure("over_low") <= figure("over"), "{row}");
        }
    }
    let delays = rows.iter().filter(|row| row["test"] == "delays");
    let asked: Vec<_> = delays.map(|row| row["asked"].as_f64().unwrap()).collect();
    assert_eq!(asked, [3e4, 5e4, 1e5, 1e6, 1e7, 1e8]);
    let drawn = fs::read_to_string(&svg).unwrap();
    for class in ["got", "over"] {
        let dots = drawn.matches(&format!("class=\"{class} ")).count();
        assert_eq!(dots, asked.len(), "{drawn}");
    }
}

/// Begins to measure.
fn begun(dir: &TempDir, command: &str) -> Child {
    let log = fs::File::create(dir.path().join("log")).unwrap();
    let mut command = on(dir, &[command]);
    let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
    wait_for("it to measure", || {
        let ended = child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended with {ended:?}: {}", told(dir));
        told(dir).contains("measuring").then_some(())
    });
    assert!(is_mounted_below(dir.path()));
    child
}

fn told(dir: &TempDir) -> String {
    fs::read_to_string(dir.path().join("log")).unwrap()
}

#[test]
fn a_signal_ends_it_and_nothing_stays() {
    for (command, signal) in
        [("selftest", Signal::INT), ("selftest", Signal::TERM), ("demo", Signal::INT)]
    {
        let dir = temporary();
        let mut child = begun(&dir, command);
        kill_process(Pid::from_child(&child), signal).unwrap();
        let status = wait_for("it to end", || child.try_wait().unwrap());
        assert_eq!(status.code(), Some(1), "{command}, {signal:?}: {}", told(&dir));
        assert!(
            told(&dir).ends_with("interrupted; nothing is mounted any more\n"),
            "{}",
            told(&dir)
        );
        fs::remove_file(dir.path().join("log")).unwrap();
        assert_empty(dir.path());
    }
}

#[test]
fn nothing_stays_though_it_was_killed() {
    for command in ["selftest", "demo"] {
        let dir = temporary();
        let mut child = begun(&dir, command);
        child.kill().unwrap();
        child.wait().unwrap();
        wait_for("all but the log to go", || {
            let left = fs::read_dir(dir.path()).unwrap().count();
            (left == 1 && !is_mounted_below(dir.path())).then_some(())
        });
        fs::remove_file(dir.path().join("log")).unwrap();
        assert_empty(dir.path());
    }
}

#[test]
fn a_mount_that_does_not_start_is_told_with_its_reason() {
    alone::run(
        r#"
mount --bind /dev/null /dev/fuse
for command in 'selftest --quick' demo; do
    refused slowfs $command
    says 'the mount did not start: cannot mount on '
done
# For programs it is an object as well, and no empty drawing stays.
slowfs selftest --quick --json --svg new.svg >report.json 2>said && die 'something was measured'
says 'the mount did not start: cannot mount on '
python3 -c 'import json; told = json.load(open("report.json"))
assert told["ok"] is False and told["why"].startswith("the mount did not start: "), told'
[ ! -e new.svg ] || die 'an empty drawing was left'
"#,
    );
}

#[test]
fn a_drawing_that_cannot_be_written_is_refused_first() {
    let dir = temporary();
    let output = on(&dir, &["selftest", "--svg", "/proc/none/x.svg"]).output().unwrap();
    let text = text_of(&output);
    assert_eq!((output.status.code(), text.lines().count()), (Some(1), 1), "{text}");
    assert!(text.contains("cannot write /proc/none/x.svg: No such file"), "{text}");
    assert_empty(dir.path());
}

/// None of these may keep it waiting, as it takes no signal while it opens one.
#[test]
fn a_drawing_goes_to_a_regular_file_and_nowhere_else() {
    alone::run(
        r#"
mkfifo pipe
for place in pipe /dev/full . /dev/stdout; do
    refused timeout --signal KILL 20 slowfs selftest --quick --svg $place
    says "cannot write $place: it is no regular file; name another file"
done
refused timeout --signal KILL 20 slowfs selftest --quick --json --svg pipe
[ -p pipe ] || die 'the pipe has gone'
slowfs selftest --quick --svg /dev/stdout >table 2>said && die 'the drawing was taken'
says "cannot write /dev/stdout: the command's own output goes there; name another file"
[ ! -s table ] || die 'something was measured'
"#,
    );
}

#[test]
fn a_drawing_that_fails_at_the_end_takes_no_row_away() {
    alone::run(
        r#"
mkdir small
mount -t tmpfs -o size=16k none small
echo old >small/x.svg
head -c 12288 /dev/zero >small/full
slowfs selftest --quick --json --svg small/x.svg >report.json 2>said && die 'the drawing was written'
says 'cannot write small/x.svg: No space left'
python3 -c 'import json; assert len(json.load(open("report.json"))["rows"]) > 10'
[ "$(cat small/x.svg)" = old ] || die 'the old drawing is lost'
[ "$(ls -A small | wc -l)" = 2 ] || die "left: $(ls -A small)"
"#,
    );
}

/// A pipe that is full takes nothing more, and its reader takes nothing.
#[test]
fn a_signal_ends_it_while_nobody_takes_what_it_says() {
    alone::run(
        r#"
mkdir tmp
mkfifo full
exec 7<>full
dd if=/dev/zero of=full bs=64k count=1 oflag=nonblock status=none
is_there() { [ -n "$(ls tmp)" ]; }
is_over() { ! is_there; }
no_more() { ! pgrep -x slowfs >/dev/null; }
for signal in TERM KILL; do
    TMPDIR=$PWD/tmp slowfs crash-test --check 'true {}' -- true {} >full 2>said &
    soon is_there
    soon is_over
    kill -s $signal $!
    soon no_more
done
mount --bind /dev/null /dev/fuse
for signal in TERM KILL; do
    TMPDIR=$PWD/tmp slowfs selftest --quick --json >full 2>said &
    soon grep -q 'did not start' said
    kill -s $signal $!
    soon no_more
done
"#,
    );
}
