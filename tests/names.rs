//! Faults by name, several in one step, waiting for one, and the commands that set them again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::fs;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use common::{
    Mount, delaying, errno_of, failing, fault_on, hanging, slowfs, stdout_of, text_of, wait_for,
};
use slowfs::fault::FaultWords;
use slowfs::rpc::Client;

fn named(fault: FaultWords, name: &str) -> FaultWords {
    FaultWords { name: Some(name.to_owned()), ..fault }
}

fn run(mount: &Mount, words: &[&str]) -> Output {
    slowfs().args(words).args(["--addr", &mount.addr]).output().unwrap()
}

fn ok(mount: &Mount, words: &[&str]) -> String {
    stdout_of(slowfs().args(words).args(["--addr", &mount.addr]))
}

/// The faults in force, as lines.
fn lines(mount: &Mount) -> Vec<String> {
    mount.client().list_faults().unwrap().iter().map(|listed| listed.fault.line()).collect()
}

#[test]
fn a_fault_is_replaced_under_its_name_in_its_place() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    ok(&mount, &["delay", "1ms", "-m", "mkdir,rmdir", "--name", "slow"]);
    ok(&mount, &["error", "EIO", "-m", "mkdir", "--count", "9", "--add"]);
    let again = ok(&mount, &["delay", "1ms", "-m", "mkdir,rmdir", "--name", "slow"]);
    assert!(again.contains("it is in force already"), "{again}");
    let now = ok(&mount, &["error", "EROFS", "-m", "mkdir", "--name", "slow"]);
    for part in ["changed: delay 1ms -> error EROFS", "-m mkdir,rmdir -> mkdir", "replaces "] {
        assert!(now.contains(part), "{part} in {now}");
    }
    let expected = ["error EROFS -m mkdir --name slow", "error EIO -m mkdir --count 9"];
    assert_eq!(lines(&mount), expected, "it took no methods from the other");
    assert_eq!(errno_of(fs::create_dir(mount.mnt().join("dir"))), libc::EROFS);
    let table = ok(&mount, &["list", "slow"]);
    assert!(table.contains("EROFS") && !table.contains("EIO"), "{table}");
    ok(&mount, &["clear", "slow"]);
    assert_eq!(lines(&mount), expected[1..]);
    let gone = ok(&mount, &["list", "slow"]);
    assert!(gone.contains("cleared 0s ago"), "{gone}");
    let missing = run(&mount, &["clear", "mkidr"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text_of(&missing).contains("did you mean the method mkdir?"), "{}", text_of(&missing));
}

/// As many as there may be.
#[test]
fn a_thousand_faults_are_set_in_one_step() {
    let mount = Mount::new();
    let fault = |n: usize| {
        let mut fault = named(failing(&["mkdir"], "EIO"), &format!("number-{n}"));
        fault.pattern = format!(".*/member/wal/directory-{n}");
        fault.with("count", "1").with("after", "9")
    };
    let faults: Vec<_> = (0..1_000).map(fault).collect();
    // Two seconds of an unoptimised program, which is not what is tested here.
    let mut client = Client::connect(&mount.addr, Duration::from_secs(60)).unwrap();
    assert_eq!(client.put_faults(&faults, &[], false).unwrap().len(), faults.len());
    assert_eq!(lines(&mount).len(), faults.len());
}

#[test]
fn several_faults_are_set_in_one_step() {
    let mount = Mount::new();
    let mut client = mount.client();
    let old = client.put_fault(&failing(&["mkdir", "rmdir"], "EIO"), false).unwrap().id;
    let other = client.put_fault(&failing(&["unlink"], "EIO"), false).unwrap().id;
    let both = [
        named(failing(&["mkdir"], "EROFS"), "one").with("count", "1"),
        fault_on(&["mkdir"]).and("kill", "").with("after", "9"),
    ];
    let put = client.put_faults(&both, &[other], false).unwrap();
    let expected = [
        "error EIO -m rmdir",
        "error EROFS -m mkdir --count 1 --name one",
        "kill -m mkdir --after 9",
    ];
    assert_eq!(lines(&mount), expected, "they take no methods from each other");
    let gone = client.list_ended().unwrap().pop().unwrap();
    assert_eq!((gone.id, gone.why.as_deref()), (other, Some("cleared")));
    let nonsense = [failing(&["mkdir"], "EIO"), failing(&["mkdri"], "EIO")];
    let refusal = client.put_faults(&nonsense, &[], true).unwrap_err().to_string();
    assert!(refusal.starts_with("fault 2: ") && refusal.contains("mkdir?"), "{refusal}");
    assert_eq!(lines(&mount), expected, "a refusal changes nothing");
    let again = client.put_faults(&both, &[], true).unwrap();
    assert_eq!(lines(&mount), expected[1..]);
    assert!(again[0].unchanged && again[0].id == put[0].id, "{again:?}");
    let mut replaced: Vec<i64> = again.iter().flat_map(|put| put.replaced.clone()).collect();
    replaced.sort_unstable();
    assert_eq!(replaced, [old, put[1].id], "one without a name is set anew");
}

#[test]
fn setting_a_fault_tells_what_it_released() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    let mut client = mount.client();
    let held = client.put_fault(&hanging(&["mkdir"]), false).unwrap().id;
    let dir = mount.mnt().join("dir");
    thread::scope(|scope| {
        let making = scope.spawn(|| fs::create_dir(&dir));
        wait_for("it to be held", || (mount.listed(held).held == 1).then_some(()));
        let put = client.put_fault(&failing(&["mkdir"], "EIO"), false).unwrap();
        assert_eq!((put.replaced, put.released), (vec![held], 1));
        making.join().unwrap().unwrap();
    });
    // In JSON: by a fault that comes, and by one that goes.
    for words in [&["error", "EIO", "-m", "rmdir", "--json"][..], &["clear", "rmdir", "--json"]] {
        let held = client.put_fault(&hanging(&["rmdir"]), false).unwrap().id;
        fs::create_dir_all(mount.raw().join("dir")).unwrap();
        thread::scope(|scope| {
            let removing = scope.spawn(|| fs::remove_dir(&dir));
            wait_for("it to be held", || (mount.listed(held).held == 1).then_some(()));
            let told: serde_json::Value = serde_json::from_str(&ok(&mount, words)).unwrap();
            assert_eq!(told["released"], 1, "{told}");
            removing.join().unwrap().unwrap();
        });
    }
}

/// In the answer, in JSON, to other clients and in the log.
#[test]
fn what_a_fault_replaces_takes_and_releases_is_told() {
    let mount = Mount::new();
    ok(&mount, &["hang", "-m", "mkdir,rmdir,unlink"]);
    ok(&mount, &["error", "EIO", "-m", "symlink", "--add"]);
    let _clear = mount.clear_on_drop();
    let dir = mount.mnt().join("dir");
    let making = thread::spawn(|| fs::create_dir(dir));
    wait_for("it to be held", || (mount.listed(1).held == 1).then_some(()));
    let told = ok(&mount, &["delay", "1us", "-m", "mkdir,symlink"]);
    let done = "; replaces 2; takes mkdir from 1 (left: rmdir,unlink); released 1 held";
    assert_eq!(told, format!("fault 3: delay 1us -m mkdir,symlink{done}\n"));
    making.join().unwrap().unwrap();
    wait_for(done, || mount.log_text().contains(&format!("symlink{done}")).then_some(()));
    let put = mount.client().put_fault(&failing(&["mkdir"], "EIO"), false).unwrap();
    let taken: Vec<_> =
        put.taken.iter().map(|taken| (taken.id, &taken.methods, &taken.left)).collect();
    assert_eq!(taken, [(3, &vec!["mkdir".to_owned()], &vec!["symlink".to_owned()])]);
    let json = ok(&mount, &["kill", "-m", "unlink,rmdir,mkdir", "-p", "1%", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        (&json["replaced"], &json["taken"]),
        (&serde_json::json!([1, 4]), &serde_json::json!([]))
    );
    let most = ok(&mount, &["error", "EIO", "-m", "all"]);
    assert!(most.ends_with("; replaces 3, 5\n"), "{most}");
    let one = ok(&mount, &["kill", "-m", "read"]);
    assert!(one.ends_with("; takes read from 6 (left: all but read)\n"), "{one}");
    let cleared = ok(&mount, &["clear", "mkdir"]);
    let left = "takes mkdir from 6 (left: all but mkdir,read)";
    assert_eq!(cleared, format!("cleared mkdir; 0 faults have gone; {left}; released 0 held\n"));
    wait_for("the log", || {
        mount.log_text().contains(&format!("clear: mkdir cleared; {left}")).then_some(())
    });
}

/// Clearing a method leaves conditions and latches alone, and says so.
#[test]
fn what_stays_on_a_method_that_is_cleared_is_told() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    ok(&mount, &["throttle", "--iops", "1000", "-m", "write"]);
    ok(&mount, &["read-only", "--name", "ro"]);
    ok(&mount, &["delay", "1us", "-m", "write"]);
    let told = |out: &Output| {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert!(out.status.success(), "{out:?}");
        (text(&out.stdout), text(&out.stderr))
    };
    let stays = [
        "throttle 1 on write is a condition and stays: `slowfs clear 1`\n",
        "read-only ro on write is a latch and stays: `slowfs clear ro`\n",
    ];
    for told_of_it in
        ["cleared write; 1 fault has gone; released 0 held\n", "nothing cleared on write\n"]
    {
        let (done, warned) = told(&run(&mount, &["clear", "write"]));
        assert_eq!(done, told_of_it);
        assert!(stays.iter().all(|line| warned.contains(line)), "{warned}");
        assert_eq!(warned.lines().count(), stays.len());
    }
    let (done, warned) = told(&run(&mount, &["clear", "read"]));
    assert_eq!((done.as_str(), warned.as_str()), ("no fault on read\n", ""));
    let (_, warned) = told(&run(&mount, &["clear", "write,1,ro"]));
    assert_eq!((warned.as_str(), lines(&mount).len()), ("", 0));
}

/// One that is to be removed may go by itself before that. An id that was never given is a mistake.
#[test]
fn a_list_removes_what_was_ever_set_and_refuses_other_ids() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    let mut client = mount.client();
    mount.add(&failing(&["mkdir"], "EIO"));
    let one = [failing(&["rmdir"], "EIO")];
    let refused = client.put_faults(&one, &[1, 2], false).unwrap_err().to_string();
    assert!(refused.contains("remove: 2 is no fault's id"), "{refused}");
    assert_eq!(mount.client().list_faults().unwrap().len(), 1, "nothing was changed");
    client.clear(&["1".to_owned()]).unwrap();
    client.put_faults(&one, &[1], false).unwrap();
    assert_eq!(lines(&mount), ["error EIO -m rmdir"]);
}

#[test]
fn a_fault_is_waited_for() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    mount.add(&named(failing(&["mkdir"], "EIO"), "fails").with("count", "2"));
    mount.add(&named(hanging(&["rmdir"]), "hangs"));
    let began = Instant::now();
    let never = run(&mount, &["wait", "fails", "--fired", "1", "--timeout", "300ms"]);
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(never.status.code(), Some(1));
    let text = text_of(&never);
    assert!(text.contains("fault fails has fired 0, not 1, within 300ms"), "{text}");
    let dir = mount.mnt().join("dir");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ok(&mount, &["wait", "fails", "--fired", "2"]));
        for _ in 0..2 {
            assert_eq!(errno_of(fs::create_dir(&dir)), libc::EIO);
        }
        assert_eq!(waiting.join().unwrap(), "fault fails has fired 2 times\n");
    });
    // It is spent, and counts among those that have gone; more it cannot do.
    ok(&mount, &["wait", "fails", "--fired", "2"]);
    let began = Instant::now();
    let more = run(&mount, &["wait", "fails", "--fired", "3", "--timeout", "1m"]);
    assert_eq!(more.status.code(), Some(1));
    assert!(text_of(&more).contains("is not in force any more"), "{}", text_of(&more));
    assert!(began.elapsed() < Duration::from_secs(30));
    fs::create_dir(&dir).unwrap();
    thread::scope(|scope| {
        let removing = scope.spawn(|| fs::remove_dir(&dir));
        ok(&mount, &["wait", "hangs", "--held", "1"]);
        assert_eq!(ok(&mount, &["wait", "hangs", "--fired", "1"]), "fault hangs has fired once\n");
        mount.clear();
        removing.join().unwrap().unwrap();
    });
    let unknown = run(&mount, &["wait", "nobody", "--fired", "1", "--timeout", "1m"]);
    assert!(text_of(&unknown).contains("there is no fault nobody"), "{}", text_of(&unknown));
    let what = mount.client().wait("hangs", "fird", 1, Duration::ZERO).unwrap_err().to_string();
    assert!(what.contains("did you mean fired?"), "{what}");
}

/// Who waits for long holds up nothing: not the end of the mount, not a connection that is closed.
#[test]
fn a_waiting_call_ends_with_its_mount() {
    let mut mount = Mount::new();
    let id = mount.add(&delaying(&["mkdir"], Duration::from_millis(1)));
    let mut client = mount.client();
    let waiting =
        thread::spawn(move || client.wait(&id.to_string(), "fired", 1, Duration::from_secs(600)));
    thread::sleep(Duration::from_millis(50));
    let began = Instant::now();
    mount.stop();
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert!(waiting.join().unwrap().is_err());
    assert!(!mount.log_text().contains("did not end in time"), "{}", mount.log_text());
}

#[test]
fn listed_commands_set_the_same_faults_again() {
    let mount = Mount::new();
    let commands: [&[&str]; 3] = [
        &[
            "delay",
            "1500us",
            "--and",
            "error EIO,28",
            "-m",
            "mkdir,rmdir",
            "-r",
            ".*/(it's|a b)",
            "-p",
            "0.7%",
            "--name",
            "both",
        ],
        &["kill", "-m", "all", "--after", "3", "--count", "2", "--add"],
        &["error", "random", "-m", "unlink", "--uid", "0,7", "--nth", "3", "--add"],
    ];
    for command in commands {
        ok(&mount, command);
    }
    let before = lines(&mount);
    assert_eq!(before.len(), 3);
    let listed = ok(&mount, &["list", "--commands"]);
    mount.clear();
    assert!(lines(&mount).is_empty());
    let program = slowfs().get_program().to_owned();
    let function = format!("slowfs() {{ {} \"$@\"; }}\n", program.display());
    stdout_of(std::process::Command::new("sh").arg("-ec").arg(function + &listed));
    assert_eq!(lines(&mount), before);
}

#[test]
fn a_spent_fault_with_a_lifetime_is_nothing_to_clear_or_wait_for() {
    let mount = Mount::new();
    mount.add(&named(failing(&["mkdir"], "EIO"), "once").with("count", "1").with("lasts", "1h"));
    fs::create_dir(mount.mnt().join("dir")).unwrap_err();
    let waited = run(&mount, &["wait", "once", "--held", "1", "--timeout", "20s"]);
    let told = text_of(&waited);
    assert_eq!(waited.status.code(), Some(1), "{told}");
    assert!(told.contains("is not in force any more"), "it waited out its time: {told}");
    let cleared = run(&mount, &["clear", "once"]);
    assert_eq!(cleared.status.code(), Some(1), "{}", text_of(&cleared));
}
