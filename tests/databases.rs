//! Databases on bad disks: a few cells of what `make test-databases` runs in full, and the page that
//! is made of its results.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a script of `tests/databases` prints; it must end well.
fn printed(script: &str, args: &[&str]) -> String {
    let script = root().join("tests/databases").join(script);
    let mut python = Command::new("/usr/bin/python3");
    let run = python.arg(script).args(args).env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    let [out, err] = [run.stdout, run.stderr].map(|text| String::from_utf8(text).unwrap());
    assert!(run.status.success(), "{out}\n{err}");
    out
}

/// Each cell fails unless its fault fired, and unless it ends as the database promises. What recovery
/// cuts off must be missed, or the comparison of rows would be none.
#[test]
fn sqlite_and_redis_end_as_they_promise() {
    let results = tempfile::tempdir().unwrap();
    let results = results.path().to_str().unwrap();
    let program = ["--slowfs", env!("CARGO_BIN_EXE_slowfs"), "--short", "--results", results];
    let said = printed("run", &program);
    assert!(said.contains("databases: 6 cells run, 0 failed"), "{said}");
    assert!(said.contains("sqlite:flip-log: lost silently"), "{said}");
}

/// Half of the cuts in an image, half in place: what the settings promise is held against what is left.
#[test]
fn sqlite_and_redis_keep_what_they_acknowledged_before_a_power_cut() {
    let results = tempfile::tempdir().unwrap();
    let results = results.path().to_str().unwrap();
    let program = ["--slowfs", env!("CARGO_BIN_EXE_slowfs"), "--short", "--results", results];
    let said = printed("pull", &program);
    assert!(said.contains("cuts: 2 settings, 0 failed"), "{said}");
}

/// What is left is held against four transactions, of which the first three were acknowledged.
#[test]
fn the_judge_of_cuts_tells_each_outcome() {
    let script = "
import sys
sys.path[:0] = [sys.argv[1], sys.argv[1] + '/../../scripts']
from cuts import *

def outcome(text, complaints=()):
    transactions = [{2 * n: 'a', 2 * n + 1: 'b'} for n in range(4)]
    rows = {row: 'ab'[row % 2] for row in map(int, text)}
    left = judge(transactions, 3, rows, complaints)
    return left.outcome, left.lost

assert outcome('012345') == outcome('01234567') == (KEPT, 0)
assert outcome('0123') == (TAIL, 1)
assert outcome('') == (TAIL, 3)
assert outcome('0145') == (BROKEN, 1)
assert outcome('012367') == (BROKEN, 1)
assert outcome('01234') == outcome('0123456') == outcome('0123459') == (BROKEN, 0)
assert outcome('012345', ['page 7']) == (BROKEN, 0)
assert judge([{0: 'a'}], 1, {0: 'A'}).outcome == BROKEN
";
    let mut python = Command::new("/usr/bin/python3");
    let run = python.args(["-B", "-c", script]).arg(root().join("tests/databases")).output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// What a database gave back is held against what it had acknowledged: rows 1 and 2 of three.
#[test]
fn the_judge_tells_each_outcome() {
    let script = "
import sys
sys.path.insert(0, sys.argv[1])
from judge import *

def outcome(rows, unread=(), errors=(), said=(), hung=False):
    oracle = Oracle(asked={1: 'a', 2: 'b', 3: 'c'}, acknowledged={1, 2})
    reading = Reading(rows, set(unread), list(errors), hung, list(said))
    return judge(oracle, reading)[0]

both = {1: 'a', 2: 'b'}
assert outcome(both) == outcome(both | {3: 'c'}) == KEPT
assert outcome(both, said=['recovered']) == KEPT
assert outcome({1: 'a'}, unread={2}, errors=['corrupt']) == REFUSED
assert outcome({}, unread={1, 2}, errors=['late'], hung=True) == HUNG
assert outcome({1: 'a'}) == LOST
assert outcome({1: 'a'}, said=['truncated']) == LOST_SAID
assert outcome({1: 'a', 2: 'B'}) == outcome(both | {3: 'C'}) == outcome(both | {4: 'd'}) == WRONG
assert outcome({2: 'A'}, unread={1}, errors=['corrupt']) == LOST_SAID
";
    let mut python = Command::new("/usr/bin/python3");
    let run = python.args(["-B", "-c", script]).arg(root().join("tests/databases")).output();
    let run = run.unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

#[test]
fn the_page_is_what_the_results_say() {
    let page = fs::read_to_string(root().join("docs/what-databases-do.md")).unwrap();
    let fresh = printed("table.py", &[]);
    assert!(page == fresh, "run tests/databases/table.py > docs/what-databases-do.md");
}

#[test]
fn the_table_of_cuts_is_what_the_results_say() {
    let page = root().join("docs/power-cut.md");
    let fresh = tempfile::NamedTempFile::new().unwrap();
    fs::copy(&page, fresh.path()).unwrap();
    printed("pull", &["--page", fresh.path().to_str().unwrap()]);
    let [page, fresh] =
        [page.as_path(), fresh.path()].map(|path| fs::read_to_string(path).unwrap());
    assert!(page == fresh, "run tests/databases/pull --page docs/power-cut.md");
}
