use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use super::*;
use crate::fault::words::{self, FaultWords};
use crate::fault::{DelayLine, FaultTable, Placement};

const PATIENCE: Duration = Duration::from_secs(20);

fn fault(line: &str) -> Fault {
    words::line(line).unwrap().0.fault().unwrap()
}

fn lines(faults: &[Fault]) -> Vec<String> {
    let line = |fault: &Fault| FaultWords::whole(fault).line();
    faults.iter().map(line).collect()
}

fn take(path: &Path) -> Left {
    Left::take(path, Path::new("/none")).unwrap()
}

struct Room {
    _dir: tempfile::TempDir,
    path: PathBuf,
    table: Arc<FaultTable>,
}

fn room() -> Room {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("state");
    let table = FaultTable::new(DelayLine::new().unwrap(), None);
    Room { _dir: dir, path, table }
}

fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "waited for {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn the_file_follows_the_table_and_what_is_last_is_kept() {
    let Room { path, table, _dir } = room();
    let keeper = take(&path).keep(&table, ((0, 0), Spared::default())).unwrap();
    for line in ["delay 5ms -m fsync", "error EIO -m read --name one", "throttle --iops 9 -m read"]
    {
        table.put(fault(line), Placement::Add).unwrap();
        wait_for(line, || fs::read_to_string(&path).unwrap_or_default().contains(line));
    }
    table.clear_methods(fault("kill -m fsync").scope().methods);
    wait_for("the delay to go", || !fs::read_to_string(&path).unwrap().contains("delay"));
    // Changes that nobody waits for are in it at the end.
    for _ in 0..100 {
        table.put(fault("hang -m mkdir"), Placement::Replace).unwrap();
    }
    drop(keeper);
    let left = take(&path);
    let expected = ["throttle --iops 9 -m read", "error EIO -m read --name one", "hang -m mkdir"];
    assert_eq!(lines(&left.faults), expected, "in the order in which they are asked");
    // Not what comes after.
    drop(left);
    table.clear_all();
    assert_eq!(take(&path).faults.len(), 3);
}

/// The end of a run waits for the disk that long, and clears the table then.
#[test]
fn what_is_written_late_is_what_was_in_force_at_the_end() {
    let Room { path, table, _dir } = room();
    table.put(fault("delay 5ms -m fsync"), Placement::Add).unwrap();
    let (shared, (_, ended)) = (Arc::new(Shared::default()), mpsc::channel());
    let left = take(&path);
    let writer = Writer { left, table: Arc::downgrade(&table), written: None, fails: false };
    drop(Keeper { shared: Arc::clone(&shared), table: Arc::clone(&table), ended });
    table.clear_all();
    writer.run(&shared);
    assert_eq!(lines(&take(&path).faults), ["delay 5ms -m fsync"]);
}

#[test]
fn what_cannot_be_written_is_written_when_it_can() {
    let Room { path, table, _dir } = room();
    let left = take(&path);
    let mut writer = Writer { left, table: Arc::downgrade(&table), written: None, fails: false };
    let mut write = |text: &str| {
        writer.write(text.to_owned());
        (writer.fails, fs::read_to_string(&path).unwrap())
    };
    assert_eq!(write("one"), (false, "one".to_owned()));
    // In the place of the file that is to take its place is a directory.
    let beside = path.with_file_name(".state.new");
    fs::create_dir(&beside).unwrap();
    for _ in 0..2 {
        assert_eq!(write("two"), (true, "one".to_owned()), "it is whole, and as it was");
    }
    // What is written already cannot fail any more.
    assert_eq!(write("one"), (false, "one".to_owned()));
    assert_eq!(write("two"), (true, "one".to_owned()));
    fs::remove_dir(&beside).unwrap();
    assert_eq!(write("two"), (false, "two".to_owned()));
}

/// It would be missed at the next start only.
#[test]
fn one_that_is_gone_is_written_again_with_its_directory_and_at_the_end() {
    let Room { path, table, _dir } = room();
    let dir = path.with_file_name("dir");
    let (away, path) = (path.with_file_name("away"), dir.join("state"));
    fs::create_dir(&dir).unwrap();
    let keeper = take(&path).keep(&table, ((0, 0), Spared::default())).unwrap();
    let line = "error EIO -m read";
    table.put(fault(line), Placement::Add).unwrap();
    let is_written = || fs::read_to_string(&path).unwrap_or_default().contains(line);
    wait_for("the state", is_written);
    fs::rename(&dir, &away).unwrap();
    fs::create_dir(&dir).unwrap();
    // Nothing changes meanwhile.
    wait_for("the state in the new directory", is_written);
    // Another takes its place, an older one with the directory that it is in.
    fs::rename(&dir, dir.with_file_name("later")).unwrap();
    fs::rename(&away, &dir).unwrap();
    fs::write(&path, "older").unwrap();
    wait_for("the state in the place of an older one", is_written);
    fs::remove_file(&path).unwrap();
    drop(keeper);
    assert!(is_written());
}
