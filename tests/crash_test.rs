//! `slowfs crash-test`: a program that may lose what it has promised is found out, by images that have numbers; one
//! that syncs as it should is not; and nothing is left behind.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::{long_or, scratch, slowfs, stdout_of, text_of, wait_for};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;

const LEDGER: &str = "examples/crash-test/ledger.py";
const REPLACE: &str = "examples/crash-test/replace.py";

/// A place for what is temporary. All of it must be gone when the command has ended.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(scratch())
    }

    /// `slowfs crash-test` with these options and that check, on that program.
    fn command(&self, options: &[&str], check: &str, program: &[&str]) -> Command {
        let mut command = slowfs();
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("TMPDIR", self.0.path());
        command.arg("crash-test").args(options).args(["--check", check, "--"]).args(program);
        command
    }

    fn run(&self, options: &[&str], check: &str, program: &[&str]) -> Output {
        let output = self.command(options, check, program).output().unwrap();
        self.is_clean();
        output
    }

    /// What it tells, and whether it ended well.
    fn tested(&self, options: &[&str], check: &str, program: &[&str]) -> Tested {
        let output = self.run(&[options, &["--json"]].concat(), check, program);
        let json = serde_json::from_slice(&output.stdout);
        let json: Value = json.unwrap_or_else(|_| panic!("{}", text_of(&output)));
        assert_eq!(output.status.code(), Some(i32::from(json["ok"] == false)), "{json}");
        Tested(json)
    }

    fn is_clean(&self) {
        let left: Vec<_> =
            fs::read_dir(self.0.path()).unwrap().map(|e| e.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.0.path().to_str().unwrap()), "{mounts}");
    }
}

struct Tested(Value);

impl Tested {
    /// The numbers of the images on which the check failed, and why.
    fn failed(&self) -> Vec<(u64, String)> {
        let runs = self.0["runs"].as_array().unwrap().iter().filter(|run| run["ok"] == false);
        let failed: Vec<_> = runs
            .map(|run| (run["number"].as_u64().unwrap(), run["why"].as_str().unwrap().to_owned()))
            .collect();
        assert_eq!(self.0["failed"], failed.len());
        failed
    }

    fn checked(&self) -> u64 {
        self.0["checked"].as_u64().unwrap()
    }

    fn seed(&self) -> String {
        self.0["seed"].as_str().unwrap().to_owned()
    }
}

/// The command that judges with one of the examples.
fn judge(example: &str) -> String {
    format!("python3 -IS {example} check {{}}")
}

fn ledger<'a>(times: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["python3", LEDGER, "pay", "{}", times], more].concat()
}

#[test]
fn a_planted_bug_is_found_and_by_its_number_again() {
    let place = Place::new();
    let (check, program) = (judge(LEDGER), ledger("3", &["--bug"]));
    let tested = place.tested(&["--keep", "none"], &check, &program);
    let failed = tested.failed();
    assert!((1..tested.checked()).contains(&(failed.len() as u64)), "{failed:?}");
    assert!(failed.iter().all(|(_, why)| why.contains("is not a payment")), "{failed:?}");
    let seed = tested.seed();
    for (number, why) in failed.iter().take(2) {
        let number_text = number.to_string();
        let only = ["--keep", "none", "--only", &number_text, "--seed", &seed];
        let again = place.tested(&only, &check, &program);
        assert_eq!(again.failed(), [(*number, why.clone())]);
        assert_eq!(again.checked(), 1);
    }
    let sound = (1..).find(|number| failed.iter().all(|(other, _)| other != number)).unwrap();
    let sound = sound.to_string();
    let only = ["--keep", "none", "--only", &sound, "--seed", &seed];
    assert_eq!(place.tested(&only, &check, &program).failed(), []);
}

#[test]
fn without_the_bug_nothing_is_found() {
    let (times, limit) = long_or(("100", "1000"), ("3", "12"));
    let tested = Place::new().tested(&["--limit", limit], &judge(LEDGER), &ledger(times, &[]));
    assert_eq!((tested.failed(), tested.checked().to_string()), (vec![], limit.to_owned()));
}

/// So many replacements of a file that a thousand images come of them, or a few; by a seed with which the few
/// show what they can.
fn replaced(forget: &[&str], seed: &str) -> Tested {
    let times = long_or(167, 2).to_string();
    let program = [&["python3", REPLACE, "write", "{}", &times], forget].concat();
    let options = ["--keep", "none,random,random", "--seed", seed];
    let tested = Place::new().tested(&options, &judge(REPLACE), &program);
    println!("{forget:?}: {} of {} images", tested.failed().len(), tested.checked());
    assert!(tested.checked() > long_or(1_000, 14), "{}", tested.checked());
    tested
}

#[test]
fn a_file_that_is_replaced_with_both_syncs_is_never_lost() {
    assert_eq!(replaced(&[], "1").failed(), []);
}

#[test]
fn who_forgets_the_sync_of_the_directory_loses_the_file() {
    let failed = replaced(&["--forget", "directory"], "1").failed();
    assert!(!failed.is_empty());
    assert!(failed.iter().all(|(_, why)| why.contains("was promised, and")), "{failed:?}");
    assert!(failed.iter().any(|(_, why)| why.ends_with("there is none")), "{failed:?}");
}

#[test]
fn who_renames_before_the_sync_finds_an_empty_file() {
    let failed = replaced(&["--forget", "order"], "2").failed();
    assert!(failed.iter().any(|(_, why)| why.ends_with("it is empty")), "{failed:?}");
    assert!(failed.iter().all(|(_, why)| ["empty", "torn"].iter().any(|w| why.ends_with(w))));
}

/// The rows that were told must be there, in a database that is sound.
const CHECK: &str = "\
import sqlite3, sys
promised = max([0] + [int(line[4:]) for line in sys.stdin if line.startswith('row|')])
database = sqlite3.connect(sys.argv[1])
sound = database.execute('PRAGMA integrity_check').fetchone()[0]
tables = database.execute('SELECT count(*) FROM sqlite_master').fetchone()[0]
rows = database.execute('SELECT count(*) FROM t').fetchone()[0] if tables else 0
if sound != 'ok' or rows < promised:
    sys.exit(f'{promised} rows promised, {rows} there: {sound}')
";

/// Commits rows, each of which is told, and each of which must be there.
fn sqlite(journal: &str, synchronous: &str) -> Tested {
    let place = Place::new();
    let dir = scratch();
    let script = dir.path().join("script.sql");
    let mut statements = format!(
        "PRAGMA journal_mode={journal}; PRAGMA synchronous={synchronous}; PRAGMA wal_autocheckpoint=3;
         CREATE TABLE t(n INTEGER PRIMARY KEY, text);\n"
    );
    for n in 1..=long_or(100, 3) {
        statements +=
            &format!("INSERT INTO t VALUES({n}, hex(randomblob(1500)));\nSELECT 'row', {n};\n");
    }
    fs::write(&script, statements).unwrap();
    let program = format!("sqlite3 {{}}/bank.db < {}", script.display());
    let check = dir.path().join("check.py");
    fs::write(&check, CHECK).unwrap();
    let check = format!("python3 -IS {} {{}}/bank.db", check.display());
    place.tested(&["--limit", long_or("1000", "16")], &check, &["sh", "-c", &program])
}

#[test]
fn sqlite_loses_nothing_that_it_has_committed() {
    for (journal, synchronous) in [("WAL", "FULL"), ("DELETE", "EXTRA")] {
        let tested = sqlite(journal, synchronous);
        println!("{journal} {synchronous}: {} images", tested.checked());
        assert_eq!(tested.failed(), [], "{journal} {synchronous}");
    }
}

/// It syncs nothing, and so there is no moment but the end.
#[test]
fn sqlite_without_syncs_is_found_out() {
    let tested = sqlite("DELETE", "OFF");
    assert!(!tested.failed().is_empty());
    assert_eq!(tested.0["moments"], 1);
    assert!(tested.0["warnings"][0].as_str().unwrap().contains("only its end was checked"));
}

#[test]
fn a_tree_is_copied_and_stays_as_it_is() {
    let (place, tree) = (Place::new(), scratch());
    fs::create_dir(tree.path().join("d")).unwrap();
    fs::write(tree.path().join("d/old"), "old").unwrap();
    let program = ["sh", "-c", "rm {}/d/old; echo new > {}/d/new; sync {}/d/new"];
    let options = ["--tree", tree.path().to_str().unwrap(), "--keep", "none"];
    let tested = place.tested(&options, "test -e {}/d/old -o -e {}/d/new", &program);
    assert_eq!((tested.failed(), tested.checked()), (vec![], 2));
    // The removal is not synced before that.
    let tested = place.tested(&options, "test -e {}/d/new", &program);
    assert_eq!(tested.failed().iter().map(|(number, _)| *number).collect::<Vec<_>>(), [1]);
    assert_eq!(fs::read_to_string(tree.path().join("d/old")).unwrap(), "old");
    assert!(!tree.path().join("d/new").exists());
}

#[test]
fn images_that_failed_are_left_where_that_is_asked_for() {
    let (place, kept) = (Place::new(), scratch());
    let dir = kept.path().join("images");
    let options = ["--keep", "none", "--keep-images", dir.to_str().unwrap()];
    let program = ["sh", "-c", "echo new > {}/f; sync {}/f"];
    // The check spoils what it looks at.
    let check = "touch {}/spoilt; test -e {}/f";
    let tested = place.tested(&options, check, &program);
    assert_eq!(tested.failed().len(), 1);
    let image = tested.0["runs"][0]["image"].as_str().unwrap();
    assert_eq!(Path::new(image), dir.join("crash-1"));
    assert_eq!(fs::read_dir(image).unwrap().count(), 0);
    assert!(dir.join("crash-1.json").is_file());
    assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
}

#[test]
fn what_cannot_be_is_told_in_a_line() {
    let place = Place::new();
    let refused = |code, options: &[&str], check: &str, program: &[&str]| {
        let output = place.run(options, check, program);
        let told = text_of(&output);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert_eq!(told.trim_end().lines().count(), 1, "{told}");
        told
    };
    assert!(refused(2, &[], "true", &["true", "{}"]).contains("write {} where the image"));
    assert!(refused(2, &[], "true {}", &["true"]).contains("write {} where the directory"));
    assert!(refused(2, &["--at", "read"], "true {}", &["true", "{}"]).contains("one of fsync,"));
    let failing = ["sh", "-c", "echo gone >&2; exit 3", "{}"];
    assert!(refused(1, &[], "true {}", &failing).contains("the program ended with 3: gone"));
    let told = refused(1, &[], "echo no {}; false", &["true", "{}"]);
    assert!(told.contains("so it tells nothing: it ended with 1: no /"), "{told}");
    assert!(refused(1, &[], "true {}", &["/no/such", "{}"]).contains("cannot start /no/such"));
    let told = refused(1, &["--timeout", "100ms"], "sleep 60; true {}", &["true", "{}"]);
    assert!(told.contains("did not end within 100ms"), "{told}");
    let told = refused(1, &["--only", "9"], "true {}", &["sh", "-c", "echo > {}/f; sync {}/f"]);
    assert!(told.contains("there is no image 9: they have numbers from 1 to 4"), "{told}");
}

#[test]
fn a_signal_ends_all_of_it() {
    let place = Place::new();
    let began = place.0.path().join("began");
    let program = format!("echo > {{}}/f; mkdir {}; sleep 600", began.display());
    let mut command = place.command(&[], "true {}", &["sh", "-c", &program]);
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for("the program to run", || began.is_dir().then_some(()));
    kill_process(Pid::from_child(&command), Signal::INT).unwrap();
    let output = command.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text_of(&output).contains("interrupted; nothing is mounted any more"));
    fs::remove_dir(began).unwrap();
    place.is_clean();
}

/// The command, and the process that works for it.
#[test]
fn ctrl_z_pauses_both_until_they_are_continued() {
    let (place, told) = (Place::new(), scratch());
    let began = told.path().join("began");
    let program = format!("echo > {{}}/f; mkdir {}; exec sleep 600", began.display());
    let mut command = place.command(&[], "true {}", &["sh", "-c", &program]);
    command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut command = command.spawn().unwrap();
    wait_for("the program to run", || began.is_dir().then_some(()));
    let (pid, own) = (Pid::from_child(&command), command.id());
    let worker = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap();
    let worker: u32 = worker.trim().parse().unwrap();
    let is_stopped = |pid: u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    };
    for _ in 0..2 {
        kill_process_group(pid, Signal::TSTP).unwrap();
        wait_for("both to stop", || (is_stopped(own) && is_stopped(worker)).then_some(()));
        kill_process_group(pid, Signal::CONT).unwrap();
        wait_for("both to go on", || (!is_stopped(own) && !is_stopped(worker)).then_some(()));
    }
    kill_process(pid, Signal::TERM).unwrap();
    command.wait().unwrap();
    place.is_clean();
}

/// Itself, or its group of processes, as timeout(1) does it.
#[test]
fn to_be_killed_ends_all_of_it() {
    for whole_group in [false, true] {
        let (place, told) = (Place::new(), scratch());
        let (pids, began) = (told.path().join("pids"), told.path().join("began"));
        let program = format!(
            "echo > {{}}/f; exec >> {0}; echo $$; sleep 600 & echo $!; setsid sleep 600 & echo $!; mkdir {1}; wait",
            pids.display(),
            began.display()
        );
        let mut command = place.command(&[], "true {}", &["sh", "-c", &program]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
        let mut command = command.spawn().unwrap();
        wait_for("the program to run", || began.is_dir().then_some(()));
        let pid = Pid::from_child(&command);
        match whole_group {
            true => kill_process_group(pid, Signal::KILL).unwrap(),
            false => kill_process(pid, Signal::KILL).unwrap(),
        }
        command.wait().unwrap();
        wait_for("the directories to go", || {
            fs::read_dir(place.0.path()).unwrap().next().is_none().then_some(())
        });
        place.is_clean();
        let pids = fs::read_to_string(&pids).unwrap();
        assert_eq!(pids.lines().count(), 3);
        for pid in pids.lines() {
            assert!(!Path::new("/proc").join(pid).exists(), "{pid} is there");
        }
    }
}

/// Else they went on writing while images are built, and were there when all is over.
#[test]
fn what_left_its_group_of_processes_ends_before_a_check() {
    let script = "\
import os, subprocess, sys, time
place = sys.argv[1] + '/pids'
command = 'sleep 60 & echo $$ $! end > ' + place + '; wait'
subprocess.Popen(['sh', '-c', command], start_new_session=True)
while not os.path.exists(place) or 'end' not in open(place).read():
    time.sleep(0.01)
";
    let is_over =
        "test ! -s {}/pids || { read -r one two end < {}/pids; ! kill -0 $one && ! kill -0 $two; }";
    let tested = Place::new().tested(&[], is_over, &["python3", "-c", script, "{}"]);
    assert_eq!((tested.failed(), tested.checked()), (vec![], 2));
}

#[test]
fn what_a_check_has_started_ends_with_it() {
    let place = Place::new();
    let pids = scratch();
    let pids = pids.path().join("pids");
    let check = format!(
        "setsid -f sh -c 'echo $$ >> {0}; exec sleep 60'; while ! test -s {0}; do sleep 0.01; done; true {{}}",
        pids.display()
    );
    let tested = place.tested(&[], &check, &["sh", "-c", "echo > {}/f"]);
    assert_eq!(tested.failed(), []);
    let pids = fs::read_to_string(&pids).unwrap();
    assert!(pids.lines().count() > 0);
    for pid in pids.lines() {
        assert!(!Path::new("/proc").join(pid).exists(), "{pid} is there");
    }
}

#[test]
fn what_cannot_be_removed_is_told() {
    let place = Place::new();
    let program = "echo > {}/f; chattr +i \"$TMPDIR\"/slowfs-*/mirror/raw/f";
    let output = place.command(&[], "true {}", &["sh", "-c", program]).output().unwrap();
    let left: Vec<_> = fs::read_dir(place.0.path()).unwrap().map(|e| e.unwrap().path()).collect();
    for left in &left {
        stdout_of(Command::new("chattr").arg("-i").arg(left.join("mirror/raw/f")));
    }
    let told = text_of(&output);
    assert!(output.status.success(), "{told}");
    let [left] = &left[..] else { panic!("{left:?}: {told}") };
    let wanted = format!("warning: cannot remove {}: Operation not permitted", left.display());
    assert!(told.contains(&wanted), "{told}");
}

/// The commands of the document print what it says, but for how long it took.
#[test]
fn the_document_shows_what_is_printed() {
    let document = include_str!("../docs/power-cut.md");
    let chapter = document.split("\n## Every moment of a program\n").nth(1).unwrap();
    let chapter = chapter.split("\n## ").next().unwrap();
    let lines: Vec<_> = chapter.lines().filter_map(|line| line.strip_prefix("    ")).collect();
    let shown: Vec<_> = lines.split(|line| line.starts_with("$ ")).skip(1).collect();
    let typed: Vec<_> = lines.iter().filter_map(|line| line.strip_prefix("$ ")).collect();
    assert!(typed.len() >= 3, "{typed:?}");
    let place = Place::new();
    for (typed, shown) in typed.iter().zip(shown) {
        let mut command = Command::new("sh");
        command.current_dir(env!("CARGO_MANIFEST_DIR")).env("TMPDIR", place.0.path());
        let path = Path::new(env!("CARGO_BIN_EXE_slowfs")).parent().unwrap().display();
        command.env("PATH", format!("{path}:{}", std::env::var("PATH").unwrap()));
        let output = command.arg("-c").arg(typed).output().unwrap();
        let printed = text_of(&output);
        assert_eq!(untimed(&printed), untimed(&shown.join("\n")), "{typed}\n{printed}");
        place.is_clean();
    }
}

/// The lines that say something, without how long it took.
fn untimed(text: &str) -> Vec<String> {
    let is_time = |word: &&str| {
        let number = word.trim_end_matches([';', ',']).trim_end_matches(char::is_alphabetic);
        word.contains('s') && number.parse::<f64>().is_ok()
    };
    let words =
        |line: &str| line.split_whitespace().filter(|w| !is_time(w)).collect::<Vec<_>>().join(" ");
    text.lines().map(words).filter(|line| !line.is_empty()).collect()
}

/// What the command blocks for itself would be blocked in the program, and in all that it starts.
#[test]
fn a_program_can_end_what_it_has_started() {
    let script = "import subprocess, sys; open(sys.argv[1] + '/f', 'w').close(); \
                  child = subprocess.Popen(['sleep', '60']); child.terminate(); sys.exit(child.wait() != -15)";
    let tested = Place::new().run(&[], "true {}", &["python3", "-c", script, "{}"]);
    assert!(tested.status.success(), "{}", text_of(&tested));
}
