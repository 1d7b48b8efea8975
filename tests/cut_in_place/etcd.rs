//! A known bug is found again: etcd makes its database by one write of 16 KiB. Of that a disk may have a part when the
//! power goes, and then etcd does not start again (etcd issues 16596 and 16597). docs/power-cut.md has the commands.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use super::common::{Mount, stdout_of, wait_for};
use super::{control, tracking};

/// A page of the database.
const PAGE: usize = 4096;

/// One member whose data are on a mount, and its log.
struct Etcd {
    child: Child,
    log: PathBuf,
}

impl Etcd {
    fn start(mount: &Mount) -> Etcd {
        let log = mount.scratch().join("log");
        let told = File::create(&log).unwrap();
        let none = "http://127.0.0.1:0";
        let mut etcd = Command::new("etcd");
        etcd.args([
            "--name=one",
            "--logger=zap",
            "--heartbeat-interval=10",
            "--election-timeout=100",
        ]);
        etcd.arg("--data-dir")
            .arg(mount.mnt().join("etcd"))
            .arg(format!("--initial-cluster=one={none}"));
        for option in ["listen-client", "advertise-client", "listen-peer", "initial-advertise-peer"]
        {
            etcd.arg(format!("--{option}-urls={none}"));
        }
        let child =
            etcd.stdin(Stdio::null()).stdout(told.try_clone().unwrap()).stderr(told).spawn();
        Etcd { child: child.unwrap(), log }
    }

    /// Waits until it serves, or has ended: why, if so.
    fn comes_up(mut self) -> Result<(), String> {
        let log = || fs::read_to_string(&self.log).unwrap_or_default();
        wait_for("etcd to serve or to end", || match self.child.try_wait().unwrap() {
            Some(status) => Some(Err(format!("{status}\n{}", log()))),
            None => log().contains("serving client traffic").then_some(Ok(())),
        })
    }

    /// Waits until it was killed.
    fn dies(mut self) {
        let status = wait_for("etcd to be killed", || self.child.try_wait().unwrap());
        assert_eq!(
            status.signal(),
            Some(libc::SIGKILL),
            "{}",
            fs::read_to_string(&self.log).unwrap()
        );
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What becomes of an etcd that dies in its first write, or at the sync of that: which pages of the database are there
/// then, and how it starts again.
fn after(fault: &[&str]) -> (Vec<usize>, Result<(), String>) {
    let (mount, _) = tracking(&[]);
    let fault = [fault, &["-r", ".*/member/snap/db"]].concat();
    stdout_of(&mut control(&fault, &[&mount]));
    Etcd::start(&mount).dies();
    let database = fs::read(mount.raw().join("etcd/member/snap/db")).unwrap();
    assert_eq!(database.len(), 4 * PAGE);
    let pages = database.chunks(PAGE).map(|page| page.iter().any(|byte| *byte != 0));
    let pages = pages.enumerate().filter(|(_, is_there)| *is_there).map(|(n, _)| n).collect();
    (pages, Etcd::start(&mount).comes_up())
}

/// The first two pages are meant to stand in for each other; the others have nobody.
#[test]
fn etcd_does_not_start_on_a_part_of_its_first_write() {
    let torn = |part| {
        after(&[
            "torn-write",
            part,
            "--unit",
            "4KiB",
            "-m",
            "write",
            "--count",
            "1",
            "--and",
            "kill",
        ])
    };
    let refused = |(pages, started): (Vec<usize>, Result<(), String>), why: &str| {
        let told = started.unwrap_err();
        assert!(told.contains(why), "{pages:?}: {told}");
        pages
    };
    assert_eq!(refused(torn("prefix:4KiB"), "panic: invalid freelist page: 0"), [0]);
    assert_eq!(refused(torn("units:2,3"), "invalid database"), [2, 3]);
    assert_eq!(refused(torn("units:0,2"), "panic: invalid page type: 0"), [0, 2]);
    assert_eq!(torn("units:1,2,3"), (vec![1, 2, 3], Ok(())));
}

#[test]
fn nor_after_the_power_has_gone_at_its_first_sync() {
    let cut = |seed| {
        after(&[
            "cut-at",
            "fdatasync",
            "--kill",
            "--keep",
            "random",
            "--unit",
            "4096",
            "--seed",
            seed,
        ])
    };
    let (pages, started) = cut("6");
    assert_eq!(pages, [1]);
    assert!(started.unwrap_err().contains("panic: invalid freelist page: 0"));
    assert_eq!(cut("35"), (vec![0, 1, 2, 3], Ok(())));
}
