//! tar and rsync: a tree goes to the mount and back, and nothing of it is lost on the way.

use std::fs::{self, File};
use std::path::Path;
use std::process::Command;

use crate::common::stdout_of;
use crate::tree::{self, must_agree};
use crate::{Check, as_nobody, kernel_writes_back, nobodys, plain_directory, program};

cases!(on_disk: tar, tar_of_an_ordinary_user, rsync, rsync_of_an_ordinary_user);

fn tar(dir: &Path) -> Check {
    round_trip(dir, true, by_tar)
}

fn tar_of_an_ordinary_user(dir: &Path) -> Check {
    round_trip(dir, false, by_tar)
}

fn rsync(dir: &Path) -> Check {
    round_trip(dir, true, by_rsync)
}

fn rsync_of_an_ordinary_user(dir: &Path) -> Check {
    round_trip(dir, false, by_rsync)
}

/// Makes what is in one directory be in another, which is empty.
type Copy = fn(&dyn Fn(&str) -> Command, from: &Path, to: &Path);

/// Takes a tree from a plain directory to `dir/tree` and back to another plain directory.
fn round_trip(dir: &Path, of_root: bool, copy: Copy) -> Check {
    let run: &dyn Fn(&str) -> Command =
        if of_root { &|name| program(name) } else { &|name| as_nobody(name) };
    let plain = plain_directory();
    let [source, back] = ["source", "back"].map(|name| nobodys(plain.path().join(name)));
    let there = nobodys(dir.join("tree"));
    tree::plant(&source, of_root);
    let planted = tree::read(&source);
    copy(run, &source, &there);
    let seen = tree::read(&there);
    must_agree(&planted, &seen, |entry| &entry.file);
    copy(run, &there, &back);
    must_agree(&planted, &tree::read(&back), |entry| &entry.file);
    let written_back = kernel_writes_back();
    Box::new(move |dir| {
        let [mut seen, mut behind] = [seen, tree::read(&dir.join("tree"))];
        if written_back {
            tree::drop_what_the_kernel_keeps(&mut seen);
            tree::drop_what_the_kernel_keeps(&mut behind);
        }
        must_agree(&seen, &behind, |entry| entry);
    })
}

/// The archive lies beside the copy, on the same filesystem.
fn by_tar(run: &dyn Fn(&str) -> Command, from: &Path, to: &Path) {
    let archive = to.with_extension("tar");
    let tar = |act: &str, dir: &Path| {
        let mut command = run("tar");
        command.args([act, "--acls", "--xattrs", "--xattrs-include=*", "--numeric-owner"]);
        command.arg("--directory").arg(dir);
        command
    };
    let mut pack = tar("--create", from);
    pack.args(["--format=posix", "--sparse", "."]).stdout(File::create(&archive).unwrap());
    assert!(pack.status().unwrap().success());
    stdout_of(tar("--extract", to).arg("--preserve-permissions").arg("--file").arg(&archive));
    // Its own comparison, of what it knows.
    stdout_of(tar("--compare", to).arg("--file").arg(&archive));
}

fn by_rsync(run: &dyn Fn(&str) -> Command, from: &Path, to: &Path) {
    let rsync = || {
        let mut command = run("rsync");
        command.args(["--archive", "--hard-links", "--acls", "--xattrs", "--sparse"]);
        command.args(["--numeric-ids", "--delete"]).arg(from.join("")).arg(to);
        command
    };
    stdout_of(&mut rsync());
    // What an older copy may look like, to be brought up to date.
    File::options().write(true).open(to.join("large")).unwrap().set_len(100_000).unwrap();
    fs::remove_file(to.join("plain/9")).unwrap();
    fs::rename(to.join("sticky"), to.join("gone")).unwrap();
    stdout_of(&mut rsync());
    // Its own comparison: nothing is left to be done.
    assert_eq!(stdout_of(rsync().args(["--checksum", "--dry-run", "--itemize-changes"])), "");
}
