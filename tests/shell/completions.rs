//! What the scripts of the shells are answered.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::process::{Command, Output};
use std::time::Instant;

use super::common::{Mount, PATIENCE, delaying, hanging, scratch, slowfs, text_of};
use slowfs::fault::FaultWords;

/// Asks as fish's script does: these words, the last of which is at the cursor.
fn ask(words: &[impl AsRef<OsStr>]) -> Output {
    slowfs().env("SLOWFS_COMPLETE", "fish").args(["--", "slowfs"]).args(words).output().unwrap()
}

/// The words that are offered, without what they are.
fn offered(words: &[impl AsRef<OsStr>]) -> Vec<String> {
    let output = ask(words);
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text_of(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

/// The same of a line without quotes.
fn of_line(line: &str) -> Vec<String> {
    offered(&line.split(' ').collect::<Vec<_>>())
}

#[test]
fn what_the_program_knows_is_offered() {
    for (line, wanted) in [
        ("umo", &["umount"][..]),
        ("torn", &["torn-write"]),
        ("help torn", &["torn-write"]),
        ("kinds torn", &["torn-write"]),
        ("kinds device nv", &["nvme", "nvme-plp"]),
        ("recipe dy", &["dying-disk"]),
        ("delay 1ms -m fsy", &["fsync", "fsyncdir"]),
        ("delay 1ms -m write,fdatas", &["write,fdatasync"]),
        ("delay 1ms --methods=fdatas", &["--methods=fdatasync"]),
        ("delay 1ms --meth", &["--methods"]),
        ("delay 1ms --and err", &["error"]),
        ("delay lognor", &["lognormal:p50="]),
        ("device /mnt/x ebs-gp3", &["ebs-gp3"]),
        ("error ENOSP", &["ENOSPC"]),
        ("error EIO,ENOSP", &["EIO,ENOSPC"]),
        ("error /mnt/x ENOSP", &["ENOSPC"]),
        ("clear fdatas", &["fdatasync"]),
        ("power-cut --keep pre", &["prefix:"]),
        ("mount /mnt/x -o ro,nosu", &["ro,nosuid"]),
        ("completions z", &["zsh"]),
        ("delay 1ms --count ", &[]),
        ("nonsense x", &[]),
    ] {
        assert_eq!(of_line(line), wanted, "{line}");
    }
}

#[test]
fn options_come_where_nothing_else_may_stand() {
    let nothing_else = of_line("delay 1ms ");
    assert!(nothing_else.contains(&"--methods".to_owned()), "{nothing_else:?}");
    let options = of_line("kinds -");
    assert!(options.contains(&"--json".to_owned()), "{options:?}");
    let kinds = of_line("kinds ");
    assert!(kinds.contains(&"delay".to_owned()), "{kinds:?}");
    assert!(!kinds.iter().any(|word| word.starts_with('-')), "{kinds:?}");
}

#[test]
fn a_word_comes_with_what_it_is() {
    let text = text_of(&ask(&["error", "ENOSPC"]));
    assert_eq!(text, "ENOSPC\tNo space left on device\n");
}

#[test]
fn faults_and_mountpoints_are_those_that_are_there() {
    let mount = Mount::new();
    let fault = FaultWords { name: Some("slow-wal".to_owned()), ..delaying(&["fsync"], PATIENCE) };
    let id = mount.add(&fault).to_string();
    let other = mount.add(&hanging(&["mkdir"])).to_string();
    let mnt = mount.mnt().display().to_string();
    for words in [
        &["list", &mnt, "slow-w"][..],
        &["list", "--mount", &mnt, "slow-w"],
        &["wait", "--addr", &mount.addr, "slow-w"],
        &["clear", "--addr", &mount.addr, "fsync,slow-w"],
    ] {
        let all = offered(words);
        assert_eq!(all.len(), 1, "{words:?}: {all:?}");
        assert!(all[0].ends_with("slow-wal"), "{words:?}: {all:?}");
    }
    let all = offered(&["list", &mnt, ""]);
    for word in ["slow-wal", &id, &other] {
        assert!(all.contains(&word.to_owned()), "{word} in {all:?}");
    }
    let told = text_of(&ask(&["list", &mnt, &id]));
    assert!(
        told.contains(&format!("{id}\tfault {id}: delay 20s -m fsync --name slow-wal")),
        "{told}"
    );

    let part = &mnt[..mnt.len() - 2];
    for words in [
        &["list", part][..],
        &["delay", part],
        &["umount", part],
        &["doctor", part],
        &["clear", &mnt, part],
        &["list", "--mount", part],
    ] {
        assert!(offered(words).contains(&mnt), "{words:?}: {:?}", offered(words));
    }
    // Of a mount that is named, as everywhere, nothing of another one is told.
    assert_eq!(offered(&["list", "--addr", "127.0.0.1:1", "slow-w"]), [""; 0]);
}

#[test]
fn a_mount_that_does_not_answer_is_left_out() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = silent.local_addr().unwrap().to_string();
    let began = Instant::now();
    let all = offered(&["clear", "--addr", &addr, ""]);
    assert!(all.contains(&"fsync".to_owned()), "{all:?}");
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}

#[test]
fn files_on_a_mirror_that_holds_everything_are_left_out() {
    let mount = Mount::new();
    let _clears = mount.clear_on_drop();
    mount.add(&hanging(&["all"]));
    let began = Instant::now();
    let below = mount.mnt().join("a");
    assert_eq!(offered(&[OsStr::new("match"), below.as_os_str()]), [""; 0]);
    assert!(began.elapsed() < PATIENCE / 2, "{:?}", began.elapsed());
}

/// Who has the variable by chance, or calls the program by another name, is not surprised.
#[test]
fn no_other_command_is_changed_by_the_variable() {
    let dir = scratch();
    let link = |name: &str| {
        let link = dir.path().join(name);
        symlink(slowfs().get_program(), &link).unwrap();
        link
    };
    let (charybdefs, helper) = (link("charybdefs"), link("mount.slowfs"));
    let program = slowfs().get_program().to_owned();
    for (program, words) in [
        (program.as_os_str(), &["kinds"][..]),
        (program.as_os_str(), &["list", "--", "/mnt"]),
        (charybdefs.as_os_str(), &["--version"]),
        (charybdefs.as_os_str(), &["--", "slowfs", "li"]),
        (helper.as_os_str(), &["--", "slowfs", "li"]),
    ] {
        let with = Command::new(program).args(words).env("SLOWFS_COMPLETE", "bash").output();
        let without = Command::new(program).args(words).env_remove("SLOWFS_COMPLETE").output();
        assert_eq!(with.unwrap(), without.unwrap(), "{program:?} {words:?}");
    }
}
