//! Processes die with the power.

use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::common::sqlite::{Session, ask_once};
use super::common::{hanging, stdout_of, wait_for};
use super::{control, durable, tracking};

/// In a power cut the processes die too. Their requests are not done, as the killed cannot have asked for more.
#[test]
fn who_has_files_open_or_mapped_is_killed_and_nothing_of_his_is_done() {
    let (mount, _) = tracking(&[]);
    let (mnt, path) = (mount.mnt(), durable(&mount, "f"));
    let python = |script: &str| {
        let mut python = Command::new("python3");
        python.arg("-c").arg(script).arg(&path).current_dir("/").stdout(Stdio::piped());
        let mut python = python.spawn().unwrap();
        let mut line = [0; 3];
        io::Read::read_exact(python.stdout.as_mut().unwrap(), &mut line).unwrap();
        python
    };
    let head = "import mmap, os, sys, time; f = os.open(sys.argv[1], os.O_RDWR)\n";
    let mut opener = python(&format!("{head}print('go', flush=True); time.sleep(600)"));
    let mut mapper = python(&format!(
        "{head}m = mmap.mmap(f, 4096); os.close(f); m[0] = 65; print('go', flush=True); time.sleep(600)"
    ));
    let id = mount.add(&hanging(&["mkdir"]));
    let mut held = python(&format!(
        "{head}print('go', flush=True); os.mkdir(os.path.dirname(sys.argv[1]) + '/d')"
    ));
    wait_for("the operation to be held", || (mount.listed(id).held == 1).then_some(()));
    let mut standing = Command::new("sleep").arg("600").current_dir(&mnt).spawn().unwrap();
    let mut other = Command::new("sleep").arg("600").current_dir("/").spawn().unwrap();
    let words = ["power-cut", "--now", "--kill", "--json"];
    let told = stdout_of(control(&words, &[&mount]).current_dir(&mnt));
    let told: Value = serde_json::from_str(&told).unwrap();
    let mut killed: Vec<u64> =
        told["killed"].as_array().unwrap().iter().map(|pid| pid.as_u64().unwrap()).collect();
    killed.sort_unstable();
    let mut wanted = [&opener, &mapper, &held].map(|child| u64::from(child.id()));
    wanted.sort_unstable();
    assert_eq!(killed, wanted);
    for child in [&mut opener, &mut mapper, &mut held] {
        assert_eq!(child.wait().unwrap().signal(), Some(libc::SIGKILL));
    }
    for child in [&mut standing, &mut other] {
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(!mount.raw().join("d").exists());
    assert!(fs::read(&path).unwrap() == [b'o'; 4096]);
}

/// The real thing in place: the shell dies in the middle of a transaction, and what it had committed is there when
/// the next one opens the same path.
#[test]
fn sqlite_keeps_what_it_has_committed_when_power_and_processes_go() {
    for (journal, synchronous) in [("WAL", "FULL"), ("DELETE", "EXTRA")] {
        let (mount, _) = tracking(&[]);
        let database = mount.mnt().join("bank.db");
        let mut setup = format!(
            "PRAGMA journal_mode={journal}; PRAGMA synchronous={synchronous};
             CREATE TABLE t(n INTEGER PRIMARY KEY, text);"
        );
        let mut committed = 0;
        for seed in 0..5 {
            let mut session = Session::start(&database, &setup);
            for _ in 0..4 {
                session.ask("INSERT INTO t VALUES(NULL, hex(randomblob(1500)));");
                committed += 1;
            }
            session.ask("BEGIN; UPDATE t SET text = 'torn';");
            let seed = seed.to_string();
            let words =
                ["power-cut", "--now", "--kill", "--keep", "random", "--seed", &seed, "--json"];
            let told = stdout_of(&mut control(&words, &[&mount]));
            let told: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(told["killed"], serde_json::json!([session.pid()]), "{told}");
            let found = ask_once(
                &database,
                "PRAGMA integrity_check; SELECT count(*) FROM t WHERE text = 'torn'; SELECT count(*) FROM t;",
            );
            assert_eq!(found, format!("ok\n0\n{committed}"), "{journal} {seed}: {told}");
            setup = format!("PRAGMA synchronous={synchronous};");
        }
    }
}
