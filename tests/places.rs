//! What a daemon takes for itself: its files, its mount, its place. And that it takes nobody else's.
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
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Mount, is_ours, slowfs, text_of, wait_for};

fn mount(scratch: &Path, options: &[&str]) -> Command {
    let [mnt, raw] = ["mnt", "raw"].map(|name| scratch.join(name));
    let _ = fs::create_dir(&mnt);
    let _ = fs::create_dir(&raw);
    let mut command = slowfs();
    command.arg("mount").arg(mnt).arg("--subdir").arg(raw).args(["--listen", "127.0.0.1:0"]);
    command.args(options);
    command
}

/// How the start fails; one that goes on instead is ended.
fn refusal(command: &mut Command) -> String {
    let child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let output = ends_within(Duration::from_secs(10), child);
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    text_of(&output)
}

fn ends_within(limit: Duration, mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > limit {
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            std::thread::sleep(Duration::from_secs(1));
            let _ = child.kill();
            panic!("did not end within {limit:?}: {}", text_of(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_pid_file_belongs_to_one_daemon() {
    let scratch = common::scratch();
    let file = scratch.path().join("pid").display().to_string();
    let mut first = Mount::with(&["--pid-file", &file]);
    let pid = format!("{}\n", first.pid());
    wait_for("the pid file", || (fs::read_to_string(&file).ok()? == pid).then_some(()));
    let said = refusal(&mut mount(scratch.path(), &["--pid-file", &file]));
    assert!(said.contains(&format!("(pid {}) runs with it", first.pid())), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), pid);
    first.stop();
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_pid_file_that_is_a_link_is_refused_and_its_target_kept() {
    let scratch = common::scratch();
    let [target, link] = ["target", "link"].map(|name| scratch.path().join(name));
    fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let said = refusal(&mut mount(scratch.path(), &["--pid-file", link.to_str().unwrap()]));
    assert!(said.contains("symbolic link"), "{said}");
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert!(!is_ours(&scratch.path().join("mnt")));
}

#[test]
fn a_pid_file_that_is_a_fifo_is_refused() {
    let scratch = common::scratch();
    let fifo = scratch.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let said = refusal(&mut mount(scratch.path(), &["--pid-file", fifo.to_str().unwrap()]));
    assert!(said.contains("no regular file"), "{said}");
    assert!(!is_ours(&scratch.path().join("mnt")));
}

#[test]
fn a_request_timeout_of_the_kernel_draws_a_warning() {
    alone::run(
        r#"
settings=/proc/sys/fs/fuse
# Older kernels have neither.
[ -e $settings/default_request_timeout ] || { [ ! -e $settings/max_request_timeout ]; exit; }
for name in default_request_timeout max_request_timeout; do
    echo 3600 >timeout
    mount --bind timeout $settings/$name
    slowfs mount mnt --subdir raw --listen none --daemon --log-file log
    grep -q "fs.fuse.$name is 3600: the kernel aborts" log || die 'no warning'
    [ "$(grep -c 'the kernel aborts' log)" = 1 ] || die 'a warning too many'
    rm log
    umount mnt
    soon ended slowfs
    umount $settings/$name
done
"#,
    );
}
