//! pjdfstest 0.2.2, a suite for POSIX semantics: each of its cases must end on the mirror as it
//! ends on the directory beneath.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use tempfile::TempDir;

use crate::common::disk::Disk;
use crate::common::{Mount, assert_fuse, delaying, failing, is_fuse, long_or, text_of};
use crate::{bounded, suite};

/// Features that a Linux filesystem has, and users that every Debian has, so that none need be made:
/// the suite wants two, each with the name of its primary group.
const CONFIG: &str = r#"
[features]
posix_fallocate = {}
rename_ctime = {}
stat_st_birthtime = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.02
allow_remount = REMOUNT
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"#;

/// Fewer cases than these are not the suite.
const CASES: usize = 398;

/// Has mount(8) find the program under test, in a mount namespace of its own, where `mount -o remount`
/// asks it. Then runs the command.
const WITH_HELPER: &str = r#"
program=$1 links=$2; shift 2
mount --bind /usr/sbin "$links"
mount -t tmpfs none /usr/sbin
ln -s "$links"/* /usr/sbin/
ln -sf "$program" /usr/sbin/mount.fuse.slowfs
exec "$@"
"#;

/// How each case ended: `ok`, `skipped` or `FAILED`, and what the suite says of it.
type Outcomes = BTreeMap<String, (String, String)>;

/// Runs the suite's cases in `dir`.
fn outcomes(dir: &Path) -> Outcomes {
    let mut found = run(dir, false, &[]);
    // These remount the filesystem read-only. An earlier case of the suite leaves a file open for
    // writing, with which that is refused: hence a process of their own.
    found.append(&mut run(dir, true, &["erofs"]));
    assert!(found.len() >= CASES, "{} cases", found.len());
    found
}

fn run(dir: &Path, remount: bool, patterns: &[&str]) -> Outcomes {
    let scratch = TempDir::new().unwrap();
    let config = scratch.path().join("config");
    fs::write(&config, CONFIG.replace("REMOUNT", &remount.to_string())).unwrap();
    let links = scratch.path().join("links");
    fs::create_dir(&links).unwrap();
    let mut command = bounded();
    command.args(["unshare", "--mount", "bash", "-ec", WITH_HELPER, "-"]);
    command.arg(env!("CARGO_BIN_EXE_slowfs")).arg(&links).arg(suite("pjdfstest"));
    // The scratch directory is the one on another filesystem, which a few cases want.
    command.arg("-c").arg(&config).arg("-p").arg(dir).arg("-s").arg(scratch.path()).args(patterns);
    let output = command.current_dir("/").env("NO_COLOR", "1").output().unwrap();
    let text = text_of(&output);
    assert!(text.contains("\nSummary: "), "{}: {text}", output.status);
    parse(&text)
}

/// Reads lines like `chmod::eperm    ok`, each followed by indented ones about it.
fn parse(text: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let mut words = line.split_whitespace();
        let (Some(case), Some(end), None) = (words.next(), words.next(), words.next()) else {
            continue;
        };
        if case.contains("::") && ["ok", "skipped", "FAILED"].contains(&end) {
            let about = std::iter::from_fn(|| lines.next_if(|l| l.starts_with('\t')));
            let about = about.map(str::trim).collect::<Vec<_>>().join("; ");
            outcomes.insert(case.to_owned(), (end.to_owned(), about));
        }
    }
    outcomes
}

/// What the suite skips on FUSE: pathconf(_PC_LINK_MAX) is glibc's, which knows the limits of
/// filesystems by statfs(2)'s f_type, and FUSE's is not among them. See [`links_until_refused`].
const SKIPPED_ON_FUSE: &str = "link::link_count_max";

/// A line for each case that passes on the directory and not on the mirror, or is of the mirror only.
fn differences(raw: &Outcomes, mirror: &Outcomes) -> Vec<String> {
    let ends = |case: &str| {
        [raw, mirror].map(|outcomes| outcomes.get(case).map_or("missing", |(end, _)| end))
    };
    let differs = |case: &&&String| match ends(case) {
        ["ok", "ok"] => false,
        ["ok", "skipped"] => **case != SKIPPED_ON_FUSE,
        [on_raw, _] => ["ok", "missing"].contains(&on_raw),
    };
    let cases = raw.keys().chain(mirror.keys()).collect::<BTreeSet<_>>();
    let told =
        |case: &&String| format!("{case}: {} on raw, {:?}", ends(case)[0], mirror.get(*case));
    cases.iter().filter(differs).map(told).collect()
}

/// How many names a file can have, and what the next one is refused with.
fn links_until_refused(dir: &Path) -> (u32, Errno) {
    let dir = tempfile::tempdir_in(dir).unwrap();
    let file = dir.path().join("0");
    fs::write(&file, "").unwrap();
    for links in 1.. {
        if let Err(error) = rustix::fs::link(&file, dir.path().join(links.to_string())) {
            return (links, error);
        }
    }
    unreachable!("the numbers end")
}

/// A figure for whoever runs the tests with --nocapture.
fn tell(what: &str, outcomes: &Outcomes, began: Instant) {
    let count = |end: &str| outcomes.values().filter(|(e, _)| e == end).count();
    println!(
        "pjdfstest {what}: {} passed, {} failed, {} skipped in {:.1?}",
        count("ok"),
        count("FAILED"),
        count("skipped"),
        began.elapsed()
    );
    for (case, (_, about)) in outcomes.iter().filter(|(_, (end, _))| end != "ok") {
        println!("    {case}: {about}");
    }
}

/// A filesystem to mirror.
struct Beneath {
    name: &'static str,
    make: fn() -> Disk,
    /// How the cases end on it, which every mirror is held against.
    raw: OnceLock<Outcomes>,
}

static TMPFS: Beneath = Beneath { name: "tmpfs", make: Disk::tmpfs, raw: OnceLock::new() };
static EXT4: Beneath = Beneath { name: "ext4", make: Disk::ext4, raw: OnceLock::new() };

impl Beneath {
    fn raw(&self) -> &Outcomes {
        self.raw.get_or_init(|| {
            let (disk, began) = ((self.make)(), Instant::now());
            let plain = disk.directory();
            assert!(!is_fuse(plain.path()));
            let raw = outcomes(plain.path());
            tell(&format!("on {}", self.name), &raw, began);
            raw
        })
    }
}

/// What differs between a filesystem and a mirror of it, which `arm` has made worse.
fn on_both(beneath: &Beneath, options: &[&str], arm: impl Fn(&Mount)) -> Vec<String> {
    let (name, raw, disk) = (beneath.name, beneath.raw(), (beneath.make)());
    let mount = Mount::over(disk.directory(), options);
    arm(&mount);
    let began = Instant::now();
    let mirror = outcomes(&mount.mnt());
    assert_fuse(&mount.mnt());
    for fault in mount.client().list_faults().unwrap() {
        assert!(fault.fired > 0 && fault.fired == fault.matched, "{fault:?}");
    }
    tell(&format!("on a mirror of {name} {options:?}"), &mirror, began);
    if raw.get(SKIPPED_ON_FUSE).is_some_and(|(end, _)| end == "ok") {
        let links = links_until_refused(disk.directory().path());
        assert_eq!(links_until_refused(&mount.mnt()), links, "links on {name}");
        println!("    {SKIPPED_ON_FUSE}: without pathconf, {links:?} on both");
    }
    differences(raw, &mirror)
}

fn passes_what_raw_passes(options: &[&str], arm: impl Fn(&Mount)) {
    for beneath in long_or(&[&TMPFS, &EXT4][..], &[&TMPFS]) {
        let differences = on_both(beneath, options, &arm);
        let differ = differences.join("\n");
        assert!(differences.is_empty(), "on {} with {options:?}:\n{differ}", beneath.name);
    }
}

#[test]
fn what_passes_on_the_directory_passes_on_the_mirror() {
    passes_what_raw_passes(&[], |_| ());
}

#[test]
fn what_passes_on_the_directory_passes_past_the_page_cache() {
    passes_what_raw_passes(&["--direct-io"], |_| ());
}

#[test]
fn what_passes_on_the_directory_passes_while_everything_is_delayed() {
    passes_what_raw_passes(&[], |mount| {
        mount.add(&delaying(&["all"], Duration::from_micros(80)));
    });
}

#[test]
fn a_mirror_that_fails_renames_does_not_pass() {
    let differences = on_both(&TMPFS, &[], |mount| {
        mount.add(&failing(&["rename"], "EIO"));
    });
    assert!(
        differences.iter().any(|d| d.starts_with("rename::changed_ctime_success::")),
        "{differences:?}"
    );
}
