//! The power goes at an operation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use super::common::{Mount, stdout_of, text_of, wait_for};
use super::{LONG, control, durable, open, tracking};
use slowfs::rpc::CutNow;

/// Each of three files is written and synced; the second sync is where the power goes.
fn cut_at_the_second_sync(words: &[&str]) -> (Mount, Vec<bool>, Vec<String>) {
    let (mount, _) = tracking(&[]);
    let mnt = mount.mnt();
    fs::write(mnt.join("before"), "").unwrap();
    mount.client().checkpoint().unwrap();
    let typed = [&["cut-at", "fsync", "--after", "1", "-r", ".*/f[0-9]"][..], words].concat();
    stdout_of(&mut control(&typed, &[&mount]));
    File::open(mnt.join("before")).unwrap().sync_all().unwrap();
    let put = |n: usize| -> io::Result<()> {
        let path = mnt.join(format!("f{n}"));
        fs::write(&path, "some")?;
        File::open(&path)?.sync_all()
    };
    let synced = (0..3).map(|n| put(n).is_ok()).collect();
    let names = fs::read_dir(mount.raw()).unwrap().map(|e| e.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    (mount, synced, names)
}

#[test]
fn the_power_goes_at_an_operation_and_once() {
    for (words, names) in [
        (&[][..], "before f0 f2"),
        (&["--when", "after"], "before f0 f1 f2"),
        (&["--keep", "all"], "before f0 f1 f2"),
    ] {
        let (mount, synced, left) = cut_at_the_second_sync(words);
        assert_eq!(
            (synced, left.join(" ").as_str()),
            (vec![true, false, true], names),
            "{words:?}"
        );
        let ended = mount.client().list_ended().unwrap();
        assert_eq!((ended.len(), ended[0].fired), (1, 1));
        assert_eq!(mount.client().unsynced().unwrap().cuts, 1);
    }
    let (mount, synced, left) = cut_at_the_second_sync(&["--stay-off"]);
    assert_eq!((synced, left.len()), (vec![true, false, false], 2));
    assert!(mount.client().power_on().unwrap());
}

#[test]
fn who_asks_for_the_operation_at_which_the_power_goes_dies_with_it() {
    let (mount, _) = tracking(&[]);
    let path = durable(&mount, "f");
    stdout_of(&mut control(&["cut-at", "fdatasync", "--kill"], &[&mount]));
    let script = "import os, sys; f = os.open(sys.argv[1], os.O_RDWR); os.write(f, b'n'); os.fdatasync(f); print('?')";
    let begun = Instant::now();
    let output = Command::new("python3").arg("-c").arg(script).arg(&path).output().unwrap();
    assert_eq!((output.status.signal(), output.stdout.len()), (Some(libc::SIGKILL), 0));
    assert!(begun.elapsed() < Duration::from_secs(30));
    wait_for("the cut", || (mount.client().unsynced().unwrap().cuts == 1).then_some(()));
    assert!(wait_for("the file", || fs::read(&path).ok()) == [b'o'; 4096]);
    let plain = Mount::new();
    let refused = control(&["cut-at", "fsync"], &[&plain]).output().unwrap();
    assert!(text_of(&refused).contains("needs a mount with --track-unsynced"));
}

/// Another cut comes before it is done: the fault is over, and the log says so.
#[test]
fn an_operation_that_is_not_done_cuts_nothing() {
    let (mount, _) = tracking(&[]);
    let mut client = mount.client();
    let file = open(&mount.mnt().join("f"), 0);
    stdout_of(&mut control(&["cut-at", "fsync", "--when", "after"], &[&mount]));
    let ticket = client.power_prepare(LONG).unwrap();
    thread::scope(|scope| {
        let waits = scope.spawn(|| file.sync_all());
        let matched = || (mount.client().list_faults().unwrap()[0].matched == 1).then_some(());
        wait_for("the sync", matched);
        client.power_commit(&CutNow { ticket, ..CutNow::default() }).unwrap();
        let failed = waits.join().unwrap().unwrap_err();
        assert_eq!(failed.raw_os_error(), Some(libc::EIO));
    });
    mount.wait_until_logged("has not cut the power at fsync");
    assert!(mount.client().list_faults().unwrap().is_empty());
    assert_eq!(mount.client().list_ended().unwrap().len(), 1);
    assert_eq!(mount.client().unsynced().unwrap().cuts, 1);
}

/// The kernel keeps the page of such a write locked until that is answered, and cannot drop it before.
#[test]
fn the_power_goes_at_a_write_of_part_of_a_page() {
    for words in [&[][..], &["--when", "after"]] {
        let (mount, _) = tracking(&[]);
        let path = durable(&mount, "f");
        stdout_of(&mut control(&[&["cut-at", "write"], words].concat(), &[&mount]));
        let (tell, told) = mpsc::channel();
        let appended = path.clone();
        thread::spawn(move || {
            let mut file = OpenOptions::new().append(true).open(appended).unwrap();
            tell.send(file.write_all(b"x")).unwrap();
        });
        let written = told.recv_timeout(Duration::from_secs(30)).expect("an answer");
        assert_eq!(written.unwrap_err().raw_os_error(), Some(libc::EIO));
        wait_for("the power", || fs::read(&path).ok().filter(|data| *data == [b'o'; 4096]));
        assert_eq!(mount.client().unsynced().unwrap().cuts, 1);
    }
}

#[test]
fn all_that_wait_for_an_operation_are_over_with_it_and_no_other_fault_is() {
    let (mount, _) = tracking(&[]);
    let path = durable(&mount, "f");
    for line in [
        "delay 1ms -m fsync --name slow",
        "cut-at fsync --name one",
        "cut-at fsync --name two --add",
    ] {
        let words: Vec<_> = line.split(' ').collect();
        stdout_of(&mut control(&words, &[&mount]));
    }
    let sync = || File::open(&path).unwrap().sync_all();
    assert_eq!(sync().unwrap_err().raw_os_error(), Some(libc::EIO));
    wait_for("the power", || fs::metadata(&path).ok());
    sync().unwrap();
    let listed = mount.client().list_faults().unwrap();
    let names: Vec<_> = listed.iter().map(|fault| fault.fault.name.as_deref()).collect();
    assert_eq!(names, [Some("slow")]);
    assert_eq!(mount.client().unsynced().unwrap().cuts, 1);
}
