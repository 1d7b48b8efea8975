//! Of several mounts each does what it is asked, whichever other one does not, and however they are named.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;
mod common;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{Mount, PATIENCE, errno_of, scratch, slowfs, text_of};
use rustix::process::Signal;
use serde_json::Value;

/// One whose daemon was killed.
fn dead(options: &[&str]) -> Mount {
    let mut mount = Mount::with(options);
    mount.signal(Signal::KILL);
    mount.wait();
    mount
}

/// That command to the mounts at these places.
fn at(places: &[&str], words: &[&str]) -> Command {
    let mut command = slowfs();
    command.args(words);
    for place in places {
        command.args(["--mount", place]);
    }
    command
}

/// What each answers, as objects.
fn objects(command: &mut Command) -> Vec<Value> {
    let output = command.arg("--json").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn several_addresses_are_all_told_and_one_that_fails_stops_no_other() {
    let (one, two) = (Mount::new(), Mount::new());
    let mut command = slowfs();
    command.args(["error", "EIO", "-m", "mkdir"]);
    command.args(["--addr", &one.addr, "--addr", "127.0.0.1:1", "--addr", &two.addr]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    for mount in [&one, &two] {
        assert_eq!(errno_of(fs::create_dir(mount.mnt().join("dir"))), libc::EIO);
    }
}

#[test]
fn paths_are_as_addresses_and_one_that_leads_nowhere_stops_no_other() {
    let (one, two, dead, none) = (Mount::new(), Mount::new(), dead(&[]), scratch());
    let paths = [&one.mnt(), &dead.mnt(), none.path(), &two.mnt()].map(|p| p.display().to_string());
    let places = paths.each_ref().map(String::as_str);
    let output = at(&places, &["error", "EIO", "-m", "mkdir"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    for mount in [&one, &two] {
        assert_eq!(errno_of(fs::create_dir(mount.mnt().join("dir"))), libc::EIO);
    }
    let told = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<_> = told.lines().collect();
    let [of_dead, of_none] = lines[..] else { panic!("{told}") };
    assert!(of_dead.contains(&format!("the mirror at {} is dead", places[1])), "{told}");
    assert!(of_none.contains(&format!("{} lies on no mirror", places[2])), "{told}");
    let told = objects(&mut at(&places, &["list"]));
    let ok: Vec<_> = told.iter().map(|object| object["ok"].as_bool().unwrap()).collect();
    assert_eq!(ok, [true, false, false, true], "in their order: {told:?}");
    assert_eq!([&told[1]["addr"], &told[2]["addr"]], [places[1], places[2]]);
    assert!(told[0]["faults"][0]["fired"] == 1 && told[1]["error"].is_string(), "{told:?}");
}

#[test]
fn what_all_do_or_none_none_does_if_a_path_leads_nowhere() {
    let (one, dead) = (Mount::with(&["--track-unsynced"]), dead(&["--track-unsynced"]));
    fs::write(one.mnt().join("file"), "not synced").unwrap();
    let paths = [one.mnt(), dead.mnt()].map(|path| path.display().to_string());
    let places = paths.each_ref().map(String::as_str);
    let told = objects(&mut at(&places, &["power-cut", "--now"]));
    assert!(told.iter().all(|object| object["ok"] == false), "{told:?}");
    assert_eq!(told[0]["error"], "not cut, as another mount cannot be");
    let steps = one.scratch().join("steps");
    fs::write(&steps, "0s error EIO -m mkdir\n1s end\n").unwrap();
    let output = at(&places, &["run"]).arg(steps).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    assert!(text_of(&output).contains("is dead"), "{}", text_of(&output));
    fs::create_dir(one.mnt().join("dir")).unwrap();
    assert_eq!(fs::read_to_string(one.mnt().join("file")).unwrap(), "not synced");
}

#[test]
fn a_mount_that_comes_back_is_watched_again() {
    let (one, mut other) = (Mount::new(), dead(&[]));
    let paths = [one.mnt(), other.mnt()].map(|path| path.display().to_string());
    let places = paths.each_ref().map(String::as_str);
    let mut watch = at(&places, &["watch", "--json", "--interval", "50ms"]);
    let mut watch = watch.stdout(Stdio::piped()).spawn().unwrap();
    let began = std::time::Instant::now();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let mut is_told = |ok: bool| loop {
        let line: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        if line["addr"] == places[1] && line["ok"] == ok {
            return;
        }
        assert!(began.elapsed() < PATIENCE, "{line}");
    };
    is_told(false);
    other.start(&[] as &[&str]);
    is_told(true);
    watch.kill().unwrap();
    watch.wait().unwrap();
}

/// All of /proc is looked through for it. Alone, as a search is due when the mount table changes.
#[test]
fn a_watch_searches_for_a_dead_mount_once() {
    alone::run(
        r#"
        mkdir dead
        slowfs mount raw mnt --daemon --listen none >said
        slowfs mount raw dead --daemon --listen none --json >told
        pid=$(grep -o '"pid":[0-9]*' told | cut -d: -f2)
        is_ended() { ! kill -0 "$pid" 2>/dev/null; }
        kill -KILL "$pid"
        soon is_ended
        watched() {
            strace -f -qq -e trace=openat -o seen slowfs watch --mount "$PWD/mnt" --mount "$PWD/dead" \
                --json --interval 10ms --count "$1" >told || true
            [ "$(grep -c 'is dead' told)" = "$1" ] || die "it is not told $1 times: $(cat told)"
            grep -c 'AT_FDCWD, "/proc", ' seen >searches
        }
        watched 1
        once=$(cat searches)
        ((once > 0))
        watched 8
        [ "$(cat searches)" = "$once" ] || die "$(cat searches) searches in the place of $once"
        "#,
    );
}

/// Where a path is shown as text, what is no UTF-8 of it would look the same.
#[test]
fn mounts_whose_paths_look_alike_are_told_apart() {
    alone::run(
        r#"
        mkdir two
        odd() { printf "%s/odd\\x$1" "$PWD"; }
        mirror() { mkdir -p "$1"; slowfs mount "$2" "$1" --daemon --listen none --json; }
        mirror "$PWD/mnt" raw >told
        mirror "$(odd ff)" raw >told
        mirror "$(odd fe)" two >>told
        [ "$(grep -c mountpoint_base64 told)" = 2 ]
        slowfs error EIO -m mkdir --mount "$(odd fe)"
        mkdir "$(odd ff)/dir"
        refused mkdir "$(odd fe)/dir"
        refused slowfs list
        says "\$'$PWD/odd\xff'" "\$'$PWD/odd\xfe'"
        slowfs ps >shown
        grep -F "\$'$PWD/odd\xff'" shown && grep -F "\$'$PWD/odd\xfe'" shown
        [ "$(slowfs ps --json | grep -o 'mountpoint_base64":"[^"]*' | sort -u | wc -l)" = 2 ]
        is_gone() { ! kill -0 "$1" 2>/dev/null; }
        for each in ff fe; do
            pid=$(slowfs ping --mount "$(odd $each)" --json | grep -o '"pid":[0-9]*' | cut -d: -f2)
            kill -KILL "$pid"
            soon is_gone "$pid"
        done
        slowfs watch --mount "$PWD/mnt" --mount "$(odd ff)" --mount "$(odd fe)" --json --interval 20ms >watched &
        watch=$!
        is_watched() { grep -F "odd\\\\x$1'" watched | grep -q "\"ok\":$2"; }
        soon is_watched ff false
        soon is_watched fe false
        refused slowfs list --mount "$(odd fe)"
        says "\$'$PWD/odd\xfe' is dead"
        follow 'slowfs umount'
        mirror "$(odd fe)" two >told
        soon is_watched fe true
        kill "$watch"
        if is_watched ff true; then die "another is watched in its place"; fi
        "#,
    );
}
