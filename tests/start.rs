//! Starts that must fail clearly, with nothing left behind; and ends that must never hang.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output};
use std::time::{Duration, Instant};

use common::disk::Disk;
use common::{Mount, assert_fuse, hanging, is_fuse, is_ours, slowfs, stdout_of, text_of, wait_for};
use rustix::process::Signal;
use tempfile::TempDir;

/// A scratch directory with `raw` and `mnt` in it. Whatever a failed test leaves mounted there is
/// detached, which ends its daemon.
struct Scratch(TempDir);

fn scratch() -> Scratch {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("raw")).unwrap();
    fs::create_dir(scratch.path().join("mnt")).unwrap();
    Scratch(scratch)
}

impl Scratch {
    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        common::detach_all(&self.path().join("mnt"));
        common::detach_all(&self.path().join("raw"));
    }
}

fn mount(scratch: &Path, mountpoint: &str, subdir: &str, options: &[&str]) -> Output {
    let mut command = slowfs();
    command.arg("mount").arg(scratch.join(mountpoint)).arg("--subdir").arg(scratch.join(subdir));
    command.args(["--listen", "127.0.0.1:0"]).args(options).output().unwrap()
}

/// One line that names each of `words`, exit code `code`, nothing mounted.
fn assert_refused(output: &Output, code: i32, words: &[&str], mountpoint: &Path) {
    let text = text_of(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    let message: Vec<_> = text.lines().filter(|l| l.starts_with("slowfs: ")).collect();
    assert_eq!(message.len(), 1, "one line of error:\n{text}");
    for word in words {
        assert!(message[0].contains(word), "{word:?} in {:?}", message[0]);
    }
    assert!(!is_ours(mountpoint), "{} is mounted", mountpoint.display());
}

/// A child that another test starts holds copies of our open files until it has become another
/// program.
fn umount_when_idle(mountpoint: &Path) {
    wait_for("the mount to be idle", || {
        slowfs().arg("umount").arg(mountpoint).output().unwrap().status.success().then_some(())
    });
}

#[test]
fn a_missing_mountpoint_is_refused() {
    let s = scratch();
    let output = mount(s.path(), "none", "raw", &[]);
    assert_refused(&output, 1, &["none", "No such file or directory"], &s.path().join("none"));
}

#[test]
fn a_file_as_mountpoint_is_refused() {
    let s = scratch();
    fs::write(s.path().join("file"), "").unwrap();
    let output = mount(s.path(), "file", "raw", &[]);
    assert_refused(&output, 1, &["file", "Not a directory"], &s.path().join("file"));
}

#[test]
fn a_missing_subdir_is_refused() {
    let s = scratch();
    let output = mount(s.path(), "mnt", "none", &[]);
    assert_refused(&output, 1, &["mirror", "none", "No such file"], &s.path().join("mnt"));
}

#[test]
fn a_file_as_subdir_is_refused() {
    let s = scratch();
    fs::write(s.path().join("file"), "").unwrap();
    let output = mount(s.path(), "mnt", "file", &[]);
    assert_refused(&output, 1, &["mirror", "file", "Not a directory"], &s.path().join("mnt"));
}

#[test]
fn an_unreadable_subdir_is_refused() {
    let s = scratch();
    fs::set_permissions(s.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::set_permissions(s.path().join("raw"), PermissionsExt::from_mode(0o000)).unwrap();
    let program = s.path().join("slowfs");
    copy_program(&program);
    let mut command = Command::new(&program);
    command.arg("mount").arg(s.path().join("mnt")).arg("--subdir").arg(s.path().join("raw"));
    let output = command.args(["--listen", "none"]).uid(65534).gid(65534).output().unwrap();
    assert_refused(&output, 1, &["mirror", "raw", "Permission denied"], &s.path().join("mnt"));
}

#[test]
fn a_mountpoint_inside_the_mirrored_directory_is_refused() {
    let s = scratch();
    fs::create_dir(s.path().join("raw/inside")).unwrap();
    let output = mount(s.path(), "raw/inside", "raw", &[]);
    assert_refused(&output, 1, &["raw/inside", "lies inside"], &s.path().join("raw/inside"));
}

#[test]
fn a_second_mirror_on_the_same_mountpoint_is_refused() {
    let mount_one = Mount::new();
    let output = mount(mount_one.scratch(), "mnt", "raw", &[]);
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("already a fuse.slowfs mount"), "{text}");
    assert_fuse(&mount_one.mnt());
    mount_one.client().info().unwrap();
}

#[test]
fn a_taken_port_mounts_nothing() {
    let s = scratch();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = mount(s.path(), "mnt", "raw", &["--listen", &address]);
    // clap takes the last --listen only if told so; the harness gives its own first.
    let words = [address.as_str(), "in use", "another port", "nothing was mounted"];
    assert_refused(&output, 1, &words, &s.path().join("mnt"));
}

#[test]
fn a_mount_that_lost_its_daemon_is_detached_and_reused() {
    let mut mount = Mount::new();
    fs::write(mount.mnt().join("kept"), "kept").unwrap();
    mount.signal(Signal::KILL);
    mount.wait();
    assert!(is_ours(&mount.mnt()), "the dead mount is still there");
    mount.start(&[] as &[&str]);
    mount.wait_until_logged("without a daemon");
    assert_eq!(fs::read_to_string(mount.mnt().join("kept")).unwrap(), "kept");
    mount.stop();
}

#[test]
fn without_the_device_the_start_says_what_to_do() {
    let s = scratch();
    // A mount namespace of its own, in which /dev has no fuse.
    let script = format!(
        "mount -t tmpfs none /dev && exec {} mount {m} --subdir {r} --listen none",
        env!("CARGO_BIN_EXE_slowfs"),
        m = s.path().join("mnt").display(),
        r = s.path().join("raw").display()
    );
    let output = Command::new("unshare").args(["-m", "sh", "-c", &script]).output().unwrap();
    assert_refused(&output, 1, &["/dev/fuse", "modprobe fuse"], &s.path().join("mnt"));
}

/// By another process: what a thread of this one starts meanwhile would have the copy open for writing,
/// and nobody may execute it then.
fn copy_program(to: &Path) {
    stdout_of(Command::new("cp").arg(env!("CARGO_BIN_EXE_slowfs")).arg(to));
}

#[test]
fn an_ordinary_user_without_the_helper_is_told_of_it() {
    let s = scratch();
    fs::set_permissions(s.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let program = s.path().join("slowfs");
    copy_program(&program);
    let mut command = Command::new(&program);
    command.arg("mount").arg(s.path().join("mnt")).arg("--subdir").arg(s.path().join("raw"));
    command.args(["--listen", "none"]).env("PATH", "/nowhere").uid(65534).gid(65534);
    let output = command.output().unwrap();
    assert_refused(&output, 1, &["fusermount3", "fuse3"], &s.path().join("mnt"));
}

/// The helper says no more than that it cannot.
#[test]
fn an_ordinary_user_without_the_device_is_told_what_says_more() {
    let s = scratch();
    fs::set_permissions(s.path(), PermissionsExt::from_mode(0o755)).unwrap();
    copy_program(&s.path().join("slowfs"));
    let script = "chown 65534:65534 raw mnt && mount -t tmpfs none /dev && \
                  exec setpriv --reuid 65534 --regid 65534 --clear-groups \
                  ./slowfs mount mnt --subdir raw --listen none";
    let mut command = Command::new("unshare");
    let output = command.args(["-m", "sh", "-c", script]).current_dir(s.path()).output().unwrap();
    assert_refused(&output, 1, &["fusermount3: ", "`slowfs doctor`"], &s.path().join("mnt"));
}

#[test]
fn usage_errors_end_with_two_and_a_suggestion() {
    let s = scratch();
    let output = mount(s.path(), "mnt", "raw", &["-o", "allow_othr"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text_of(&output).contains("did you mean allow_other"), "{}", text_of(&output));
    let output = mount(s.path(), "mnt", "raw", &["--dierct-io"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text_of(&output).contains("--direct-io"), "{}", text_of(&output));
}

#[test]
fn daemon_returns_when_the_mount_answers() {
    let s = scratch();
    let (mnt, pid_file) = (s.path().join("mnt"), s.path().join("pid"));
    let pid_option = pid_file.display().to_string();
    let output = mount(s.path(), "mnt", "raw", &["--daemon", "--pid-file", &pid_option]);
    assert!(output.status.success(), "{}", text_of(&output));
    assert_fuse(&mnt);
    fs::write(mnt.join("file"), "x").unwrap();
    umount_when_idle(&mnt);
    wait_for("the daemon to end", || (!pid_file.exists()).then_some(()));
    assert!(!is_fuse(&mnt));
}

#[test]
fn daemon_reports_why_it_failed() {
    let s = scratch();
    let output = mount(s.path(), "mnt", "none", &["--daemon"]);
    assert_refused(&output, 1, &["mirror", "none"], &s.path().join("mnt"));
}

/// It would keep the standard output of who typed it, who may wait for its end.
#[test]
fn none_goes_to_the_background_without_dev_null() {
    let s = scratch();
    let told = s.path().join("told");
    let script = "mount -t tmpfs none /dev && mknod /dev/fuse c 10 229 && exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-ec", script, "sh", env!("CARGO_BIN_EXE_slowfs"), "mount"]);
    command.arg(s.path().join("raw")).arg(s.path().join("mnt")).args(["--listen", "none"]);
    command.args(["--daemon", "--end-with", &std::process::id().to_string()]);
    let file = fs::File::create(&told).unwrap();
    let status = command.stdout(file.try_clone().unwrap()).stderr(file).status().unwrap();
    let told = fs::read_to_string(&told).unwrap();
    assert_eq!(status.code(), Some(1), "{told}");
    let why = "slowfs: cannot go to the background: cannot open /dev/null: No such file";
    assert!(told.starts_with(why) && told.lines().count() == 1, "{told}");
}

#[test]
fn each_signal_releases_and_unmounts_within_two_seconds() {
    let by_users = [Signal::TERM, Signal::INT, Signal::HUP, Signal::QUIT];
    // Whose default is to end a process.
    let others = [Signal::USR1, Signal::ALARM, Signal::XCPU];
    for signal in by_users.into_iter().chain(others) {
        let mut mount = Mount::new();
        // Busy in both ways: an open file, and an operation held for ever.
        let open = fs::File::create(mount.mnt().join("open")).unwrap();
        mount.add(&hanging(&["mkdir"]));
        let dir = mount.mnt().join("held");
        let held = std::thread::spawn(move || fs::create_dir(dir));
        wait_for("the mkdir to be held", || {
            (mount.client().list_faults().unwrap()[0].held == 1).then_some(())
        });
        let started = Instant::now();
        mount.signal(signal);
        assert!(mount.wait().success(), "{}", mount.log_text());
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        held.join().unwrap().unwrap();
        assert!(mount.raw().join("held").is_dir(), "what was held ran");
        assert!(!is_ours(&mount.mnt()));
        drop(open);
    }
}

/// A process that lasts until it is killed.
fn companion() -> Child {
    Command::new("sleep").arg("infinity").spawn().unwrap()
}

#[test]
fn it_ends_with_the_process_that_it_was_told_however_that_ends() {
    let mut process = companion();
    let mut mount = Mount::with(&["--end-with".to_owned(), process.id().to_string()]);
    let open = fs::File::create(mount.mnt().join("open")).unwrap();
    mount.add(&hanging(&["mkdir"]));
    let dir = mount.mnt().join("held");
    let held = std::thread::spawn(move || fs::create_dir(dir));
    wait_for("the mkdir to be held", || {
        (mount.client().list_faults().unwrap()[0].held == 1).then_some(())
    });
    process.kill().unwrap();
    // As long as nobody has waited for it, it is there still, but has ended.
    assert!(mount.wait().success(), "{}", mount.log_text());
    mount.wait_until_logged(&format!("process {} has ended", process.id()));
    held.join().unwrap().unwrap();
    assert!(mount.raw().join("held").is_dir(), "what was held ran");
    assert!(!is_ours(&mount.mnt()));
    drop(open);
    process.wait().unwrap();
}

#[test]
fn one_that_is_detached_and_in_use_ends_with_its_process_too() {
    let mut process = companion();
    let mut mount = Mount::with(&["--end-with".to_owned(), process.id().to_string()]);
    let open = fs::File::create(mount.mnt().join("open")).unwrap();
    common::detach_all(&mount.mnt());
    mount.wait_until_logged("was unmounted");
    open.sync_all().expect("served as long as a file is open");
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(mount.wait().success(), "{}", mount.log_text());
    open.sync_all().expect_err("by nobody");
}

#[test]
fn a_process_to_end_with_that_is_not_there_is_refused() {
    let s = scratch();
    let mut process = companion();
    process.kill().unwrap();
    process.wait().unwrap();
    let gone = process.id().to_string();
    for daemon in [&["--end-with", &gone][..], &["--end-with", &gone, "--daemon"]] {
        let output = mount(s.path(), "mnt", "raw", daemon);
        let words = ["cannot end with process", &gone, "No such process"];
        assert_refused(&output, 1, &words, &s.path().join("mnt"));
    }
}

#[test]
fn a_start_that_fails_after_the_mount_leaves_none() {
    let s = scratch();
    let file = s.path().join("none/pid").display().to_string();
    for daemon in [&["--pid-file", &file][..], &["--pid-file", &file, "--daemon"]] {
        let output = mount(s.path(), "mnt", "raw", daemon);
        assert_refused(&output, 1, &["pid file", &file, "No such file"], &s.path().join("mnt"));
    }
}

#[test]
fn a_mirror_of_root_lets_everybody_in_unless_it_is_private() {
    for (options, lets_in) in [(&[][..], true), (&["--private"], false)] {
        let mount = Mount::with(options);
        fs::write(mount.mnt().join("file"), "text").unwrap();
        let mut reader = Command::new("cat");
        let output = reader.arg(mount.mnt().join("file")).uid(65534).gid(65534).output().unwrap();
        assert_eq!(output.status.success(), lets_in, "{options:?}: {}", text_of(&output));
    }
}

#[test]
fn without_permission_checks_others_stay_outside() {
    use std::os::unix::fs::MetadataExt;
    let mount = Mount::with(&["-o", "no_default_permissions"]);
    fs::write(mount.mnt().join("secret"), "secret").unwrap();
    assert_eq!(fs::metadata(mount.raw().join("secret")).unwrap().uid(), 0);
    let mut reader = Command::new("cat");
    let output = reader.arg(mount.mnt().join("secret")).uid(65534).gid(65534).output().unwrap();
    assert!(text_of(&output).contains("Permission denied"), "{}", text_of(&output));
}

/// A disk that does not answer until it is thawed.
struct Frozen(Disk);

impl Frozen {
    fn freeze(disk: Disk) -> Frozen {
        stdout_of(Command::new("fsfreeze").arg("-f").arg(disk.path()));
        Frozen(disk)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        let _ = Command::new("fsfreeze").arg("-u").arg(self.0.path()).output();
    }
}

/// The control filesystem at its place, as systemd mounts it.
struct ControlMounted(bool);

impl ControlMounted {
    const PLACE: &str = "/sys/fs/fuse/connections";

    fn mount() -> ControlMounted {
        let flags = rustix::mount::MountFlags::empty();
        match rustix::mount::mount("none", ControlMounted::PLACE, "fusectl", flags, None) {
            Err(rustix::io::Errno::BUSY) => ControlMounted(false),
            mounted => ControlMounted(mounted.map(|()| true).unwrap()),
        }
    }
}

impl Drop for ControlMounted {
    fn drop(&mut self) {
        if self.0 {
            let detach = rustix::mount::UnmountFlags::DETACH;
            let _ = rustix::mount::unmount(ControlMounted::PLACE, detach);
        }
    }
}

#[test]
fn a_backing_that_does_not_answer_keeps_no_caller_where_fusectl_is_mounted() {
    let _mounted = ControlMounted::mount();
    a_backing_that_does_not_answer_keeps_no_caller_after_sigterm();
}

#[test]
fn a_backing_that_does_not_answer_keeps_no_caller_after_sigterm() {
    let (disk, scratch) = (Disk::ext4(), tempfile::tempdir().unwrap());
    // Only what is mirrored is on the disk: the daemon's log must not wait for it.
    std::os::unix::fs::symlink(disk.path(), scratch.path().join("raw")).unwrap();
    let mut mount = Mount::over(scratch, &[] as &[&str]);
    let frozen = Frozen::freeze(disk);
    let dir = mount.mnt().join("blocked");
    let blocked = std::thread::spawn(move || fs::create_dir(dir));
    wait_for("the backing to block", || {
        let tasks = fs::read_dir(format!("/proc/{}/task", mount.pid())).unwrap();
        let states = tasks.map(|t| fs::read_to_string(t.unwrap().path().join("stat")).unwrap());
        states.into_iter().any(|s| s.contains(") D ")).then_some(())
    });
    let started = Instant::now();
    mount.signal(Signal::TERM);
    wait_for("the caller to be free", || blocked.is_finished().then_some(()));
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    assert!(blocked.join().unwrap().is_err());
    assert!(!is_ours(&mount.mnt()));
    // The daemon itself waits for the backing, as any process that asked it would.
    drop(frozen);
    mount.wait();
}

#[test]
fn umount_of_a_busy_mirror_is_refused_and_changes_nothing() {
    let mount = Mount::new();
    let open = fs::File::create(mount.mnt().join("open")).unwrap();
    let output = slowfs().arg("umount").arg(mount.mnt()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("files are open of"), "{}", text_of(&output));
    assert_fuse(&mount.mnt());
    mount.client().info().unwrap();
    drop(open);
}

#[test]
fn umount_from_outside_ends_the_daemon() {
    let mut mount = Mount::new();
    wait_for("the mount to be idle", || {
        Command::new("umount").arg(mount.mnt()).status().unwrap().success().then_some(())
    });
    assert!(mount.wait().success());
    assert!(!is_ours(&mount.mnt()));
}

#[test]
fn umount_of_what_is_no_mirror_is_refused() {
    let s = scratch();
    let output = slowfs().arg("umount").arg(s.path().join("mnt")).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("no mirror"), "{}", text_of(&output));
}

#[test]
fn a_lazy_unmount_releases_what_is_held_and_ends_with_the_last_file() {
    let mut mount = Mount::new();
    let open = fs::File::create(mount.mnt().join("open")).unwrap();
    mount.add(&hanging(&["mkdir"]));
    let dir = mount.mnt().join("held");
    let held = std::thread::spawn(move || fs::create_dir(dir));
    wait_for("the mkdir to be held", || {
        (mount.client().list_faults().unwrap()[0].held == 1).then_some(())
    });
    assert!(Command::new("umount").arg("-l").arg(mount.mnt()).status().unwrap().success());
    held.join().unwrap().unwrap();
    // The open file still works, then its close ends the daemon.
    open.set_len(10).unwrap();
    drop(open);
    assert!(mount.wait().success());
}

#[test]
fn a_forced_unmount_ends_the_daemon_and_leaves_no_dead_mount() {
    let mut mount = Mount::new();
    let open = fs::File::create(mount.mnt().join("open")).unwrap();
    let started = Instant::now();
    // Busy: umount -f aborts the connection and may still say EBUSY.
    let _ = Command::new("umount").arg("-f").arg(mount.mnt()).output().unwrap();
    let status = mount.wait();
    assert!(status.success(), "{status}: {}", mount.log_text());
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(!is_ours(&mount.mnt()));
    drop(open);
}

#[test]
fn over_the_mirrored_directory_itself() {
    let scratch = scratch();
    let dir = scratch.path().join("raw");
    fs::write(dir.join("before"), "before").unwrap();
    let mut daemon = slowfs();
    daemon.arg("mount").arg(&dir).args(["--listen", "none", "--daemon"]);
    assert!(daemon.status().unwrap().success());
    assert_fuse(&dir);
    assert_eq!(fs::read_to_string(dir.join("before")).unwrap(), "before");
    fs::write(dir.join("during"), "during").unwrap();
    umount_when_idle(&dir);
    assert_eq!(fs::read_to_string(dir.join("during")).unwrap(), "during");
}
