//! The faults of a mount outlive its daemon, however that ends, and the file that keeps them is whole at any moment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{Mount, Within, delaying, failing, fault_on, hanging, slowfs, text_of, wait_for};
use rustix::process::Signal;
use slowfs::fault::FaultWords;

/// In memory: the end of a daemon waits two seconds for the disk, and no longer.
fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("slowfs-test-").tempdir_in("/dev/shm").unwrap()
}

/// Where the state of a mount is, beside it.
fn place(scratch: &tempfile::TempDir) -> (PathBuf, [String; 2]) {
    let path = scratch.path().join("state");
    let options = ["--state".to_owned(), path.display().to_string()];
    (path, options)
}

fn lines(mount: &Mount) -> Vec<String> {
    let listed = mount.client().list_faults().unwrap();
    listed.iter().map(|listed| listed.fault.line()).collect()
}

/// The lines of a state, which must be whole.
fn kept(text: &str) -> Vec<&str> {
    assert!(text.starts_with("# slowfs state: "), "{text}");
    assert!(text.ends_with("# end\n"), "{text}");
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

fn named(fault: FaultWords, name: &str) -> FaultWords {
    FaultWords { name: Some(name.to_owned()), ..fault }
}

#[test]
fn faults_are_in_force_again_however_the_daemon_ended() {
    let scratch = scratch();
    let (path, options) = place(&scratch);
    let mut mount = Mount::over(scratch, &options);
    let fault = failing(&["mkdir"], "EIO");
    mount.add(&fault);
    mount.add(&named(delaying(&["fsync"], std::time::Duration::from_millis(5)), "slow"));
    mount.add(&failing(&["mkdir", "rmdir"], "EROFS").with("count", "1"));
    let expected = [
        "error EIO -m mkdir",
        "delay 5ms -m fsync --name slow",
        "error EROFS -m mkdir,rmdir --count 1",
    ];
    assert_eq!(lines(&mount), expected);
    for signal in [Signal::TERM, Signal::KILL] {
        let is_written = || fs::read_to_string(&path).is_ok_and(|text| kept(&text) == expected);
        wait_for("the state to be written", || is_written().then_some(()));
        mount.signal(signal);
        assert_eq!(mount.wait().success(), signal == Signal::TERM);
        mount.start(&options);
        assert_eq!(lines(&mount), expected, "after {signal:?}");
        fs::create_dir(mount.mnt().join("d")).unwrap_err();
    }
    // One that is spent is gone.
    fs::remove_dir(mount.mnt().join("none")).unwrap_err();
    fs::create_dir(mount.raw().join("d")).unwrap();
    let error = fs::remove_dir(mount.mnt().join("d")).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(libc::EROFS));
    // A clean end waits for what is last.
    mount.stop();
    assert_eq!(kept(&fs::read_to_string(&path).unwrap()), expected[..2]);
    // What is given at each start comes once, and a name decides.
    let typed = ["--fault", expected[0], "--fault", "delay 7ms -m fsync --name slow"];
    let options: Vec<_> = options.iter().map(String::as_str).chain(typed).collect();
    mount.start(&options);
    assert_eq!(lines(&mount), [expected[0], "delay 7ms -m fsync --name slow"]);
    mount.clear();
    mount.stop();
    assert!(kept(&fs::read_to_string(&path).unwrap()).is_empty());
}

#[test]
fn who_kills_the_daemon_amid_a_thousand_changes_finds_a_whole_file() {
    let scratch = scratch();
    let (path, options) = place(&scratch);
    let mut mount = Mount::over(scratch, &options);
    wait_for("the state", || fs::read_to_string(&path).ok());
    for amid in [30, 400, 850] {
        let ended = AtomicBool::new(false);
        let looked = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut looks = 0;
                while !ended.load(Ordering::Relaxed) {
                    kept(&fs::read_to_string(&path).unwrap());
                    looks += 1;
                }
                looks
            });
            let mut client = mount.client();
            for n in 0..1_000 {
                if n == amid {
                    mount.signal(Signal::KILL);
                }
                let fault = named(failing(&["mkdir"], "EIO"), &format!("f{}", n % 50));
                if client.put_fault(&fault.with("count", &format!("{}", n + 1)), true).is_err() {
                    break;
                }
            }
            ended.store(true, Ordering::Relaxed);
            reader.join().unwrap()
        });
        assert!(looked > 0);
        assert!(!mount.wait().success());
        let left = fs::read_to_string(&path).unwrap();
        let left = kept(&left);
        assert!(!left.is_empty(), "what was set long before is kept");
        mount.start(&options);
        assert_eq!(lines(&mount), left);
    }
}

#[test]
fn a_state_that_cannot_be_taken_up_is_refused_and_a_line_is_not() {
    let mut mount = Mount::new();
    let state = mount.scratch().join("state");
    let refused = |at: PathBuf, dir: &std::path::Path| {
        let mut command = slowfs();
        command.arg("mount").arg(dir).args(["--listen", "none", "--state"]).arg(&at);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
        text_of(&output)
    };
    let other = scratch();
    let told = refused(other.path().join("state"), other.path());
    assert!(told.contains("for --state: it lies below"), "{told}");
    assert!(!other.path().join("state").exists());
    fs::write(&state, "precious\n").unwrap();
    let told = refused(state.clone(), other.path());
    assert!(told.contains("something else in it than the faults of a mount"), "{told}");
    assert_eq!(fs::read_to_string(&state).unwrap(), "precious\n");
    fs::remove_file(&state).unwrap();
    mount.stop();
    let options = ["--state".to_owned(), state.display().to_string()];
    mount.start(&options);
    mount.add(&failing(&["mkdir"], "EIO"));
    let told = refused(state.clone(), other.path());
    assert!(told.contains("another daemon runs with it"), "{told}");
    mount.stop();
    // By a later version, or by hand.
    let text = fs::read_to_string(&state).unwrap();
    let half = text.trim_end().trim_end_matches("# end");
    fs::write(&state, half).unwrap();
    assert!(refused(state.clone(), other.path()).contains("its end is missing"));
    fs::write(&state, format!("{half}wobble 5ms -m read\ncut-at fsync\n# end\n")).unwrap();
    mount.start(&options);
    assert_eq!(lines(&mount), ["error EIO -m mkdir"]);
    let log = mount.log_text();
    for why in ["(no kind of fault is called wobble", "(cut-at needs a mount with --track-unsynced"]
    {
        let told = log.lines().filter(|line| line.contains(" WARN ") && line.contains(why));
        assert_eq!(told.count(), 1, "{why}: {log}");
    }
    wait_for("the state", || {
        let text = fs::read_to_string(&state).unwrap();
        (text.contains("# not set again (") && kept(&text) == ["error EIO -m mkdir"]).then_some(())
    });
}

/// As many as they are asked for, at each start.
#[test]
fn what_is_given_twice_stands_twice_with_and_without_a_state() {
    let (scratch, line) = (scratch(), "error EIO -m mkdir");
    let (path, state) = place(&scratch);
    let faults = scratch.path().join("faults");
    fs::write(&faults, format!("{line}\n")).unwrap();
    let add = format!("{line} --add");
    let listed = ["--faults", faults.to_str().unwrap()];
    let asked = [&listed[..], &["--fault", &add, "--fault", &add]].concat();
    let mut mount = Mount::over(scratch, &asked);
    let wanted = [line; 3];
    assert_eq!(lines(&mount), wanted);
    let with_state: Vec<&str> = state.iter().map(String::as_str).chain(asked).collect();
    for start in 1..=3 {
        mount.stop();
        mount.start(&with_state);
        assert_eq!(lines(&mount), wanted, "start {start} with it");
    }
    mount.stop();
    assert_eq!(kept(&fs::read_to_string(&path).unwrap()), wanted);
    // One that takes the methods of the others does so.
    let alone = [&state[0], &state[1], "--fault", line, "--fault", line];
    fs::remove_file(&path).unwrap();
    for _ in 0..2 {
        mount.start(&alone);
        assert_eq!(lines(&mount), [line]);
        mount.stop();
    }
}

/// What one of them takes from another it takes at each start, and nothing of what was set meanwhile.
#[test]
fn what_is_given_comes_to_the_same_at_each_start_and_what_was_set_stays() {
    let scratch = scratch();
    let (path, state) = place(&scratch);
    let faults = scratch.path().join("faults");
    fs::write(&faults, "delay 1ms -m read,write\n").unwrap();
    let listed = ["--faults", faults.to_str().unwrap()];
    let one = ["--fault", "error EIO -m read"];
    let all = ["--fault", "error EIO -m read,write"];
    let single = ["--fault", "delay 1ms -m read"];
    let add = ["--fault", "error EIO -m read --add"];
    let part = ["delay 1ms -m write", "error EIO -m read"];
    let whole = ["delay 1ms -m read", "error EIO -m read"];
    let asked = [
        ([&listed[..], &one, &["--fault", part[0]]].concat(), &["error EIO -m read", part[0]][..]),
        ([&listed[..], &one].concat(), &part),
        ([&listed[..], &all].concat(), &all[1..]),
        ([&add[..], &single, &add].concat(), &whole),
    ];
    let mut mount = Mount::over(scratch, &state);
    for (asked, expected) in asked {
        mount.stop();
        fs::remove_file(&path).unwrap();
        mount.start(&asked);
        assert_eq!(lines(&mount), expected, "without it");
        let with_state: Vec<&str> = state.iter().map(String::as_str).chain(asked).collect();
        for start in 1..=3 {
            mount.stop();
            mount.start(&with_state);
            assert_eq!(lines(&mount), expected, "start {start} with it");
        }
        let later = "kill -m read --name later";
        mount.add(&named(fault_on(&["read"]).and("kill", ""), "later"));
        mount.stop();
        mount.start(&with_state);
        assert_eq!(lines(&mount), [expected, &[later]].concat());
    }
}

/// That it was left too does not make it optional.
#[test]
fn what_is_asked_for_again_and_cannot_be_is_refused() {
    let scratch = scratch();
    let (path, options) = place(&scratch);
    let asked = [&options[0], &options[1], "--fault", "cut-at fsync"];
    let mut mount = Mount::over(scratch, &[&asked[..], &["--track-unsynced"]].concat());
    mount.stop();
    assert_eq!(kept(&fs::read_to_string(&path).unwrap()), ["cut-at fsync"]);
    let mut command = slowfs();
    command.arg("mount").arg(mount.mnt()).arg("--subdir").arg(mount.raw());
    let output = command.args(["--listen", "none"]).args(asked).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    assert!(
        text_of(&output).contains("needs a mount with --track-unsynced"),
        "{}",
        text_of(&output)
    );
    assert_eq!(kept(&fs::read_to_string(&path).unwrap()), ["cut-at fsync"]);
}

#[test]
fn on_a_full_disk_the_mount_goes_on_and_says_so() {
    let scratch = scratch();
    let disk = scratch.path().join("disk");
    let _disk = Within::mount_of("tmpfs", disk.clone(), Some("size=64k"));
    let state = disk.join("state");
    let mount = Mount::over(scratch, &["--state".to_owned(), state.display().to_string()]);
    mount.add(&failing(&["mkdir"], "EIO"));
    let written = |part: &str| fs::read_to_string(&state).unwrap_or_default().contains(part);
    wait_for("the state", || written("EIO").then_some(()));
    fs::write(disk.join("full"), vec![0; 1 << 20]).unwrap_err();
    mount.add(&failing(&["rmdir"], "EROFS"));
    mount.wait_until_logged("cannot write the state");
    assert!(mount.log_text().contains("No space left on device"), "{}", mount.log_text());
    fs::create_dir(mount.mnt().join("d")).unwrap_err();
    assert_eq!(kept(&fs::read_to_string(&state).unwrap()).len(), 1);
    fs::remove_file(disk.join("full")).unwrap();
    wait_for("the state to be written again", || written("EROFS").then_some(()));
    mount.wait_until_logged("is written again");
    drop(mount);
}

#[test]
fn on_a_disk_that_hangs_the_state_is_whole_or_not_there() {
    let inner = Mount::new();
    let _clear = inner.clear_on_drop();
    let state = inner.mnt().join("state");
    let options = ["--state".to_owned(), state.display().to_string()];
    let stored = inner.raw().join("state");
    inner.add(&hanging(&["write"]));
    let mut mount = Mount::over(scratch(), &options);
    let fault = failing(&["mkdir"], "EIO");
    mount.add(&fault);
    wait_for("the write to be held", || {
        let listed = inner.client().list_faults().unwrap();
        (listed[0].held == 1).then_some(())
    });
    assert!(!stored.exists(), "nothing stands in it");
    mount.signal(Signal::KILL);
    mount.wait();
    assert!(!stored.exists());
    inner.clear();
    mount.start(&options);
    mount.add(&fault);
    let text = || fs::read_to_string(&stored).unwrap_or_default();
    wait_for("the state", || text().contains("EIO").then_some(()));
    // From then on it stays as it was.
    let before = text();
    inner.add(&hanging(&["write"]));
    mount.add(&failing(&["rmdir"], "EROFS"));
    mount.signal(Signal::KILL);
    mount.wait();
    assert_eq!(text(), before);
    assert_eq!(kept(&before), ["error EIO -m mkdir"]);
}

#[test]
fn where_only_the_directory_cannot_be_synced_the_state_is_there_and_that_is_said() {
    let inner = Mount::new();
    let state = inner.mnt().join("state");
    let mount = Mount::over(scratch(), &["--state".to_owned(), state.display().to_string()]);
    let written = |part: &str| fs::read_to_string(&state).unwrap_or_default().contains(part);
    wait_for("the state", || written("# end").then_some(()));
    let id = inner.add(&failing(&["fsyncdir"], "EIO"));
    mount.add(&failing(&["mkdir"], "EROFS"));
    mount.wait_until_logged("cannot sync the directory of the state");
    let log = mount.log_text();
    assert!(log.contains("Input/output error; a crash may bring back what it was"), "{log}");
    assert!(!log.contains("stays as it was") && written("EROFS"), "{log}");
    wait_for("another try", || (inner.listed(id).fired > 1).then_some(()));
    inner.clear();
    mount.wait_until_logged("is written again");
    assert_eq!(mount.log_text().matches("cannot sync").count(), 1, "told once");
}

/// What leads through the mount would wait for its own faults.
#[test]
fn what_is_bound_over_the_state_from_the_mount_is_not_written_to() {
    let scratch = scratch();
    let (dir, other) = (scratch.path().join("kept"), "raw/x/below");
    let (below, other) = (dir.join("below"), scratch.path().join(other));
    fs::create_dir_all(&below).unwrap();
    let state = below.join("state");
    let mount = Mount::over(scratch, &["--state".to_owned(), state.display().to_string()]);
    let written = |part: &str| fs::read_to_string(&state).unwrap_or_default().contains(part);
    wait_for("the state", || written("# end").then_some(()));
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("state"), "of another").unwrap();
    let file = mount.mnt().join("x/below/state");
    // The directory above, and the file alone.
    for (n, (from, to)) in [(mount.mnt().join("x"), &dir), (file, &state)].into_iter().enumerate() {
        rustix::mount::mount_bind(&from, to).unwrap();
        let bound = Within::there(to.clone());
        mount.add(&hanging(&["all"]));
        let refused = "its path leads through this very mount now; it is not there";
        let told = || mount.log_text().matches(refused).count();
        wait_for("a warning", || (told() > n).then_some(()));
        mount.clear();
        mount.add(&named(failing(&["mkdir"], "EIO"), &format!("f{n}")));
        assert_eq!(fs::read_to_string(other.join("state")).unwrap(), "of another");
        assert_eq!(fs::read_dir(&other).unwrap().count(), 1);
        drop(bound);
        wait_for("the state to be written", || written(&format!("f{n}")).then_some(()));
    }
    assert_eq!(mount.log_text().matches("cannot write the state").count(), 2, "told once each");
}

/// What an overlay on the mount asks of it comes from the thread that writes, which must not wait for faults of its own.
#[test]
fn an_overlay_on_the_mount_keeps_the_state_from_no_write() {
    let scratch = scratch();
    let [lower, dir, above] = ["raw/x", "kept", "above"].map(|name| scratch.path().join(name));
    fs::create_dir_all(lower).unwrap();
    fs::create_dir(&dir).unwrap();
    let _above = Within::mount_of("tmpfs", above.clone(), None);
    let [upper, work] = ["upper", "work"].map(|name| above.join(name));
    fs::create_dir(&upper).unwrap();
    fs::create_dir(&work).unwrap();
    let state = dir.join("state");
    let mount = Mount::over(scratch, &["--state".to_owned(), state.display().to_string()]);
    let is_in =
        |path: &PathBuf, part: &str| fs::read_to_string(path).is_ok_and(|it| it.contains(part));
    wait_for("the state", || is_in(&state, "# end").then_some(()));
    let (lower, work) = (mount.mnt().join("x"), work.display());
    let layers =
        format!("lowerdir={},upperdir={},workdir={work}", lower.display(), upper.display());
    let over = Within::over("overlay", dir, Some(&layers));
    let id = mount.add(&FaultWords { pattern: ".*/x(/.*)?".to_owned(), ..hanging(&["all"]) });
    // The overlay itself would ask for it.
    let state = upper.join("state");
    wait_for("the state in the overlay", || is_in(&state, "hang").then_some(()));
    mount.add(&named(failing(&["mkdir"], "EIO"), "later"));
    wait_for("the next one", || is_in(&state, "later").then_some(()));
    assert_eq!(mount.listed(id).fired, 0);
    mount.clear();
    drop(over);
}
