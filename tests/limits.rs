//! What the daemon makes of the limits that it inherits (setrlimit(2)), and how it goes on at them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Mount, PATIENCE, errno_of, failing, hanging, is_ours, scratch, wait_for};
use rustix::process::Signal;

/// A line of /proc/PID/limits: the limit in force and the most it may be raised to.
fn limit(mount: &Mount, name: &str) -> [String; 2] {
    let limits = fs::read_to_string(format!("/proc/{}/limits", mount.pid())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let mut words = line.split_ascii_whitespace().map(str::to_owned);
    [words.next().unwrap(), words.next().unwrap()]
}

/// Opens files until that fails, and says with what.
fn open_all(mount: &Mount, most: usize) -> (Vec<File>, i32) {
    let mut open = Vec::new();
    for n in 0..most {
        let file = mount.mnt().join(format!("file-{n}"));
        match File::options().create(true).truncate(true).read(true).write(true).open(file) {
            Ok(file) => open.push(file),
            Err(error) => return (open, error.raw_os_error().unwrap()),
        }
    }
    panic!("{most} files are open and the next would be, too");
}

#[test]
fn at_the_limit_of_descriptors_opens_fail_and_all_else_goes_on() {
    const LIMIT: usize = 256;
    let mut mount = Mount::limited(u32::try_from(LIMIT).unwrap(), scratch(), &[]);
    let _clear = mount.clear_on_drop();
    let (mut open, why) = open_all(&mount, LIMIT);
    assert_eq!(why, libc::ENFILE);
    assert!(open.len() > LIMIT / 2, "{} are open", open.len());
    let missing = mount.raw().join(format!("file-{}", open.len()));
    assert!(!missing.exists(), "what could not be opened was not made either");
    // What is open goes on, and so do names.
    for file in &mut open {
        file.write_all(b"written").unwrap();
        file.sync_all().unwrap();
        file.rewind().unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "written");
    }
    for n in 0..open.len() {
        assert_eq!(fs::metadata(mount.mnt().join(format!("file-{n}"))).unwrap().len(), 7);
    }
    fs::create_dir(mount.mnt().join("d")).unwrap();
    fs::rename(mount.mnt().join("file-0"), mount.mnt().join("d/moved")).unwrap();
    // So does control, and a caller that is killed while held is seen.
    mount.add(&failing(&["rmdir"], "EBUSY"));
    assert_eq!(errno_of(fs::remove_dir(mount.mnt().join("d"))), libc::EBUSY);
    let id = mount.add(&hanging(&["write"]));
    let write = |file: &File| {
        let stdout = file.try_clone().unwrap();
        Command::new("echo").arg("held").stdout(stdout).spawn().unwrap()
    };
    let mut held: Vec<_> = open.iter().take(60).map(write).collect();
    wait_for("the writes to be held", || (mount.listed(id).held == 60).then_some(()));
    // Until each of them is looked at, which takes descriptors.
    std::thread::sleep(Duration::from_millis(500));
    let mut clients: Vec<_> = (0..12).map(|_| mount.client()).collect();
    for client in &mut clients {
        assert_eq!(client.list_faults().unwrap().len(), 2);
    }
    drop(clients);
    for child in &mut held {
        child.kill().unwrap();
        wait_for("the killed one to be free", || child.try_wait().unwrap());
    }
    mount.clear();
    // A close makes room for an open, again and again: none is lost by it.
    for round in 0..50 {
        drop(open.swap_remove(0));
        let again = wait_for("the close to arrive", || {
            File::options()
                .create(true)
                .write(true)
                .truncate(false)
                .open(mount.mnt().join(format!("again-{round}")))
                .ok()
        });
        open.push(again);
    }
    // The bound is still where it was, but for what others of the daemon had open for a moment.
    let more = (0..16).map(|n| File::create(mount.mnt().join(format!("more-{n}"))));
    let more: Vec<_> = more.take_while(Result::is_ok).collect();
    assert!(more.len() <= 8, "{} more are open", more.len());
    let warnings = mount.log_text().matches("WARN too many files are open").count();
    assert_eq!(warnings, 1, "{}", mount.log_text());
    let began = Instant::now();
    mount.stop();
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[test]
fn descriptors_are_raised_as_far_as_the_daemon_may() {
    let mut command = std::process::Command::new("prlimit");
    command.arg("--nofile=256:512").arg(common::slowfs().get_program());
    let mount = Mount::by(command);
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let able = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    let able = u64::from_str_radix(able.trim(), 16).unwrap() & 1 << 24 != 0;
    let most = fs::read_to_string("/proc/sys/fs/nr_open").unwrap().trim().to_owned();
    let most = if able { most } else { "512".to_owned() };
    println!("with CAP_SYS_RESOURCE: {able}");
    assert_eq!(limit(&mount, "Max open files"), [most.clone(), most]);
}

#[test]
fn a_soft_limit_is_raised_and_a_hard_one_is_told() {
    let megabyte = 1 << 20;
    let write = |mount: &Mount| {
        let mut file = File::create(mount.mnt().join("file")).unwrap();
        let wrote = (0..32).try_for_each(|_| file.write_all(&[0; 65536]));
        (wrote, file.metadata().unwrap().len())
    };
    let mut soft = Mount::with_limits(&[
        "--fsize=1048576:",
        "--cpu=1:",
        "--as=4000000000:",
        "--data=1000000000:",
        "--nproc=1000:",
        "--stack=4194304:",
        "--rttime=50000000:",
    ]);
    for name in [
        "file size",
        "cpu time",
        "address space",
        "data size",
        "processes",
        "stack size",
        "realtime timeout",
    ] {
        let [current, most] = limit(&soft, &format!("Max {name}"));
        assert_eq!(current, most, "{name}");
    }
    let (wrote, size) = write(&soft);
    wrote.unwrap();
    assert_eq!(size, 2 * megabyte);
    soft.stop();
    assert!(!soft.log_text().contains("WARN"), "{}", soft.log_text());

    let mut hard = Mount::with_limits(&["--fsize=1048576:1048576"]);
    hard.wait_until_logged("file size (ulimit -f, bytes) stays at 1048576");
    let (wrote, size) = write(&hard);
    assert_eq!(errno_of(wrote), libc::EFBIG);
    assert_eq!(size, megabyte);
    // It lives, and so does its log beyond that size.
    File::create(hard.mnt().join("another")).unwrap().write_all(b"x").unwrap();
    hard.stop();
}

/// Each row of the table: what the daemon says of a hard limit that it may not lift, and goes on.
#[test]
fn each_hard_limit_that_may_be_felt_is_told() {
    for (limit, kernels, told) in [
        (
            "--as=4000000000:4000000000",
            "address space",
            "address space (ulimit -v, bytes) stays at 4000000000: the daemon ends",
        ),
        (
            "--data=1000000000:1000000000",
            "data size",
            "data (ulimit -d, bytes) stays at 1000000000: the daemon ends",
        ),
        (
            "--stack=4194304:4194304",
            "stack size",
            "stack (ulimit -s, bytes) stays at 4194304: the daemon may end",
        ),
        (
            "--nproc=1000:1000",
            "processes",
            "processes of the user (ulimit -u) stays at 1000: held operations may end late",
        ),
        (
            "--rttime=50000000:50000000",
            "realtime timeout",
            "real-time processor time (ulimit -R, microseconds) stays at 49000000: the daemon unmounts",
        ),
    ] {
        let mut mount = Mount::with_limits(&[limit]);
        let log = mount.log_text();
        assert!(log.contains(&format!("WARN the limit of {told}")), "{limit}: {log}");
        assert_eq!(log.matches("WARN").count(), 1, "{limit}: {log}");
        let [_, most] = self::limit(&mount, &format!("Max {kernels}"));
        assert!(limit.ends_with(&format!(":{most}")), "{limit}: {most}");
        File::create(mount.mnt().join("file")).unwrap().write_all(b"x").unwrap();
        mount.stop();
    }
}

#[test]
fn a_log_file_beyond_the_limit_of_file_size_ends_nothing() {
    let scratch = scratch();
    let log = scratch.path().join("log");
    fs::write(&log, vec![b'\n'; 4096]).unwrap();
    let mut daemon = common::limited(&["--fsize=4096:4096"]);
    fs::create_dir(scratch.path().join("raw")).unwrap();
    fs::create_dir(scratch.path().join("mnt")).unwrap();
    let mnt = scratch.path().join("mnt");
    daemon.arg("mount").arg(&mnt).arg("--subdir").arg(scratch.path().join("raw"));
    let output = daemon.args(["--listen", "none", "--daemon", "--log-file"]).arg(&log).output();
    assert!(output.unwrap().status.success());
    fs::write(mnt.join("file"), "x").unwrap();
    let umount = common::slowfs().arg("umount").arg(&mnt).output().unwrap();
    assert!(umount.status.success(), "{}", common::text_of(&umount));
    assert_eq!(fs::metadata(&log).unwrap().len(), 4096);
}

#[test]
fn processor_time_that_is_used_up_leaves_no_mount() {
    let mut mount = Mount::with_limits(&["--cpu=2:2"]);
    assert_eq!(limit(&mount, "Max cpu time"), ["1", "2"], "the signal comes before the end");
    let mnt = mount.mnt();
    let (began, mut n) = (Instant::now(), 0);
    while is_ours(&mnt) && began.elapsed() < 3 * PATIENCE {
        for _ in 0..1000 {
            n += 1;
            let _ = fs::metadata(mnt.join(format!("none-{n}")));
        }
    }
    let status = mount.wait();
    assert!(status.success(), "{status}: {}", mount.log_text());
    assert!(!is_ours(&mnt), "a dead mount is left");
    let ended = format!("signal {}: unmounted", Signal::XCPU.as_raw());
    assert!(mount.log_text().contains(&ended), "{}", mount.log_text());
}
