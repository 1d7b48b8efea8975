//! `slowfs match`: which files a pattern matches now, and which faults a path meets, as requests do.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Output;
use std::thread;
use std::time::{Duration, Instant};

use common::{Mount, Within, errno_of, failing, hanging, slowfs, stdout_of, text_of, wait_for};
use serde_json::{Value, json};
use slowfs::fault::{FaultWords, PlainFault};
use slowfs::rpc::Matched;

fn on_path(fault: FaultWords, pattern: &str) -> FaultWords {
    FaultWords { pattern: pattern.to_owned(), ..fault }
}

/// Without an address: the path tells whom to ask.
fn run(words: &[&str]) -> Output {
    slowfs().arg("match").args(words).env_remove("SLOWFS_ADDR").output().unwrap()
}

fn text(words: &[&str]) -> String {
    let output = run(words);
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {}", text_of(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn answer(words: &[&str]) -> Value {
    let line = stdout_of(slowfs().arg("match").args(words).arg("--json").env_remove("SLOWFS_ADDR"));
    serde_json::from_str(&line).unwrap()
}

/// Two directories with a write-ahead log each.
fn filled() -> Mount {
    let mount = Mount::new();
    for name in ["a/wal/0.wal", "a/wal/1.wal", "a/snap/db", "b/wal/2.wal"] {
        let file = mount.raw().join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, name).unwrap();
    }
    mount
}

#[test]
fn the_files_that_a_pattern_matches_are_shown_and_counted() {
    let mount = filled();
    let raw = mount.raw().display().to_string();
    let mnt = mount.mnt().display().to_string();
    let expected = format!("{raw}/a/wal/0.wal\n{raw}/a/wal/1.wal\n{raw}/b/wal/2.wal\n");
    // The root, five directories, four files.
    let all = expected.clone() + "3 of 10 files and directories match\n";
    assert_eq!(text(&["-r", r".*\.wal", "--addr", &mount.addr]), all);
    assert_eq!(text(&["--glob", "*.wal", "--mount", &mnt]), all);
    assert_eq!(text(&[&raw, "--glob", "*.wal"]), all);
    let below =
        format!("{raw}/a/wal/0.wal\n{raw}/a/wal/1.wal\n2 of 6 files and directories match\n");
    assert_eq!(text(&[&format!("{mnt}/a"), "-r", r".*\.wal"]), below);
    assert_eq!(text(&[&format!("{raw}/a/../a/"), "-r", r".*\.wal"]), below);
    let nothing = text(&[&format!("{mnt}/none"), "-r", ".*"]);
    assert_eq!(nothing, "0 of 0 files and directories match\n");
    let one = answer(&["--glob", "*.wal", "--most", "1", "--addr", &mount.addr]);
    assert_eq!((one["paths"].as_array().unwrap().len(), &one["matching"]), (1, &json!(3)));
    assert_eq!(
        (&one["seen"], &one["left_out"], &one["whole"]),
        (&json!(10), &json!(0), &json!(true))
    );
    let some = text(&["--glob", "*.wal", "--most", "2", "--addr", &mount.addr]);
    assert!(
        some.ends_with("\n3 of 10 files and directories match; 2 of them are shown\n"),
        "{some}"
    );
    assert_eq!(text(&["-r", &raw, &mnt]), format!("{raw}\n1 of 10 files and directories match\n"));
    let odd = mount.raw().join(OsStr::from_bytes(b"odd\xff\nx"));
    fs::write(odd, "").unwrap();
    let told = answer(&["--glob", "odd*", &mnt])["paths"][0].clone();
    assert!(told["path_base64"].is_string(), "{told}");
    assert_eq!(text(&["--glob", "odd*", &mnt]).lines().count(), 2);
}

#[test]
fn a_pattern_that_can_match_nothing_here_is_told_as_when_it_is_set() {
    let mount = filled();
    let (raw, mnt) = (mount.raw(), mount.mnt());
    let (raw, mnt) = (raw.display(), mnt.to_str().unwrap());
    let output = run(&["-r", "a/wal", mnt]);
    assert!(output.status.success() && output.stdout.starts_with(b"0 of 10"));
    let told = String::from_utf8(output.stderr).unwrap();
    let wanted = format!(
        "the pattern matches no path here, since each begins with {raw}/; did you mean '.*/a/wal' or, for \
         what is below it, '.*/a/wal/.*'?"
    );
    assert!(told.contains(&wanted) && told.lines().count() == 1, "{told}");
    assert_eq!(answer(&["-r", "a/wal", mnt])["warnings"], json!([wanted]));
    assert_eq!(answer(&["-r", ".*/none", mnt])["warnings"], json!([]));
}

/// Whoever sets it: clients of charybdefs have no other answer.
#[test]
fn the_log_tells_of_a_pattern_that_can_match_nothing_here() {
    let mount = Mount::new();
    let why = format!(
        "the pattern matches no path here, since each begins with {}/",
        mount.raw().display()
    );
    let mut client = mount.client();
    client.put_fault(&on_path(failing(&["mkdir"], "EIO"), "member/wal"), false).unwrap();
    mount.wait_until_logged(&format!("put_fault: fault 1: {why}"));
    let regexp = "member/wal".to_owned();
    let dead = PlainFault { err_nos: vec![5], regexp, ..PlainFault::default() };
    client.set_fault(Some(&["rmdir".to_owned()]), &dead).unwrap();
    mount.wait_until_logged(&format!("set_fault: 100%: fault 2: {why}"));
}

#[test]
fn a_path_meets_the_faults_that_requests_on_it_do() {
    let mount = filled();
    mount.add(&on_path(failing(&["unlink"], "EIO"), ".*/wal/.*"));
    mount.add(&on_path(failing(&["rename"], "EROFS"), ".*/0\\.wal"));
    mount.add(&on_path(failing(&["unlink", "rename"], "EPERM"), "(?!.*snap).*"));
    mount.add(&failing(&["mkdir"], "EPERM").with("count", "1"));
    let ids = |path: &Path| {
        let met = answer(&[path.to_str().unwrap()]);
        let faults = met["faults"].as_array().unwrap().clone();
        assert_eq!(i64::try_from(faults.len()).unwrap() + met["others"].as_i64().unwrap(), 4);
        let id = |fault: &Value| fault["id"].as_i64().unwrap();
        (met["path"].as_str().unwrap().to_owned(), faults.iter().map(id).collect::<Vec<_>>())
    };
    for (name, meets) in [
        ("a/wal/0.wal", &[1, 2, 3, 4][..]),
        ("a/wal/1.wal", &[1, 3, 4]),
        ("a/snap/db", &[4]),
        ("b/wal", &[3, 4]),
        ("b/wal/none/yet", &[1, 3, 4]),
        ("", &[3, 4]),
    ] {
        let (mounted, backing) = (mount.mnt().join(name), mount.raw().join(name));
        let wanted = backing.to_str().unwrap().trim_end_matches('/').to_owned();
        for path in [&mounted, &backing] {
            assert_eq!(ids(path), (wanted.clone(), meets.to_vec()), "{}", path.display());
        }
        // What requests meet is what was told.
        if mounted.is_file() {
            let errno = if meets.contains(&1) { libc::EIO } else { 0 };
            let removed = fs::remove_file(&mounted);
            assert_eq!(removed.err().map_or(0, |e| e.raw_os_error().unwrap()), errno, "{name}");
        }
    }
    let table = text(&[mount.mnt().join("a/wal/1.wal").to_str().unwrap()]);
    let head = format!("{}/a/wal/1.wal meets 3 of 4 faults", mount.raw().display());
    assert!(table.starts_with(&(head + "\nID")) && table.contains("error EIO"), "{table}");
    // For which methods, too.
    let met = answer(&[mount.mnt().join("a/wal/1.wal").to_str().unwrap()]);
    let methods =
        met["faults"].as_array().unwrap().iter().map(|fault| fault["fault"]["methods"].clone());
    let wanted = [json!(["unlink"]), json!(["rename", "unlink"]), json!(["mkdir"])];
    assert_eq!(methods.collect::<Vec<_>>(), wanted, "{met}");
    assert!(table.contains(" rename,unlink ") && table.contains(" mkdir "), "{table}");
    mount.clear();
    let none = text(&[mount.mnt().to_str().unwrap()]);
    assert_eq!(none, format!("{} meets 0 of 0 faults\n", mount.raw().display()));
}

#[test]
fn nothing_below_a_mount_that_holds_everything_is_touched() {
    let mount = filled();
    let _clear = mount.clear_on_drop();
    let id = mount.add(&hanging(&["getattr", "opendir", "readdir", "readlink", "open"]));
    let held = mount.mnt().join("a");
    let looking = thread::spawn(|| fs::metadata(held));
    wait_for("it to be held", || (mount.listed(id).held > 0).then_some(()));
    let met = text(&[mount.mnt().join("a/wal/0.wal").to_str().unwrap()]);
    assert!(met.contains("meets 1 of 1 fault\n"), "{met}");
    let found = text(&["--glob", "*.wal", mount.mnt().to_str().unwrap()]);
    assert!(found.contains("3 of 10"), "{found}");
    mount.clear();
    looking.join().unwrap().unwrap();
}

/// The backing is a mirror itself here, told to hold.
#[test]
fn a_backing_that_hangs_keeps_nobody_who_asks_and_one_thread() {
    const SOON: Duration = Duration::from_secs(3);
    let inner = filled();
    let scratch = common::scratch();
    std::os::unix::fs::symlink(inner.mnt(), scratch.path().join("raw")).unwrap();
    let mut outer = Mount::over(scratch, &[] as &[&str]);
    let _clear = inner.clear_on_drop();
    let hang = inner.add(&on_path(hanging(&["opendir", "readdir"]), ".*/b"));
    let ask = || outer.client().match_files(r".*\.wal", Path::new(""), 10);
    let began = Instant::now();
    let Matched { seen, whole, .. } = ask().unwrap();
    assert!(!whole && seen > 0 && began.elapsed() >= SOON, "{seen} {:?}", began.elapsed());
    assert_eq!(inner.listed(hang).held, 1);
    // However often it is asked meanwhile.
    thread::scope(|scope| {
        let asked = [(); 4].map(|()| scope.spawn(ask));
        for refused in asked.map(|asked| asked.join().unwrap()) {
            let why = refused.unwrap_err().to_string();
            assert!(why.contains("an earlier look through it has not come to its end"), "{why}");
        }
    });
    let tasks = fs::read_dir(format!("/proc/{}/task", outer.pid())).unwrap();
    let names = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("comm")));
    assert_eq!(names.flatten().filter(|name| name == "slowfs-match\n").count(), 1);
    inner.clear();
    let found = wait_for("the look to end", || ask().ok());
    assert_eq!((found.matching, found.whole), (3, true));
    // Nor does it keep the daemon.
    let hang = inner.add(&on_path(hanging(&["opendir"]), ".*/b"));
    assert!(!ask().unwrap().whole && inner.listed(hang).held == 1);
    outer.stop();
}

/// The mirrored directory is its own mountpoint's: what it has can be seen by its daemon only.
#[test]
fn a_mirror_over_its_own_directory_is_looked_through_beneath() {
    let scratch = common::scratch();
    fs::create_dir(scratch.path().join("mnt")).unwrap();
    std::os::unix::fs::symlink("mnt", scratch.path().join("raw")).unwrap();
    let mount = Mount::over(scratch, &[] as &[&str]);
    fs::write(mount.mnt().join("file"), "").unwrap();
    let _clear = mount.clear_on_drop();
    mount.add(&failing(&["opendir", "readdir"], "EIO"));
    assert_eq!(errno_of(fs::read_dir(mount.mnt())), libc::EIO);
    let found = text(&["--glob", "file", mount.mnt().to_str().unwrap()]);
    assert_eq!(
        found,
        format!("{}/file\n1 of 2 files and directories match\n", mount.raw().display())
    );
    let met = text(&[mount.raw().join("file").to_str().unwrap()]);
    assert!(
        met.starts_with(&format!("{}/file meets 1 of 1 fault\n", mount.raw().display())),
        "{met}"
    );
}

#[test]
fn what_else_is_mounted_below_is_left_out_and_links_are_not_followed() {
    let mount = filled();
    let other = mount.raw().join("b/other");
    std::os::unix::fs::symlink("/", mount.raw().join("b/link")).unwrap();
    let _other = Within::mount(other.clone());
    fs::write(other.join("5.wal"), "").unwrap();
    let output = run(&["--glob", "*.wal", mount.mnt().to_str().unwrap()]);
    let told = text_of(&output);
    assert!(output.status.success(), "{told}");
    assert!(told.contains("3 of 12 files and directories match"), "{told}");
    assert!(told.contains("1 directory was not looked into"), "{told}");
}

#[test]
fn what_is_of_no_mount_or_no_pattern_is_refused() {
    let mount = filled();
    for (words, code, told) in [
        (&["/usr", "--addr", &mount.addr][..], 1, "/usr lies neither below"),
        (&["-r", "(a", "--addr", &mount.addr], 2, "invalid pattern (a"),
        (&["-r", "*.wal", "--addr", &mount.addr], 2, "or --glob '*.wal'"),
        (&["--addr", &mount.addr], 2, "PATH"),
        (&["-r", "a", "--most", "1001", "--addr", &mount.addr], 2, "from 0 to 1000"),
    ] {
        let output = run(words);
        let text = text_of(&output);
        assert_eq!(
            (output.status.code(), text.lines().count()),
            (Some(code), 1),
            "{words:?}: {text}"
        );
        assert!(text.contains(told), "{words:?}: {text}");
    }
    let mut client = mount.client();
    for path in ["a", "/a/../b", ""] {
        assert!(client.match_path(Path::new(path)).is_err(), "{path}");
    }
    assert!(client.match_files("(a", Path::new(""), 1).is_err());
    let most = client.match_files("", Path::new(""), i64::MAX).unwrap();
    assert_eq!((most.paths.len(), most.matching), (10, 10));
    assert!(client.match_files("", Path::new(""), -1).unwrap().paths.is_empty());
}
