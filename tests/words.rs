//! The command line says what it did, and what cannot have an effect; what is wrong changes nothing.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;

use std::fs;
use std::process::{Command, Output};
use std::thread;

use common::{Mount, errno_of, slowfs, stdout_of, text_of, wait_for};
use serde_json::{Value, json};

fn run(mount: &Mount, words: &[&str]) -> Output {
    slowfs().args(words).args(["--addr", &mount.addr]).output().unwrap()
}

/// What it prints; it succeeds, and warns of nothing.
fn ok(mount: &Mount, words: &[&str]) -> String {
    let output = run(mount, words);
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {}", text_of(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The one warning of a command that succeeds, which `--json` tells too.
fn warned(mount: &Mount, words: &[&str]) -> String {
    let output = run(mount, words);
    assert!(output.status.success(), "{words:?}: {}", text_of(&output));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{words:?}: {told}");
    let answer: Value = serde_json::from_str(&stdout_of(slowfs().args(words).args([
        "--json",
        "--addr",
        &mount.addr,
    ])))
    .unwrap();
    assert_eq!(answer["warnings"].as_array().unwrap().len(), 1, "{answer}");
    told
}

fn lines(mount: &Mount) -> Vec<String> {
    mount.client().list_faults().unwrap().iter().map(|listed| listed.fault.line()).collect()
}

/// Runs a script of `slowfs` commands.
fn sh(script: &str) {
    let program = slowfs().get_program().to_owned();
    let function = format!("slowfs() {{ {} \"$@\"; }}\n", program.display());
    stdout_of(Command::new("sh").arg("-ec").arg(function + script));
}

#[test]
fn what_list_prints_as_commands_is_a_script_whomever_it_asks() {
    let (one, two, idle) = (Mount::new(), Mount::new(), Mount::new());
    ok(&one, &["error", "EIO", "-m", "mkdir", "-r", ".*/it's\na [b]", "--name", "first"]);
    ok(&one, &["throttle", "--iops", "50"]);
    ok(&two, &["kill", "-m", "rmdir", "-p", "1%"]);
    let nothing = slowfs::fault::PlainFault::default();
    two.client().set_fault(Some(&["unlink".to_owned()]), &nothing).unwrap();
    let addrs = [&one, &two, &idle].map(|mount| mount.addr.clone()).join(",");
    let script = stdout_of(slowfs().args(["list", "--commands", "--addr", &addrs]));
    for part in [
        format!("# {}\n", one.addr),
        "# fault 2 does nothing to unlink".into(),
        "# no faults".into(),
    ] {
        assert!(script.contains(&part), "{part} in {script}");
    }
    let before = [lines(&one), lines(&two)];
    assert_eq!(before[0].len(), 2);
    [&one, &two].into_iter().for_each(Mount::clear);
    sh(&script);
    assert_eq!(lines(&one), before[0]);
    assert_eq!(lines(&two), before[1][..1]);
    assert_eq!(ok(&idle, &["list", "--commands"]), "# no faults\n");
}

#[test]
fn clear_tells_how_much_and_clears_nothing_if_a_part_is_not_there() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    ok(&mount, &["hang", "-m", "mkdir", "--name", "slow-wal"]);
    ok(&mount, &["error", "EIO", "-m", "rmdir,unlink"]);
    let before = lines(&mount);
    for (what, hint) in [
        (["slow-wal", "slow-wla"], "there is no fault slow-wla (did you mean slow-wal?)"),
        (["rmdir", "unlnk"], "there is no fault unlnk (did you mean the method unlink?)"),
        (["2", "77"], "there is no fault 77; nothing was cleared"),
    ] {
        let refused = run(&mount, &["clear", what[0], what[1]]);
        assert_eq!(refused.status.code(), Some(1));
        let text = text_of(&refused);
        assert!(text.contains(hint) && text.lines().count() == 1, "{text}");
        assert_eq!(lines(&mount), before);
    }
    let dir = mount.mnt().join("dir");
    thread::scope(|scope| {
        let making = scope.spawn(|| fs::create_dir(&dir));
        ok(&mount, &["wait", "slow-wal", "--held", "1"]);
        let cleared = ok(&mount, &["clear", "slow-wal,rmdir"]);
        let told = "cleared slow-wal,rmdir; 1 fault has gone; takes rmdir from 2 (left: unlink); released 1 held\n";
        assert_eq!(cleared, told);
        making.join().unwrap().unwrap();
    });
    let all: Value = serde_json::from_str(&ok(&mount, &["clear", "--json"])).unwrap();
    let told = ["cleared", "faults", "released", "taken"].map(|field| all[field].clone());
    assert_eq!(told, [json!("all"), json!([2]), json!(0), json!([])]);
    let recipe = ok(&mount, &["recipe", "clear"]);
    assert_eq!(recipe, "no fault was set\n");
}

#[test]
fn what_a_recipe_replaces_has_lost_nothing_to_it() {
    let mount = Mount::new();
    ok(&mount, &["recipe", "full"]);
    let told = ok(&mount, &["recipe", "dying-disk"]);
    let replaces: Vec<_> = told.lines().map(|line| line.contains("; replaces 1")).collect();
    assert!(replaces == [true, false] && !told.contains("takes"), "{told}");
    ok(&mount, &["recipe", "full"]);
    let json: Value =
        serde_json::from_str(&ok(&mount, &["recipe", "dying-disk", "--json"])).unwrap();
    let told = |field: &str| [0, 1].map(|place| json["faults"][place][field].clone());
    assert_eq!(told("replaced"), [json!([4]), json!([])], "{json}");
    assert_eq!(told("taken"), [json!([]), json!([])], "{json}");
}

#[test]
fn what_spent_faults_of_one_name_hold_is_let_go_by_that_name() {
    let mount = Mount::new();
    let _clear = mount.clear_on_drop();
    let dirs = ["a", "b"].map(|name| mount.mnt().join(name));
    dirs.iter().for_each(|dir| fs::create_dir(dir).unwrap());
    thread::scope(|scope| {
        let making: Vec<_> = dirs
            .iter()
            .map(|dir| {
                ok(&mount, &["hang", "-m", "mkdir", "--count", "1", "--add", "--name", "once"]);
                let making = scope.spawn(|| fs::create_dir(dir.join("c")));
                ok(&mount, &["wait", "once", "--held", "1"]);
                making
            })
            .collect();
        let cleared = ok(&mount, &["clear", "once"]);
        assert_eq!(cleared, "cleared once; 2 faults have gone; released 2 held\n");
        making.into_iter().for_each(|made| made.join().unwrap().unwrap());
    });
    assert_eq!(run(&mount, &["clear", "once"]).status.code(), Some(1), "it holds nothing any more");
}

#[test]
fn faults_given_at_the_mount_are_logged_as_those_set_later() {
    let mount = Mount::with(&[
        "--fault",
        "error EIO -m mkdir --name first -r '.*/a\nb'",
        "--fault",
        "delay 1ms -m mkdir,lock",
        "--fault",
        "kill -m lock --add",
    ]);
    for line in [
        r"--fault: fault 1: error EIO -m mkdir -r '.*/a\nb' --name first",
        "--fault: fault 2: delay 1ms -m lock,mkdir; replaces 1",
        "--fault: fault 3: it cannot fire on this mount (lock: locks stay with the kernel",
        "--fault: fault 3: it cannot fire as long as fault 2 is set",
    ] {
        wait_for(line, || mount.log_text().contains(line).then_some(()));
    }
}

#[test]
fn two_faults_of_one_name_are_refused() {
    let scratch = common::scratch();
    let mut mount = slowfs();
    mount.arg("mount").arg(scratch.path()).args(["--listen", "none"]);
    mount.args(["--fault", "kill -m read --name a", "--fault", "kill -m write --name a"]);
    let output = mount.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
    assert!(text_of(&output).contains("two faults are called a"), "{}", text_of(&output));
    let mount = Mount::new();
    let named = |method: &str| slowfs::fault::FaultWords {
        name: Some("a".into()),
        ..common::failing(&[method], "EIO")
    };
    let both = [named("read"), named("write")];
    let refused = mount.client().put_faults(&both, &[], false).unwrap_err().to_string();
    assert_eq!(refused, "fault 2: fault 1 is called a already: give it another name");
    let refused = mount.client().put_faults(&both[..1], &[-1], false).unwrap_err().to_string();
    assert_eq!(refused, "remove: -1 is no fault's id");
    assert!(lines(&mount).is_empty());
}

#[test]
fn what_another_fault_hides_is_told() {
    let mount = Mount::new();
    ok(&mount, &["error", "EIO", "-m", "mkdir,rmdir", "-p", "50%", "--name", "first"]);
    ok(&mount, &["delay", "1ms", "-m", "mkdir", "--count", "9", "--add"]);
    let now = warned(&mount, &["error", "EIO", "-m", "mkdir,rmdir", "--name", "first"]);
    assert!(now.contains("fault 2 cannot fire as long as this one is set"), "{now}");
    let added = ["kill", "-m", "mkdir", "-r", ".*/a", "--add", "--name", "behind"];
    let behind = warned(&mount, &added);
    assert!(behind.contains("it cannot fire as long as fault 3 is set"), "{behind}");
    let listed = run(&mount, &["list"]);
    let text = String::from_utf8(listed.stderr).unwrap();
    for hidden in ["fault 2: it cannot fire as long as fault 3", "fault 4: it cannot fire"] {
        assert!(text.contains(hidden), "{hidden} in {text}");
    }
    ok(&mount, &["clear", "first"]);
    ok(&mount, &["list"]);
}

#[test]
fn what_cannot_have_an_effect_is_told() {
    let mount = Mount::new();
    let gone = {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id().to_string()
    };
    for (words, told) in [
        (&["kill", "-m", "release"][..], "kill does nothing on release"),
        (&["hang", "--and", "error EIO", "-m", "write"], "error beside hang does nothing"),
        (&["hang", "--and", "delay 1s", "-m", "write"], "delay beside hang does nothing"),
        (&["error", "EIO", "-m", "write", "-p", "0"], "it never fires"),
        (&["error", "EIO", "-m", "write", "--pid", "0"], "no such process is there"),
        (&["error", "EIO", "-m", "write", "--pid", &gone], "no such process is there"),
        (&["delay", "300years", "-m", "write"], "is that the unit you mean?"),
    ] {
        let line = warned(&mount, words);
        assert!(line.contains(told) && line.contains("warning"), "{told} in {line}");
        let listed = text_of(&run(&mount, &["list"]));
        assert!(listed.contains(told), "{told} in {listed}");
        mount.clear();
    }
    let me = std::process::id().to_string();
    ok(&mount, &["delay", "1h", "-m", "all", "-r", ".*/none", "--pid", &me, "--for", "30days"]);
}

#[test]
fn a_fault_with_a_lifetime_is_renewed_under_its_name() {
    let mount = Mount::new();
    let words = ["error", "EIO", "-m", "mkdir", "--name", "a", "--for", "1h"];
    ok(&mount, &words);
    let left = || mount.client().list_faults().unwrap()[0].expires_in_ns.unwrap();
    let before = left();
    wait_for("time to pass", || (left() < before - 50_000_000).then_some(()));
    let old = left();
    let again = ok(&mount, &words);
    assert!(again.contains("replaces 1") && again.contains("begin anew"), "{again}");
    assert!(left() > old, "its hour begins anew");
    let lasting = ["error", "EIO", "-m", "rmdir", "--name", "b"];
    ok(&mount, &lasting);
    assert!(ok(&mount, &lasting).contains("it is in force already, and continues"));
}

#[test]
fn a_line_stays_one_whatever_a_pattern_has() {
    let mount = Mount::new();
    let words = ["error", "EIO", "-m", "mkdir", "--name", "odd", "-r"];
    let answer = ok(&mount, &[&words[..], &[".*/a\n\"b\\."]].concat());
    assert_eq!(answer, "fault 1: error EIO -m mkdir -r '.*/a\\n\"b\\.' --name odd\n");
    let table = ok(&mount, &["list"]);
    assert!(table.ends_with("  .*/a\\n\"b\\.\n") && table.lines().count() == 2, "{table}");
    let changed = ok(&mount, &[&words[..], &[".*\n"]].concat());
    assert!(changed.contains(r"-> .*\n") && changed.lines().count() == 1, "{changed}");
    let line = wait_for("the line of the call", || {
        let log = mount.log_text();
        log.lines().find(|line| line.contains("put_fault: fault 1: error")).map(str::to_owned)
    });
    assert!(line.contains(r#"-r '.*/a\n"b\.' --name odd"#), "{line}");
    fs::create_dir(mount.mnt().join("a")).unwrap();
}

#[test]
fn a_pattern_that_can_match_nothing_here_is_told_with_what_may_be_meant() {
    let mount = Mount::new();
    let (mnt, raw) = (mount.mnt(), mount.raw());
    let (mnt, raw) = (mnt.to_str().unwrap(), raw.to_str().unwrap());
    let mounted = format!("{mnt}/member/wal/.*");
    let backing = format!("{raw}/member/wal/.*");
    for (pattern, meant, below) in [
        ("member/wal", ".*/member/wal", " or, for what is below it, '.*/member/wal/.*'"),
        (&mounted, &backing, &format!(", or --glob '{raw}/member/wal/**'")),
        (mnt, raw, &format!(" or, for what is below it, '{raw}/.*', or --glob '{raw}/**'")),
        ("/wal/.*\\.log", ".*/wal/.*\\.log", ""),
        ("a.log|b.txt", ".*/(a.log|b.txt)", ""),
    ] {
        let told = warned(&mount, &["error", "EIO", "-m", "mkdir", "-r", pattern]);
        let hint = format!("begins with {raw}/; did you mean '{meant}'{below}?");
        assert!(told.contains(&hint), "{told}");
        ok(&mount, &["error", "EIO", "-m", "mkdir", "-r", meant]);
    }
    for glob in ["**", "*.log"] {
        let mounted = format!("{mnt}/{glob}");
        let told = warned(&mount, &["error", "EIO", "-m", "mkdir", "--glob", &mounted]);
        let meant = format!("{raw}/{glob}");
        assert!(told.contains(&format!("--glob '{meant}'?")), "{told}");
        ok(&mount, &["error", "EIO", "-m", "mkdir", "--glob", &meant]);
    }
    let told = warned(&mount, &["error", "EIO", "-m", "mkdir", "--glob", "/member/*"]);
    assert!(told.contains("did you mean --glob 'member/*'?"), "{told}");
}

#[test]
fn the_mirrored_directory_itself_is_a_path_and_no_path_ends_in_a_slash() {
    let mount = Mount::new();
    let raw = mount.raw();
    let raw = raw.to_str().unwrap();
    ok(&mount, &["error", "EACCES", "-m", "opendir", "-r", raw]);
    assert_eq!(errno_of(fs::read_dir(mount.mnt())), libc::EACCES);
    let told = warned(&mount, &["error", "EACCES", "-m", "opendir", "-r", &format!("{raw}/")]);
    let hint = format!(
        "no path ends in a slash or has two in a row; did you mean '{raw}' or, for what is below it,"
    );
    assert!(told.contains(&hint), "{told}");
    fs::read_dir(mount.mnt()).unwrap();
}

#[test]
fn a_glob_may_begin_here() {
    let mount = Mount::new();
    ok(&mount, &["error", "EROFS", "-m", "mkdir", "--glob", "./member/*"]);
    fs::create_dir(mount.mnt().join("member")).unwrap();
    assert_eq!(errno_of(fs::create_dir(mount.mnt().join("member/a"))), libc::EROFS);
}

#[test]
fn a_glob_is_no_pattern_and_has_an_option_of_its_own() {
    let mount = Mount::new();
    for (words, code, told) in [
        (&["-r", "*.log"][..], 2, r"it is no glob: write '.*\.log', or --glob '*.log'"),
        (&["--glob", "*", "-r", ".*"], 2, "cannot be used with"),
        (&["--glob", "[a"], 2, "unclosed"),
        (&["--glob", ""], 2, "a glob is missing"),
    ] {
        let output = run(&mount, &[&["error", "EIO", "-m", "mkdir"], words].concat());
        let text = text_of(&output);
        assert_eq!((output.status.code(), text.lines().count()), (Some(code), 1), "{text}");
        assert!(text.contains(told), "{told} in {text}");
    }
    assert!(lines(&mount).is_empty());
    let wal = warned(&mount, &["error", "EIO", "-m", "mkdir", "-r", "wal/*"]);
    assert!(wal.contains("it is no glob: did you mean '.*/wal/.*', or --glob 'wal/*'?"), "{wal}");
    let unsure = warned(&mount, &["error", "EIO", "-m", "mkdir", "-r", "(?!.*b).*/a"]);
    assert!(unsure.contains("slowfs cannot tell whether the pattern matches"), "{unsure}");
    ok(&mount, &["list"]);
    let set = ok(&mount, &["error", "EROFS", "-m", "mkdir", "--glob", "wal/{a,b}*"]);
    assert!(set.contains("-m mkdir -r '.*/wal/(?:a|b)[^/]*'"), "{set}");
    let table = ok(&mount, &["list"]);
    assert!(table.ends_with("  --glob 'wal/{a,b}*'\n"), "{table}");
    let wal = mount.mnt().join("deep/wal");
    fs::create_dir_all(&wal).unwrap();
    for name in ["a", "b1"] {
        assert_eq!(errno_of(fs::create_dir(wal.join(name))), libc::EROFS, "{name}");
    }
    fs::create_dir_all(wal.join("c/a")).unwrap();
    // What sets it again, and what a mount begins with, reads as it was typed.
    let script = ok(&mount, &["list", "--commands"]);
    let before = lines(&mount);
    mount.clear();
    sh(&script);
    assert_eq!(lines(&mount), before);
    let begun = Mount::with(&["--fault", "error EROFS -m mkdir --glob 'wal/{a,b}*'"]);
    assert_eq!(lines(&begun), before);
}

#[test]
fn recipes_and_kinds_are_listed_for_programs_too() {
    let text = stdout_of(slowfs().args(["recipe", "--list", "--json"]));
    let listed: Value = serde_json::from_str(&text).unwrap();
    let recipes = listed["recipes"].as_array().unwrap();
    let full = recipes.iter().find(|recipe| recipe["name"] == "full").unwrap();
    assert_eq!(full["fault"]["effects"][0]["kind"], "error");
    // In the same form as `slowfs list --json` and the commands of the kinds.
    let dying = recipes.iter().find(|recipe| recipe["name"] == "dying-disk").unwrap();
    let params = [0, 1].map(|n: usize| &dying["faults"][n]["effects"][0]["params"]);
    assert_eq!(params, [&json!({ "errnos": ["EIO"] }), &json!({ "time": 500_000_000 })]);
    let share = &dying["faults"][0]["options"]["probability"];
    assert_eq!(share, &json!(0.01));
    let kinds = stdout_of(slowfs().args(["kinds", "delay", "--json"]));
    let kinds: Value = serde_json::from_str(&kinds).unwrap();
    assert_eq!(kinds["kinds"].as_array().unwrap().len(), 1);
    assert_eq!(kinds["kinds"][0]["params"][0]["name"], "time");
    let human = stdout_of(slowfs().args(["recipe", "--list"]));
    assert_eq!(human.lines().count(), 1 + recipes.len());
}

#[test]
fn a_wrong_value_is_told_in_our_own_words() {
    for (words, told) in [
        (&["delay", "-5ms", "-m", "write"][..], "-5ms is negative"),
        (&["delay", "5ms", "-m", "write", "-p", "-1"], "it must be from 0 to 1"),
        (&["delay", "5ms", "-m", "write", "--for", "-1s"], "-1s is negative"),
        (&["delay", "5ms", "-m", "write", "-r", "-x"], "--OPTION=-x"),
        (
            &["delay", "5ms", "-m", "write", "--fro"],
            "there is no option --fro; did you mean --for?",
        ),
        (&["error", "EIO,", "-m", "write"], "a word is missing beside a comma"),
        (&["delay", "5ms", "-m", "write,"], "a method is missing"),
        (&["delay", "5ms", "--and", "", "-m", "write"], "no kind of fault is called \"\""),
        (&["mount", "/nowhere", "--seed", "x"], "a whole number from 0 to 18446744073709551615"),
        (&["mount", "/nowhere", "--threads", "0"], "a whole number from 1 to 256"),
        (&["mount", "/nowhere", "--held-max", "64Q"], "64KiB or 64K (1024), 1MB (1000)"),
        (&["wait", "a", "--held", "0"], "a whole number from 1 to"),
        (&["torn-write", "prefix:100", "--unit", "4KiB", "-m", "write"], "no multiple of it"),
        (&["short", "0", "-m", "write"], "between 0% and 100%"),
        (&["lost-write", "-m", "read"], "makes no sense on read"),
        (&["corrupt", "flip", "--unit", "500", "-m", "write"], "500 is no power of two"),
        (&["corrupt", "flip", "-m", "write", "--stable", "--count", "1"], "stable excludes"),
        (&["throttle", "--iops", "5", "--stable"], "throttle takes no --stable"),
        (&["throttle", "-m", "write"], "--iops"),
        (
            &["list", "--commands", "/mnt/a"],
            "/mnt/a is no fault; a mount is named before all other arguments, or by --mount: write `slowfs list \
             /mnt/a --commands`",
        ),
        (&["clear", "fsync", "./a"], "write `slowfs clear ./a fsync`"),
        (&["hang", "-m", "read", "--name", "all"], "it stands for every method"),
        (
            &["power-cut", "--stay-off"],
            "--now is missing, as in `slowfs power-cut --now --keep random`",
        ),
        (&["wait"], " are missing, as in"),
        (&["mount", "raw", "mnt", "--images", "dir"], "--track-unsynced --images /images`"),
        (&["mount", "raw", "mnt", "--http", "9464"], "--http-token token`"),
    ] {
        let output = slowfs().args(words).output().unwrap();
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{words:?}: {text}");
        assert!(text.contains(told) && !text.contains("use '--"), "{words:?}: {text}");
    }
}

#[test]
fn sizes_are_read_alike_everywhere() {
    let mount = Mount::with(&["--held-max", "1K"]);
    ok(&mount, &["error", "EIO", "-m", "write", "--range", "4K..1M", "--size", "..2G"]);
    let listed = mount.client().list_faults().unwrap().remove(0).fault.line();
    assert_eq!(listed, "error EIO -m write --range 4KiB..1MiB --size 0..2GiB");
    let held = errno_of(fs::write(mount.mnt().join("f"), [0; 5000]));
    assert_eq!(held, libc::EIO);
}

#[test]
fn a_mount_behind_the_file_of_a_scenario_is_told_to_come_first() {
    let mount = Mount::new();
    let mnt = mount.mnt().display().to_string();
    let output = slowfs().args(["run", "disk.scenario", &mnt]).output().unwrap();
    let text = text_of(&output);
    assert_eq!((output.status.code(), text.lines().count()), (Some(2), 1), "{text}");
    let told = format!("stands before the file: write `slowfs run {mnt} disk.scenario`");
    assert!(text.contains(&told), "{text}");
}
