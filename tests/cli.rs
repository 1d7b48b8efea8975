//! The control commands as a user types them: what they print, how they end, what they refuse.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::{Mount, errno_of, slowfs, stdout_of, text_of, wait_for};
use serde_json::Value;

/// Runs `slowfs WORDS... --addr ADDR`.
fn control(mount: &Mount, words: &[&str]) -> Output {
    slowfs().args(words).args(["--addr", &mount.addr]).output().unwrap()
}

fn ok(mount: &Mount, words: &[&str]) -> String {
    let output = control(mount, words);
    assert!(output.status.success(), "{words:?}: {}", text_of(&output));
    assert!(output.stderr.is_empty(), "{words:?} warned: {}", text_of(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn json(mount: &Mount, words: &[&str]) -> Value {
    serde_json::from_str(&ok(mount, &[words, &["--json"]].concat())).unwrap()
}

/// Refused before anything is sent: exit code 2 and every one of `parts` in what it says.
fn usage_error(words: &[&str], parts: &[&str]) {
    let output = slowfs().args(words).args(["--addr", "127.0.0.1:1"]).output().unwrap();
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {text}");
    assert_eq!(text.lines().count(), 1, "{words:?}: {text}");
    for part in parts {
        assert!(text.contains(part), "{words:?}: {part:?} in {text}");
    }
}

#[test]
fn a_fault_is_set_listed_and_cleared() {
    let mount = Mount::new();
    let dir = mount.mnt().join("dir");
    ok(&mount, &["error", "ENOSPC", "-m", "mkdir", "-r", ".*/dir", "-p", "100%"]);
    assert_eq!(errno_of(fs::create_dir(&dir)), libc::ENOSPC);
    let table = ok(&mount, &["list"]);
    for part in ["ENOSPC", "mkdir", ".*/dir", "100%"] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    let listed = &json(&mount, &["list"])["faults"][0];
    assert_eq!(listed["matched"], 1);
    assert_eq!(listed["fired"], 1);
    assert_eq!(listed["held"], 0);
    let id = listed["id"].to_string();
    ok(&mount, &["clear", &id]);
    fs::create_dir(&dir).unwrap();
    assert!(json(&mount, &["list"])["faults"].as_array().unwrap().is_empty());
}

#[test]
fn faults_that_have_gone_are_listed_with_the_reason() {
    let mount = Mount::new();
    assert_eq!(ok(&mount, &["list", "--ended"]), "no fault has gone\n");
    ok(&mount, &["error", "EIO", "-m", "mkdir", "--count", "1"]);
    assert_eq!(errno_of(fs::create_dir(mount.mnt().join("dir"))), libc::EIO);
    assert_eq!(ok(&mount, &["list"]), "no faults\n");
    ok(&mount, &["delay", "1s", "-m", "rmdir"]);
    ok(&mount, &["hang", "-m", "rmdir", "--for", "20ms"]);
    common::wait_for("it to expire", || {
        let ended = json(&mount, &["list", "--ended"])["ended"].clone();
        let ended = ended.as_array().unwrap();
        let why: Vec<_> = ended.iter().map(|f| f["why"].as_str().unwrap().to_owned()).collect();
        (why == ["spent", "replaced", "expired"]).then_some(())
    });
    ok(&mount, &["kill", "-m", "rmdir"]);
    ok(&mount, &["clear"]);
    let table = ok(&mount, &["list", "--ended"]);
    for part in ["ENDED", "spent ", "replaced ", "expired ", "cleared ", "error EIO"] {
        assert!(table.contains(part), "{part} in\n{table}");
    }
    // What is left of one that has gone is told.
    ok(&mount, &["error", "EIO", "-m", "read"]);
    fs::write(mount.mnt().join("file"), "x").unwrap();
    let _open = fs::File::open(mount.mnt().join("file")).unwrap();
    ok(&mount, &["clear"]);
    let warning = json(&mount, &["list"])["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.contains("1 file that was opened under it"), "{warning}");
}

#[test]
fn a_second_fault_replaces_its_methods_unless_added() {
    let mount = Mount::new();
    ok(&mount, &["error", "EIO", "-m", "mkdir,rmdir"]);
    ok(&mount, &["delay", "1ms", "-m", "mkdir", "-p", "50%"]);
    let methods = |listed: &Value| listed["fault"]["methods"].as_array().unwrap().len();
    let faults = json(&mount, &["list"])["faults"].clone();
    assert_eq!(faults.as_array().unwrap().iter().map(methods).collect::<Vec<_>>(), [1, 1]);
    ok(&mount, &["kill", "-m", "mkdir", "-p", "1%", "--add"]);
    assert_eq!(json(&mount, &["list"])["faults"].as_array().unwrap().len(), 3);
    ok(&mount, &["clear", "mkdir"]);
    assert_eq!(json(&mount, &["list"])["faults"].as_array().unwrap().len(), 1);
    ok(&mount, &["clear"]);
    assert!(json(&mount, &["list"])["faults"].as_array().unwrap().is_empty());
}

#[test]
fn stats_count_calls_and_errors_and_time_them_while_a_fault_is_set() {
    let mount = Mount::new();
    let of = |name: &str| {
        let stats = json(&mount, &["stats"]);
        let methods = stats["methods"].as_array().unwrap().clone();
        methods.into_iter().find(|m| m["name"] == name).unwrap()
    };
    fs::create_dir(mount.mnt().join("a")).unwrap();
    assert_eq!((&of("mkdir")["calls"], &of("mkdir")["errors"]), (&1.into(), &0.into()));
    assert_eq!(of("mkdir")["latency"], Value::Null);
    assert!(ok(&mount, &["stats"]).contains("slowfs mount --stats"));
    ok(&mount, &["delay", "20ms", "-m", "mkdir"]);
    fs::create_dir(mount.mnt().join("b")).unwrap();
    fs::create_dir(mount.mnt().join("b")).unwrap_err();
    assert_eq!(of("rmdir")["calls"], 0);
    ok(&mount, &["error", "EIO", "-m", "mkdir,rmdir"]);
    fs::create_dir(mount.mnt().join("c")).unwrap_err();
    fs::remove_dir(mount.mnt().join("b")).unwrap_err();
    let mkdir = of("mkdir");
    assert!(mkdir["calls"].as_i64() >= Some(3) && mkdir["errors"].as_i64() >= Some(1), "{mkdir}");
    assert!(mkdir["latency"]["max_ns"].as_i64() >= Some(20_000_000), "{mkdir}");
    assert_eq!((&of("rmdir")["calls"], &of("rmdir")["errors"]), (&1.into(), &1.into()));
    let table = ok(&mount, &["stats"]);
    let line = table.lines().find(|l| l.starts_with("mkdir")).unwrap();
    assert!(line.contains("ms"), "{table}");
}

#[test]
fn a_mount_with_stats_times_everything() {
    let mount = Mount::with(&["--stats", "--seed", "7", "--read-only", "--threads", "3"]);
    fs::create_dir(mount.mnt().join("a")).unwrap_err();
    fs::metadata(mount.mnt()).unwrap();
    let stats = json(&mount, &["stats"]);
    let methods = stats["methods"].as_array().unwrap();
    let timed = |m: &&Value| m["calls"] != 0;
    assert!(methods.iter().filter(timed).all(|m| m["latency"]["timed"] == m["calls"]), "{stats}");
    let info = json(&mount, &["ping"]);
    for (field, value) in
        [("stats", true), ("seeded", true), ("read_only", true), ("direct_io", false)]
    {
        assert_eq!(info[field], value, "{field}");
    }
    assert_eq!((&info["threads"], &info["probability_scale"]), (&3.into(), &"auto".into()));
    assert!(info["fuse_protocol"].as_str().unwrap().starts_with("7."));
    let got = info["capabilities"].as_array().unwrap();
    assert!(got.contains(&"FUSE_AUTO_INVAL_DATA".into()), "{info}");
    let text = ok(&mount, &["ping"]);
    for part in ["3 threads", "read-only", "dice seeded", "every operation timed", "auto_inval"] {
        assert!(text.contains(part), "{part} in {text}");
    }
}

#[test]
fn addresses_are_asked_at_once_and_reported_in_order() {
    let mount = Mount::new();
    // They accept and never answer: each costs the whole timeout.
    let mute: Vec<_> =
        (0..3).map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let mut addrs: Vec<_> = mute.iter().map(|l| l.local_addr().unwrap().to_string()).collect();
    addrs.insert(1, mount.addr.clone());
    let begun = Instant::now();
    let output = slowfs().args(["ping", "--json", "--addr", &addrs.join(",")]).output().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10), "one after the other");
    assert_eq!(output.status.code(), Some(1));
    let lines: Vec<Value> = String::from_utf8(output.stdout).unwrap().lines().map(parse).collect();
    let reported: Vec<_> = lines.iter().map(|l| l["addr"].as_str().unwrap()).collect();
    assert_eq!(reported, addrs);
    let ok: Vec<_> = lines.iter().map(|l| l["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [false, true, false, false]);
}

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[test]
fn watch_prints_a_line_per_interval_when_piped() {
    let mount = Mount::new();
    ok(&mount, &["delay", "1ms", "-m", "mkdir"]);
    let working = Working::on(&mount);
    let text = ok(&mount, &["watch", "--interval", "100ms", "--count", "2"]);
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    for part in ["calls/s", "mkdir ", "p99 ", "fault 1 (delay 1ms)", &mount.addr] {
        assert!(lines.iter().all(|l| l.contains(part)), "{part} in {text}");
    }
    let text = ok(&mount, &["watch", "--interval", "100ms", "--count", "2", "--json"]);
    for line in text.lines().map(parse) {
        let methods = line["methods"].as_array().unwrap();
        let mkdir = methods.iter().find(|m| m["name"] == "mkdir").unwrap();
        assert!(mkdir["calls_per_s"].as_f64() > Some(0.0), "{line}");
        assert!(mkdir["latency"]["p50_ns"].as_i64() >= Some(1_000_000), "{line}");
        assert_eq!((&line["faults"][0]["id"], &line["ok"]), (&1.into(), &true.into()));
    }
    drop(working);
}

#[test]
fn watch_ends_when_its_reader_does() {
    let mount = Mount::new();
    let mut watch = slowfs();
    watch.args(["watch", "--interval", "10ms", "--addr", &mount.addr]).stdout(Stdio::piped());
    let mut watch = watch.spawn().unwrap();
    drop(watch.stdout.take());
    let status = wait_for("watch to end", || watch.try_wait().unwrap());
    assert!(status.success(), "{status}");
}

/// Whoever reads a file that should have it takes what is there for all.
#[test]
fn what_cannot_be_printed_is_an_error() {
    let mount = Mount::new();
    let addr = ["--addr", &mount.addr];
    let full = || File::options().write(true).open("/dev/full").unwrap();
    for words in [
        &["kinds"][..],
        &["kinds", "--json"],
        &["--version"],
        &["delay", "--help"],
        &[],
        &["recipe", "--list"],
        &[&["ping"], &addr[..]].concat(),
        &[&["list", "--json"], &addr[..]].concat(),
        &[&["watch", "--count", "1", "--interval", "10ms", "--json"], &addr[..]].concat(),
    ] {
        let output = slowfs().args(words).stdout(full()).output().unwrap();
        let told = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {told}");
        let wanted = "slowfs: cannot write to standard output: No space left on device\n";
        assert_eq!(told, wanted, "{words:?}");
    }
    // One who reads no further has what he wanted.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = slowfs().arg("kinds").stdout(writer).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text_of(&output));
}

#[test]
fn watch_of_nobody_ends_with_one_line() {
    let output = slowfs().args(["watch", "--addr", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(text_of(&output).lines().count(), 1, "{}", text_of(&output));
}

#[test]
fn watch_redraws_within_a_terminal_and_leaves_it_as_it_was() {
    let mount = Mount::new();
    ok(&mount, &["delay", "1ms", "-m", "mkdir,rmdir,rename,link,symlink"]);
    let working = Working::on(&mount);
    let terminal = r"
import fcntl, os, pty, select, struct, sys, termios, time
def resize(tty, rows, columns):
    fcntl.ioctl(tty, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))
pid, tty = pty.fork()
if pid == 0:
    os.environ['TERM'] = 'xterm'
    resize(0, 5, 40)
    os.execv(sys.argv[1], [sys.argv[1], 'watch', '--interval', '50ms', '--addr', sys.argv[2]])
seen = b''
def until(what):
    global seen
    end = time.time() + 20
    while what not in seen:
        assert time.time() < end, (what, seen)
        if select.select([tty], [], [], 0.1)[0]:
            seen += os.read(tty, 65536)
until(b'calls/s')
resize(tty, 30, 120)
until(b'METHOD  ')
os.write(tty, b'\x03')
until(b'\x1b[?25h\x1b[?1049l')
assert seen.startswith(b'\x1b[?1049h\x1b[?25l\x1b[H'), seen
assert b'\x1b[2J' not in seen, seen
first = seen.split(b'\x1b[H')[1].replace(b'\r', b'').split(b'\n')
assert len(first) == 5 and b'more lines' in first[4], first
assert all(len(line.split(b'\x1b[K')[0]) < 40 + len(b'\x1b[1m\x1b[0m') for line in first), first
try:
    while os.read(tty, 65536): pass
except OSError:
    pass
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
";
    let program = env!("CARGO_BIN_EXE_slowfs");
    let mut python = Command::new("python3");
    stdout_of(python.args(["-c", terminal, program, &mount.addr]));
    drop(working);
}

/// Makes and removes directories until dropped.
struct Working(Arc<AtomicBool>, Option<JoinHandle<()>>);

impl Working {
    fn on(mount: &Mount) -> Working {
        let (goes_on, dir) = (Arc::new(AtomicBool::new(true)), mount.mnt().join("work"));
        let flag = Arc::clone(&goes_on);
        let work = move || {
            while flag.load(Ordering::Relaxed) {
                fs::create_dir(&dir).unwrap();
                fs::remove_dir(&dir).unwrap();
            }
        };
        Working(goes_on, Some(std::thread::spawn(work)))
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
        self.1.take().unwrap().join().unwrap();
    }
}

#[test]
fn methods_and_ping_tell_of_the_mount() {
    let mount = Mount::new();
    let methods = ok(&mount, &["methods"]);
    let lock = methods.lines().find(|l| l.starts_with("lock")).unwrap();
    assert!(lock.contains("locks stay with the kernel"), "{lock}");
    assert_eq!(json(&mount, &["methods"])["methods"].as_array().unwrap().len(), 43);
    let answer = ok(&mount, &["ping"]);
    assert!(answer.contains(&mount.mnt().display().to_string()), "{answer}");
    assert_eq!(json(&mount, &["ping"])["pid"], u64::from(mount.pid()));
}

#[test]
fn unknown_names_are_refused_with_the_nearest_known() {
    usage_error(&["delay", "1ms", "-m", "fsycn"], &["fsycn", "fsync"]);
    usage_error(&["error", "ENOSPCE", "-m", "write"], &["ENOSPCE", "ENOSPC"]);
    usage_error(&["delay", "1ms", "--metods", "write"], &["--metods", "--methods"]);
    usage_error(&["dealy", "1ms", "-m", "write"], &["dealy", "delay"]);
    usage_error(&["clear", "delay"], &["delay", "kind of fault"]);
    usage_error(&["list", "--addr", "127.0.0.1:99999"], &["127.0.0.1:99999", "`slowfs help list`"]);
    usage_error(&["delay", "0s", "-m", "write"], &["does nothing"]);
    usage_error(&["rot", "stale", "-r", "x"], &["flip, flip:BITS, zero or random"]);
    usage_error(&["rot", "--unit", "500", "-r", "x"], &["500", "power of two"]);
    usage_error(&["rot", "--unit", "1MiB", "--length", "2", "-r", "x"], &["1MiB", "larger than"]);
    usage_error(&["rot"], &["-r"]);
    usage_error(&["watch", "--interval", "1ms"], &["10ms"]);
}

#[test]
fn values_out_of_range_are_refused() {
    usage_error(&["error", "600", "-m", "write"], &["600", "511"]);
    usage_error(&["error", "ENOSYS", "-m", "fsync"], &["ENOSYS", "EOPNOTSUPP"]);
    usage_error(&["delay", "-1ms", "-m", "write"], &[]);
    usage_error(&["delay", "soon", "-m", "write"], &["soon"]);
    usage_error(&["delay", "1ms", "-m", "write", "-p", "1.5"], &["1.5"]);
    usage_error(&["delay", "1ms", "-m", "write", "-r", "(unclosed"], &["(unclosed"]);
    usage_error(&["delay", "1ms", "-m", "write", "--count", "0"], &["0"]);
}

#[test]
fn nobody_there_is_one_line_and_exit_code_one() {
    let output = slowfs().args(["ping", "--addr", "127.0.0.1:1"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = text_of(&output);
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains("127.0.0.1:1") && text.contains("connection refused"), "{text}");
}

#[test]
fn faults_given_at_the_mount_hold_before_the_first_operation() {
    let mount = Mount::with(&[
        "--fault",
        "error EIO -m mkdir -r '.*/a'",
        "--fault",
        "error EROFS -m rmdir",
    ]);
    assert_eq!(errno_of(fs::create_dir(mount.mnt().join("a"))), libc::EIO);
    fs::create_dir(mount.mnt().join("b")).unwrap();
    assert_eq!(errno_of(fs::remove_dir(mount.mnt().join("b"))), libc::EROFS);
}

#[test]
fn log_ops_writes_one_line_per_operation_in_the_words_of_the_commands() {
    let mount = Mount::with(&["--log-ops"]);
    let (mnt, raw) = (mount.mnt(), mount.raw().display().to_string());
    let file = fs::File::create(mnt.join("file")).unwrap();
    file.write_all_at(b"hello", 3).unwrap();
    ok(&mount, &["delay", "1ms", "-m", "mkdir"]);
    ok(&mount, &["error", "ENOSPC", "-m", "rename"]);
    fs::create_dir(mnt.join("made")).unwrap();
    assert_eq!(errno_of(fs::rename(mnt.join("file"), mnt.join("made/other"))), libc::ENOSPC);
    fs::hard_link(mnt.join("file"), mnt.join("linked")).unwrap();
    let copy = fs::File::create(mnt.join("copy")).unwrap();
    let from = fs::File::open(mnt.join("linked")).unwrap();
    assert_eq!(rustix::fs::copy_file_range(&from, Some(&mut 3), &copy, Some(&mut 1), 5), Ok(5));
    let me = fs::read_to_string("/proc/self/comm").unwrap();
    let me = format!("by {} (pid {}, ", me.trim_end(), std::process::id());
    for (begins, ends) in [
        (format!("write,write_buf {raw}/file, 5 bytes at 3, {me}"), " us"),
        (format!("mkdir {raw}/made, {me}"), " us, held by fault 1"),
        (format!("link {raw}/file -> {raw}/linked, {me}"), " us"),
        (
            format!(
                "copy_file_range,read,read_buf,write,write_buf {raw}/linked -> {raw}/copy, \
                 5 bytes at 1, {me}"
            ),
            " us",
        ),
        (
            format!("rename {raw}/file -> {raw}/made/other, {me}"),
            ": ENOSPC, not run, failed by fault 2",
        ),
    ] {
        // The log has a thread of its own.
        let line = wait_for(&begins, || {
            let log = mount.log_text();
            let mut lines = log.lines().filter(|line| line.contains(&format!(" {begins}")));
            let line = lines.next()?.to_owned();
            assert_eq!(lines.next(), None, "{begins} once");
            Some(line)
        });
        let outcome = if ends.contains("not run") { "ENOSPC" } else { "ok" };
        assert!(
            line.contains(&format!("uid 0, gid 0): {outcome}, ")) && line.ends_with(ends),
            "{line}"
        );
    }
}

#[test]
fn each_control_call_is_logged_with_its_peer_and_how_it_was_read() {
    let mount = Mount::new();
    ok(&mount, &["delay", "2ms", "-m", "fsync", "-p", "25%"]);
    let line = wait_for("the line of the call", || {
        let log = mount.log_text();
        log.lines().find(|l| l.contains("put_fault")).map(str::to_owned)
    });
    for part in ["127.0.0.1:", "2ms", "fsync", "25%"] {
        assert!(line.contains(part), "{part} in {line}");
    }
}
