//! What was served is told by whose fault it is, each request once; and whoever watches gets the terminal back.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::process::Command;

use common::{Mount, errno_of, failing, slowfs, stdout_of, wait_for};
use serde_json::Value;

fn told(mount: &Mount, words: &[&str]) -> String {
    stdout_of(slowfs().args(words).args(["--addr", &mount.addr]))
}

fn stats(mount: &Mount) -> Value {
    serde_json::from_str(&told(mount, &["stats", "--json"])).unwrap()
}

/// Of a list of methods the counts of one.
fn of(stats: &Value, list: &str, name: &str) -> [i64; 4] {
    let methods = stats[list].as_array().unwrap();
    let method = methods.iter().find(|m| m["name"] == name);
    let count = |field: &str| method.map_or(0, |m| m[field].as_i64().unwrap());
    ["calls", "errors", "injected", "usual"].map(count)
}

#[test]
fn errors_are_told_by_whose_they_are() {
    let mount = Mount::new();
    let at = |name: &str| mount.mnt().join(name);
    let file = File::create(at("f")).unwrap();
    fs::create_dir_all(at("full/of")).unwrap();
    fs::create_dir(at("other")).unwrap();
    let before = stats(&mount);
    // Nothing is there, and no such attribute is set.
    for n in 0..5 {
        assert_eq!(errno_of(fs::metadata(at(&format!("none{n}")))), libc::ENOENT);
    }
    let mut value = [0u8; 16];
    let unset = rustix::fs::getxattr(at("f"), "user.none", &mut value);
    assert_eq!(unset, Err(rustix::io::Errno::NODATA));
    // It is no terminal.
    assert!(!rustix::termios::isatty(&file));
    // A fault's.
    mount.add(&failing(&["rmdir"], "EIO"));
    assert_eq!(errno_of(fs::remove_dir(at("other"))), libc::EIO);
    mount.clear();
    // The backing's own.
    assert_eq!(errno_of(fs::rename(at("other"), at("full"))), libc::ENOTEMPTY);
    drop(file);
    let after = stats(&mount);
    let more = |name: &str| {
        let [before, after] = [&before, &after].map(|stats| of(stats, "requests", name));
        [1, 2, 3].map(|field| after[field] - before[field])
    };
    assert_eq!(more("getattr"), [5, 0, 5]);
    assert_eq!(more("getxattr"), [1, 0, 1]);
    assert_eq!(more("ioctl"), [1, 0, 1]);
    assert_eq!(more("rmdir"), [1, 1, 0]);
    assert_eq!(more("rename"), [1, 0, 0]);
    let total = |field: &str| after[field].as_i64().unwrap() - before[field].as_i64().unwrap();
    assert_eq!(["errors", "injected", "usual"].map(total), [9, 1, 7]);
    let text = told(&mount, &["stats"]);
    assert!(text.contains(" calls, 1 errors and 1 injected ones in "), "{text}");
}

#[test]
fn a_killed_caller_is_no_error_and_nobody_injected_it() {
    let mount = Mount::new();
    let id = mount.add(&common::hanging(&["mkdir"]).and("error", "EIO"));
    let mut held = Command::new("mkdir").arg(mount.mnt().join("dir")).spawn().unwrap();
    wait_for("it to be held", || (mount.listed(id).held == 1).then_some(()));
    held.kill().unwrap();
    held.wait().unwrap();
    let counted = wait_for("it to be answered", || {
        let mkdir = of(&stats(&mount), "requests", "mkdir");
        (mkdir[0] == 1).then_some(mkdir)
    });
    assert_eq!(counted, [1, 1, 0, 1]);
    mount.clear();
}

#[test]
fn fdatasync_is_apart_from_fsync() {
    let mount = Mount::new();
    let file = File::create(mount.mnt().join("f")).unwrap();
    for _ in 0..3 {
        file.sync_data().unwrap();
    }
    file.sync_all().unwrap();
    let stats = stats(&mount);
    assert_eq!(["fsync", "fdatasync"].map(|name| of(&stats, "requests", name)[0]), [1, 3]);
    // A method counts all requests that consult it.
    assert_eq!(["fsync", "fdatasync"].map(|name| of(&stats, "methods", name)[0]), [4, 3]);
    let requests = stats["requests"].as_array().unwrap();
    let calls: i64 = requests.iter().map(|m| m["calls"].as_i64().unwrap()).sum();
    assert_eq!(calls, stats["calls"].as_i64().unwrap());
    let table = told(&mount, &["stats"]);
    for row in [["fsync", "1"], ["fdatasync", "3"]] {
        let found = table.lines().any(|line| line.split_whitespace().take(2).eq(row));
        assert!(found, "{row:?} in\n{table}");
    }
}

#[test]
fn how_often_each_fault_fires_is_told() {
    let mount = Mount::new();
    let id = mount.add(&failing(&["mkdir"], "EIO"));
    let dir = mount.mnt().join("dir");
    let mut watch = slowfs();
    watch.args(["watch", "--json", "--interval", "300ms", "--count", "3", "--addr", &mount.addr]);
    let watch = std::thread::spawn(move || stdout_of(&mut watch));
    while !watch.is_finished() {
        assert_eq!(errno_of(fs::create_dir(&dir)), libc::EIO);
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    let text = watch.join().unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    for line in text.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let rate = &line["rates"][0];
        assert_eq!(rate["id"], id);
        let fired = rate["fired_per_s"].as_f64().unwrap();
        assert!(fired > 0.0, "{line}");
        // What is under way at that moment may be in one and not yet in the other.
        for same in [&rate["matched_per_s"], &line["injected_per_s"]] {
            let same = same.as_f64().unwrap();
            assert!(same <= 2.0 * fired + 20.0 && fired <= 2.0 * same + 20.0, "{line}");
        }
    }
}

#[test]
fn watch_gives_the_terminal_back_however_it_ends() {
    let mount = Mount::new();
    let terminal = r"
import os, pty, select, signal, sys, termios, time
def run(act):
    pid, tty = pty.fork()
    if pid == 0:
        # A shell of its own, so that ctrl-Z stops what it runs.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.environ['TERM'] = 'xterm'
        job = os.fork()
        if job == 0:
            os.setpgid(0, 0)
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            os.execv(sys.argv[1],
                     [sys.argv[1], 'watch', '--interval', '50ms', '--addr', sys.argv[2]])
        while True:
            status = os.waitpid(job, os.WUNTRACED)[1]
            if not os.WIFSTOPPED(status):
                os.write(1, b'END %d.' % os.waitstatus_to_exitcode(status))
                time.sleep(60)
            os.tcsetpgrp(0, os.getpgrp())
            os.write(1, b'STOPPED.')
            os.read(0, 1)
            os.tcsetpgrp(0, job)
            os.kill(job, signal.SIGCONT)
    before = termios.tcgetattr(tty)
    seen = b''
    def until(what):
        nonlocal seen
        end = time.time() + 20
        while what not in seen:
            assert time.time() < end, (what, seen)
            if select.select([tty], [], [], 0.1)[0]:
                seen += os.read(tty, 65536)
        seen = seen.split(what, 1)[1]
    def modes(ours):
        assert (termios.tcgetattr(tty)[3] & (termios.ICANON | termios.ECHO) == 0) == ours
        assert ours or termios.tcgetattr(tty) == before, (termios.tcgetattr(tty), before)
    until(b'\x1b[?1049h')
    until(b'q ends')
    modes(True)
    act(tty, until, modes)
    until(b'\x1b[?25h\x1b[?1049l')
    until(b'END 0.')
    modes(False)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(tty)
def pause(tty, until, modes):
    os.write(tty, b'\x1a')
    until(b'\x1b[?25h\x1b[?1049l')
    until(b'STOPPED.')
    modes(False)
    os.write(tty, b'\n')
    until(b'\x1b[?1049h')
    until(b'q ends')
    modes(True)
    os.write(tty, b'q')
run(lambda tty, until, modes: os.write(tty, b'xq'))
run(lambda tty, until, modes: os.write(tty, b'\x03'))
run(lambda tty, until, modes: os.write(tty, b'\x1c'))
run(pause)
";
    let mut python = Command::new("python3");
    stdout_of(python.args(["-c", terminal, env!("CARGO_BIN_EXE_slowfs"), &mount.addr]));
}
