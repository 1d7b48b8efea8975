//! Git: a repository is cloned, checked out here and there, packed anew and cloned again.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::{long_or, stdout_of};
use crate::{Check, kernel_writes_back, plain_directory, program};

cases!(on_disk: clone);

/// Files of each commit.
const FILES: usize = 20;

fn clone(dir: &Path) -> Check {
    let source = plain_directory();
    write_history(source.path());
    let there = dir.join("there");
    stdout_of(git(dir).args(["clone", "--quiet", "--no-local"]).arg(source.path()).arg(&there));
    must_be_whole(&there);
    let head = stdout_of(git(source.path()).args(["rev-parse", "HEAD"]));
    assert_eq!(stdout_of(git(&there).args(["rev-parse", "HEAD"])), head);
    for commit in ["master~20", "master~3", "master~35", "master"] {
        stdout_of(git(&there).args(["checkout", "--quiet", commit]));
        must_be_clean(&there);
    }
    // The objects are hard links of the first clone's.
    let again = dir.join("again");
    stdout_of(git(dir).args(["clone", "--quiet"]).arg(&there).arg(&again));
    stdout_of(git(&again).args(["mv", "dir1", "moved"]));
    let author = ["-c", "user.name=a", "-c", "user.email=a@example.com"];
    stdout_of(git(&again).args(author).args(["commit", "--quiet", "--message", "Move"]));
    stdout_of(git(&again).args(["push", "--quiet", "origin", "HEAD:pushed"]));
    stdout_of(git(&there).args(["gc", "--quiet", "--prune=now"]));
    stdout_of(git(&there).args(["merge", "--quiet", "pushed"]));
    // The kernel that writes back keeps the time of the last change of the inode by itself.
    let trust = format!("core.trustctime={}", !kernel_writes_back());
    Box::new(move |dir| {
        for clone in ["there", "again"].map(|name| dir.join(name)) {
            // The index has the attributes of every file as the clone saw them: inode numbers,
            // owners and times to the nanosecond. Nothing is read again while they agree.
            stdout_of(git(&clone).args(["-c", &trust, "diff-files", "--exit-code", "--raw"]));
            must_be_whole(&clone);
        }
    })
}

#[test]
fn a_flipped_bit_is_noticed() {
    crate::must_notice(crate::on_disk, clone, |dir| {
        let objects = std::fs::read_dir(dir.join("there/.git/objects/pack")).unwrap();
        let mut objects = objects.map(|file| file.unwrap().path());
        let pack = objects.find(|path| path.extension().is_some_and(|e| e == "pack")).unwrap();
        let mut content = std::fs::read(&pack).unwrap();
        let middle = content.len() / 2;
        content[middle] ^= 1;
        std::fs::remove_file(&pack).unwrap();
        std::fs::write(&pack, content).unwrap();
    });
}

/// Fills a repository with commits that add and change files.
fn write_history(bare: &Path) {
    stdout_of(git(bare).args(["init", "--quiet", "--bare", "--initial-branch=master"]));
    let mut import = git(bare);
    import.args(["fast-import", "--quiet"]).stdin(Stdio::piped());
    let mut import = import.spawn().unwrap();
    let history: String = (0..long_or(300, 40)).map(commit).collect();
    import.stdin.take().unwrap().write_all(history.as_bytes()).unwrap();
    assert!(import.wait().unwrap().success());
}

/// A commit in fast-import's language.
fn commit(n: usize) -> String {
    let mut text = format!("commit refs/heads/master\ncommitter a <a@example.com> {n} +0000\n");
    let _ = write!(text, "data 8\ncommit {}\n", n % 10);
    for file in 0..FILES {
        let kind = if file == 0 { "100755" } else { "100644" };
        let content = format!("{n} {file}\n").repeat(1 + (n * 7 + file * file * 40) % 3000);
        let _ = writeln!(text, "M {kind} inline dir{}/{}", file % 5, file + n / 8);
        let _ = write!(text, "data {}\n{content}\n", content.len());
    }
    let target = format!("dir{}/{n}", n % 5);
    let _ = write!(text, "M 120000 inline link\ndata {}\n{target}\n", target.len());
    text
}

fn must_be_whole(repository: &Path) {
    let fsck = git(repository).args(["fsck", "--full", "--strict", "--no-progress"]).output();
    let fsck = fsck.unwrap();
    assert!(fsck.status.success() && fsck.stdout.is_empty(), "{fsck:?}");
    must_be_clean(repository);
}

/// Reads every file again, whatever the index knows of it.
fn must_be_clean(repository: &Path) {
    stdout_of(git(repository).args(["read-tree", "--reset", "HEAD"]));
    stdout_of(git(repository).args(["diff", "--exit-code", "HEAD"]));
    assert_eq!(stdout_of(git(repository).args(["status", "--porcelain"])), "");
}

/// Git in a directory, with no configuration but its own.
fn git(dir: &Path) -> Command {
    let mut command = program("git");
    command.arg("-C").arg(dir);
    command.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    command
}
