//! What people type first, who come from mount(8), bindfs, toxiproxy or charybdefs: it is done, or one
//! line says what to type.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "../alone/mod.rs"]
mod alone;
#[path = "../common/mod.rs"]
mod common;
mod made;
mod session;

use std::process::{Command, Output};

use common::{Mount, failing, slowfs, text_of};
use serde_json::Value;

/// What a line comes to.
#[derive(Clone, Copy)]
enum Comes {
    /// Exit code 0, nothing on standard error, and the text in what it prints.
    Done(&'static str),
    /// Exit code 0, and a warning with all of these.
    Warns(&'static [&'static str]),
    /// Exit code 2, and one line with all of these.
    Says(&'static [&'static str]),
}
use Comes::{Done, Says, Warns};

/// Lines that are typed while a mirror of D is at M and has no fault.
const TYPED: &[(&str, Comes)] = &[
    ("slowfs", Done("Mount:   mount, umount, ps, doctor\nFaults:  ")),
    ("slowfs --help", Done("Unmount a mirror; its daemon ends [alias: unmount]")),
    ("slowfs help", Done("[also: rm, remove, reset]")),
    ("slowfs -h", Done("[alias: ls]")),
    ("slowfs --version", Done("slowfs 0")),
    ("slowfs help ls", Done("slowfs list")),
    ("slowfs M --subdir D", Says(&["`slowfs mount M --subdir D`"])),
    ("slowfs -o ro D M", Says(&["`slowfs mount -o ro D M`"])),
    ("slowfs mount D M --subdir D", Says(&["two directories to mirror", "leave one of them out"])),
    ("slowfs mount D M D", Says(&["3 places are named"])),
    ("slowfs mount", Says(&["as in `slowfs mount "])),
    (
        "slowfs mount M -omodules=subdir,subdir=D,allow_other",
        Says(&["`slowfs mount M --subdir D`"]),
    ),
    ("slowfs M -omodules=subdir,subdir=D -f", Says(&["`slowfs mount M --subdir D`", "charybdefs"])),
    ("slowfs mount D M -f", Says(&["no option -f", "foreground"])),
    ("slowfs mount M --source D", Says(&["--subdir DIR"])),
    ("slowfs mount D M --port 9191", Says(&["--listen ADDR:PORT"])),
    ("slowfs mount D M -o subdir=D", Says(&["--subdir"])),
    ("slowfs list", Done("no faults")),
    ("slowfs ls", Done("no faults")),
    ("slowfs list M", Done("no faults")),
    ("slowfs ls M", Done("no faults")),
    ("slowfs status", Done(" calls, ")),
    ("slowfs status M", Done("no faults")),
    ("slowfs M list", Says(&["`slowfs list M`"])),
    ("slowfs M delay 300ms -m fsync", Says(&["`slowfs delay M 300ms -m fsync`"])),
    ("slowfs ps", Done("M")),
    ("slowfs delay 300ms", Says(&["on which methods?", "-m fsync", "-m all"])),
    ("slowfs delay", Says(&["are missing, as in `slowfs delay 300ms -m"])),
    ("slowfs delay -m fsync", Says(&["is missing, as in `slowfs delay 300ms -m"])),
    ("slowfs delay 300 -m fsync", Says(&["300ms, 300us or 300s"])),
    ("slowfs delay 300 ms -m fsync", Says(&["a time is one word, 300ms"])),
    ("slowfs delay 300MS -m fsync", Says(&["did you mean 300ms?"])),
    (
        "slowfs delay fsync 300ms",
        Says(&[
            "fsync is a method, which is written -m fsync: write `slowfs delay 300ms -m fsync`",
        ]),
    ),
    ("slowfs delay M FSYNC 100ms", Says(&["write `slowfs delay M 100ms -m fsync`"])),
    ("slowfs delay M fsync 100ms -p 1%", Says(&["write `slowfs delay M 100ms -p 1% -m fsync`"])),
    ("slowfs delay fsync soon", Says(&["-m fsync, as in `slowfs delay 300ms -m"])),
    ("slowfs error M write EIO", Says(&["write `slowfs error M EIO -m write`"])),
    ("slowfs record M", Says(&["--to"])),
    ("slowfs replay M", Says(&["no command replay: `slowfs delay file:FILE -m ...`"])),
    ("slowfs frobnicate M", Says(&["no command frobnicate; `slowfs` alone shows"])),
    ("slowfs src M", Says(&["`slowfs mount src M`"])),
    ("slowfs delay 300ms fsync", Says(&["methods are written -m fsync"])),
    ("slowfs delay .5s -m FSYNC", Done("delay 500ms -m fsync\n")),
    ("slowfs delay 100ms -m fsync,fdatasync", Done("delay 100ms -m fdatasync,fsync")),
    ("slowfs delay 100ms -m fsync, fdatasync", Done("delay 100ms -m fdatasync,fsync")),
    ("slowfs delay 100ms -m fsync , fdatasync", Done("delay 100ms -m fdatasync,fsync")),
    ("slowfs delay 100ms -m 'fsync, fdatasync'", Done("delay 100ms -m fdatasync,fsync")),
    ("slowfs delay 100ms --methods=fsync, fdatasync", Done("delay 100ms -m fdatasync,fsync")),
    ("slowfs delay 100ms -m fsync -m fdatasync", Done("delay 100ms -m fdatasync,fsync")),
    ("slowfs delay 100ms -m fsync fdatasync", Says(&["-m fsync,fdatasync"])),
    ("slowfs delay 100ms -m 'fsync fdatasync'", Says(&["parted by commas"])),
    ("slowfs delay 100ms -m stat", Says(&["no such method; write getattr"])),
    ("slowfs delay 100ms -m close", Says(&["flush (each close)", "release (the last)"])),
    ("slowfs delay 100ms -m mmap", Says(&["write read (pages come in) or write"])),
    ("slowfs delay 100ms -m MSYNC", Says(&["write fdatasync"])),
    ("slowfs delay 100ms -m fsycn", Says(&["did you mean fsync?"])),
    (
        "slowfs delay 100ms -m fsync -r member/wal",
        Warns(&["matches no path", "'.*/member/wal/.*'"]),
    ),
    ("slowfs delay 100ms -m fsync 10%", Says(&["-p 10%"])),
    ("slowfs delay 100ms -m fsync 1m", Says(&["--for 1m"])),
    ("slowfs delay 100ms -m fsync M", Says(&["before all other arguments", "--mount", "-r REGEX"])),
    ("slowfs delay 100ms -m fsync --path x", Says(&["-r REGEX"])),
    ("slowfs delay 100ms -m fsync --duration 1m", Says(&["--for TIME"])),
    ("slowfs delay --latency 100ms -m fsync", Says(&["the time alone"])),
    ("slowfs delay 0 -m fsync", Says(&["of no time does nothing; `slowfs clear fsync` takes"])),
    ("slowfs delay 300years -m fsync", Warns(&["is that the unit you mean?"])),
    ("slowfs delay 1ms -m fsync --for 300years", Warns(&["is that the unit you mean?"])),
    ("slowfs delay 1ms -m fsync --for 0", Says(&["(--for) must be longer than 0"])),
    ("slowfs error EIO -m write", Done("error EIO -m write")),
    ("slowfs error eio -m write", Done("error EIO -m write")),
    ("slowfs error eio, enospc -m write", Done("error EIO,ENOSPC -m write")),
    ("slowfs error EIO write", Says(&["methods are written -m write"])),
    ("slowfs error EIO -m fsync write", Says(&["several methods are written -m fsync,write"])),
    ("slowfs error -m write", Says(&["is missing, as in `slowfs error EIO -m"])),
    ("slowfs error EIO -m write -p 0", Warns(&["it never fires"])),
    ("slowfs error EIO -m write -p 50", Says(&["for a percentage write 50%"])),
    ("slowfs error EOI -m write", Says(&["did you mean EIO?"])),
    ("slowfs error EIO -m write --on-for 1s", Says(&["--on-for and --off-for"])),
    ("slowfs throttle --iops 5 -p 1%", Says(&["throttle takes no --probability"])),
    ("slowfs kill -m write --and delay", Says(&["delay needs how long"])),
    ("slowfs delay 1ms --and throttle -m write", Says(&["throttle needs a rate: --iops"])),
    (
        "slowfs torn-write prefix:100 --unit 4KiB -m write",
        Says(&["slowfs: torn-write: 4KiB is written"]),
    ),
    ("slowfs mount M --fault 'delay 1ms -m stat'", Says(&["no method stat; write getattr"])),
    ("slowfs mount M --fault 'throttle --iops 0'", Says(&["throttle: --iops: 0 a second"])),
    ("slowfs mount M --fault 'kill -m read --for -1s'", Says(&["--for: it must not be negative"])),
    (
        "slowfs mount M --fault 'kill -m read --fro 1s'",
        Says(&["no option --fro; did you mean --for?"]),
    ),
    ("slowfs add delay 300ms", Says(&["`slowfs delay 300ms -m fsync`"])),
    ("slowfs stop M", Says(&["`slowfs umount MOUNTPOINT`"])),
    ("slowfs version", Says(&["`slowfs --version`"])),
    ("slowfs dealy 1ms -m fsync", Says(&["did you mean delay?"])),
    ("slowfs raw mnt", Says(&["`slowfs mount raw mnt`"])),
    ("slowfs --list", Says(&["write `slowfs list`"])),
    (
        "slowfs --mount M list",
        Says(&["no command stands before --mount: write `slowfs list --mount M`"]),
    ),
    ("slowfs clear fsync", Done("no fault on fsync\n")),
    ("slowfs clear M read,write", Done("no fault on read,write\n")),
    ("slowfs clear", Done("no fault was set\n")),
    ("slowfs stats", Done(" worker threads (at most 8192)")),
    ("slowfs --addr 127.0.0.1:1 list", Says(&["write `slowfs list --addr 127.0.0.1:1`"])),
    ("slowfs umount -l M", Says(&["there is no option -l; write --force"])),
    ("slowfs delay 1ms -m fsync -x", Says(&["there is no option -x (see"])),
    ("slowfs delay 1ms -m fsync -r -x", Says(&["--OPTION=-x"])),
    ("slowfs throttle 100", Says(&["as in `slowfs throttle --iops"])),
    ("slowfs frobnicate", Says(&["no command frobnicate; `slowfs` alone shows"])),
    ("slowfs help frobnicate", Says(&["no command frobnicate"])),
    ("slowfs clear ,", Says(&["'[METHOD|NAME|ID]...'", "`slowfs help clear`"])),
    ("slowfs remove", Says(&["is missing, as in `slowfs remove"])),
    ("slowfs error EIO ENOSPC -m write", Says(&["several errnos are written EIO,ENOSPC"])),
    ("slowfs error EIO,EROFS ENOSPC", Says(&["written EIO,EROFS,ENOSPC"])),
    ("slowfs delay 100ms -m fsync -r '*.log'", Says(&["no glob", ".*\\.log", "--glob '*.log'"])),
];

/// A text with the places of that mount for M and D, where they stand alone.
fn placed(mount: &Mount, text: &str) -> String {
    let alone = |c: Option<char>| c.is_none_or(|c| !c.is_ascii_alphanumeric() && c != '-');
    let mut out = String::new();
    let mut before = None;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let stands = alone(before) && alone(rest.peek().copied());
        match c {
            'M' if stands => out += mount.mnt().to_str().unwrap(),
            'D' if stands => out += mount.raw().to_str().unwrap(),
            _ => out.push(c),
        }
        before = Some(c);
    }
    out
}

/// Runs a line as a shell would, where that mount is the one that is meant.
fn typed(mount: &Mount, line: &str) -> Output {
    let program = slowfs().get_program().to_owned();
    let script = format!("slowfs() {{ {} \"$@\"; }}\n{}", program.display(), placed(mount, line));
    let mut sh = Command::new("sh");
    sh.args(["-c", &script]).env("SLOWFS_ADDR", &mount.addr).env("COLUMNS", "200");
    sh.output().unwrap()
}

#[test]
fn what_people_type_first_is_done_or_answered_in_a_line() {
    let mount = Mount::new();
    let mut wrong = Vec::new();
    for (line, comes) in TYPED {
        mount.clear();
        let output = typed(&mount, line);
        let [out, err] =
            [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
        let has = |text: &str, parts: &[&str]| {
            parts.iter().all(|part| text.contains(&placed(&mount, part)))
        };
        let (code, fine) = match comes {
            Done(part) => (0, has(&out, &[part]) && err.is_empty()),
            Warns(parts) => (0, has(&err, parts) && err.lines().count() == 1 && !out.is_empty()),
            Says(parts) => (2, has(&err, parts) && err.lines().count() == 1 && out.is_empty()),
        };
        if output.status.code() != Some(code) || !fine {
            wrong.push(format!("{line}: {}\n{}", output.status, text_of(&output)));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_is_taken_away_is_what_was_named() {
    let mount = Mount::new();
    let left = || -> Vec<String> {
        let faults = mount.client().list_faults().unwrap();
        faults.iter().map(|listed| listed.fault.methods.join(",")).collect()
    };
    for (line, stays) in [
        ("slowfs clear -m fsync", &["read", "write"][..]),
        ("slowfs clear -m FSYNC, write", &["read"]),
        ("slowfs clear fsync, write", &["read"]),
        ("slowfs clear write -m read", &["fsync"]),
        ("slowfs remove write", &["read", "fsync"]),
        ("slowfs remove -m read -m write", &["fsync"]),
        ("slowfs remove $ID", &["write", "fsync"]),
        ("slowfs rm M $ID", &["write", "fsync"]),
        ("slowfs delete slow", &["write", "fsync"]),
        ("slowfs reset", &[]),
        ("slowfs reset M", &[]),
        ("slowfs clear", &[]),
        ("slowfs clear ALL", &[]),
        ("slowfs clear -m all", &[]),
    ] {
        mount.clear();
        let mut named = failing(&["read"], "EIO");
        named.name = Some("slow".to_owned());
        let id = mount.add(&named);
        mount.add(&failing(&["write"], "EIO"));
        mount.add(&failing(&["fsync"], "EIO"));
        let output = typed(&mount, &line.replace("$ID", &id.to_string()));
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{line}: {}",
            text_of(&output)
        );
        assert_eq!(left(), stays, "{line}");
    }
    for (line, code) in
        [("slowfs remove", 2), ("slowfs rm", 2), ("slowfs reset fsync", 2), ("slowfs rm close", 1)]
    {
        mount.add(&failing(&["write"], "EIO"));
        let before = left();
        let output = typed(&mount, line);
        assert_eq!(output.status.code(), Some(code), "{line}: {}", text_of(&output));
        assert_eq!(left(), before, "{line}");
    }
    let refused = text_of(&typed(&mount, "slowfs clear close"));
    assert!(
        refused.contains("there is no fault close (if a method is meant, write flush (each close)"),
        "{refused}"
    );
}

#[test]
fn status_is_the_headline_and_the_faults() {
    let mount = Mount::new();
    mount.add(&failing(&["mkdir"], "EIO"));
    std::fs::create_dir(mount.mnt().join("a")).unwrap_err();
    let text = text_of(&typed(&mount, "slowfs status"));
    let lines: Vec<_> = text.lines().collect();
    let stats = text_of(&typed(&mount, "slowfs stats"));
    let calls = lines[0].split(" in ").next().unwrap();
    assert!(calls.contains(" calls, ") && stats.contains(calls), "{text} is none of {stats}");
    let list = text_of(&typed(&mount, "slowfs list"));
    assert_eq!(lines[1..], list.lines().collect::<Vec<_>>());
    let json: Value =
        serde_json::from_str(&text_of(&typed(&mount, "slowfs status --json"))).unwrap();
    assert!(json["calls"].as_i64() > Some(0) && json["faults"][0]["fired"] == 1, "{json}");
    // What the headline tells apart.
    let _ = std::fs::metadata(mount.mnt().join("none")).unwrap_err();
    let both = ["slowfs status --json", "slowfs stats --json"];
    let [status, stats] =
        both.map(|line| serde_json::from_str::<Value>(&text_of(&typed(&mount, line))).unwrap());
    for (field, least) in [("errors", 2), ("injected", 1), ("usual", 1)] {
        assert!(status[field].as_i64() >= Some(least), "{field}: {status}");
        assert_eq!(status[field], stats[field], "{field}");
    }
}

/// With the port, the mounts and the sockets to itself.
#[test]
fn a_mount_is_made_and_ended_by_what_people_type() {
    alone::run(
        r#"
M=$PWD/mnt D=$PWD/raw
gone() { is_gone "$M" && ended slowfs; }
for line in "mount $D $M" "mount $M --subdir $D" "mount --subdir $D $M" "mount $D --threads 4 $M"; do
    slowfs $line 2> log &
    soon port_open
    answers mnt
    [ "$(slowfs list)" = "no faults" ]
    [ "$(slowfs ls mnt/)" = "no faults" ]
    slowfs delay .5s -m FSYNC
    slowfs status ./mnt | grep -q 'delay 500ms'
    slowfs ps | grep -q "$M *$D"
        refused slowfs list mnt
    says 'a mountpoint has a slash in it: ./mnt'
    refused slowfs clear mnt fsync
    says 'a mountpoint has a slash in it: ./mnt'
    refused slowfs delay mnt 5ms -m fsync
    says 'write `slowfs delay ./mnt 5ms -m fsync`'
    refused slowfs status mnt
    says 'write `slowfs status ./mnt`'
    case $line in *threads*) slowfs unmount "$M" ;; *) slowfs umount mnt ;; esac
    wait
    gone
done
script -qfec "slowfs mount $D $M" shown < /dev/null > /dev/null &
soon grep -q 'ctrl-C unmounts; --daemon goes to the background' shown
slowfs umount mnt
wait
cd raw
slowfs mount . ../mnt --daemon > /dev/null
slowfs umount ../mnt
slowfs mount "$D" --daemon > /dev/null # over itself
cd "$M"
is_mounted "$D"
slowfs ps | grep -q "$D *$D"
slowfs unmount "$D"
gone
"#,
    );
}
