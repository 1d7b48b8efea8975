//! Where the kernel cannot serve a file, what it takes, and how it ends.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use rustix::process::{Resource, Rlimit};

use super::common::{
    Within, errno_of, failing, is_fuse, passing, passing_over, slowfs, text_of, wait_for,
};
use super::{LOG, OPTIONS, calls, control, read_write, served, wait_until_open, with_log};

/// Inodes in use of the filesystem that `path` is on.
fn inodes(path: &Path) -> u64 {
    let stat = rustix::fs::statvfs(path).unwrap();
    stat.f_files - stat.f_ffree
}

#[test]
fn ten_thousand_opens_leave_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    // A file that the kernel still held would keep its inode.
    let _raw = Within::mount(scratch.path().join("raw"));
    let Some(mount) = passing_over(scratch, &OPTIONS) else { return };
    let limit = rustix::process::getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(Resource::Nofile, raised).unwrap();
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", mount.pid())).unwrap().count();
    let (before, empty) = (descriptors(), inodes(&mount.raw()));
    let name = |n: usize| mount.mnt().join(n.to_string());
    let mut open = Vec::new();
    for n in 0..10_000 {
        let file = read_write(name(n % 2_500));
        file.write_all_at(b"x", n as u64 / 2_500).unwrap();
        open.push(file);
        if open.len() == 700 {
            open.clear();
        }
    }
    assert_eq!(fs::read(name(0)).unwrap(), b"xxxx");
    drop(open);
    wait_until_open(&mount, 0);
    let files = served(&mount);
    assert!((2_500..=10_001).contains(&files.files) && files.refused == 0, "{files:?}");
    for n in 0..2_500 {
        fs::remove_file(name(n)).unwrap();
    }
    wait_for("every inode to be free", || (inodes(&mount.raw()) == empty).then_some(()));
    assert!(descriptors() <= before, "{} descriptors, {before} before", descriptors());
    assert_eq!(calls(&mount, "write"), 0);
}

/// An overlayfs of two tmpfs directories at `at`.
fn overlay(scratch: &Path, at: &Path) -> [Within; 2] {
    let layers = Within::mount(scratch.join("layers"));
    let [lower, upper, work] = ["lower", "upper", "work"].map(|d| scratch.join("layers").join(d));
    for dir in [&lower, &upper, &work] {
        fs::create_dir(dir).unwrap();
    }
    fs::write(lower.join("old"), "from below").unwrap();
    let [lower, upper, work] = [lower, upper, work].map(|dir| dir.display().to_string());
    let option = format!("lowerdir={lower},upperdir={upper},workdir={work}");
    [Within::mount_of("overlay", at.to_owned(), Some(&option)), layers]
}

/// Reads what overlayfs has below and copies it up.
fn use_overlay(dir: &Path) {
    let file = File::open(dir.join("old")).unwrap();
    let mut content = String::new();
    (&file).read_to_string(&mut content).unwrap();
    assert_eq!(content, "from below");
    drop(file);
    OpenOptions::new().append(true).open(dir.join("old")).unwrap().write_all(b", up").unwrap();
    assert_eq!(fs::read_to_string(dir.join("old")).unwrap(), "from below, up");
}

#[test]
fn overlayfs_behind_the_mirror_is_passed_through_too() {
    let scratch = tempfile::tempdir().unwrap();
    let _overlay = overlay(scratch.path(), &scratch.path().join("raw"));
    let Some(mount) = passing_over(scratch, &OPTIONS) else { return };
    fs::write(mount.mnt().join("new"), "new").unwrap();
    assert_eq!(fs::read(mount.mnt().join("new")).unwrap(), b"new");
    let files = served(&mount);
    assert!(files.files > 0 && files.refused == 0, "{files:?}");
    use_overlay(&mount.mnt());
    assert_eq!(calls(&mount, "write"), 0);
}

#[test]
fn files_that_the_kernel_refuses_stay_with_slowfs() {
    let scratch = tempfile::tempdir().unwrap();
    fs::create_dir(scratch.path().join("raw")).unwrap();
    let _overlay = overlay(scratch.path(), &scratch.path().join("raw/deeper"));
    let Some(mount) = passing_over(scratch, &OPTIONS) else { return };
    fs::write(mount.mnt().join("plain"), "plain").unwrap();
    assert_eq!(served(&mount).refused, 0);
    use_overlay(&mount.mnt().join("deeper"));
    let files = served(&mount);
    assert!(files.files > 0 && files.refused > 0, "{files:?}");
    mount.wait_until_logged("/deeper/old: the kernel cannot serve it by itself");
    assert!(text_of(&control(&mount, &["stats"])).contains("left to slowfs"));
    let file = read_write(mount.mnt().join("deeper/old"));
    mount.add(&failing(&["write"], "EIO"));
    assert_eq!(errno_of(file.write_at(b"x", 0)), libc::EIO);
}

#[test]
fn the_mount_ends_while_files_are_open() {
    let Some(mut mount) = with_log() else { return };
    let file = read_write(mount.mnt().join("data"));
    file.write_all_at(b"before", 0).unwrap();
    mount.stop();
    drop(file);
    assert_eq!(fs::read(mount.raw().join("data")).unwrap(), b"before");
}

#[test]
fn without_the_privilege_the_mount_is_refused() {
    let Some(privileged) = passing(LOG) else { return };
    drop(privileged);
    let scratch = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    // Root of a user namespace may mount, and no more.
    command.args(["--user", "--map-root-user", "--mount"]).arg(env!("CARGO_BIN_EXE_slowfs"));
    command.arg("mount").arg(scratch.path()).args(["--listen", "127.0.0.1:0"]);
    let output = command.args(["--passthrough-except", LOG]).output().unwrap();
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("--passthrough-except") && text.contains("CAP_SYS_ADMIN"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(!is_fuse(scratch.path()));
    let output = slowfs().args(["mount", "/", "--passthrough-except", "("]).output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
}
