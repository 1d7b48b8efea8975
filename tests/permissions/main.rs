//! What a caller may do in a directory and what it may not, it may and may not do on the mirror of
//! one, and leaves the same behind: each operation by each caller on each shape of file and
//! directory, here and there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../common/mod.rs"]
mod common;

mod operations;
mod shapes;

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::io::Errno;
use tempfile::TempDir;

use common::user::as_user;
use common::{Mount, long_or};
use operations::{IN_DIRECTORIES, ON_FILES, Operation};
use shapes::{DIRECTORIES, FILES, Shape, state};

/// A group that is nobody's own.
const STAFF: u32 = 50_001;
const ALICE: u32 = 50_002;
const BOB: u32 = 50_003;

/// Who calls: name, user, group, supplementary groups.
type Caller = (&'static str, u32, u32, &'static [u32]);

const CALLERS: &[Caller] = &[
    ("alice", ALICE, ALICE, &[]),
    ("alice of the staff", ALICE, ALICE, &[7, STAFF]),
    ("bob", BOB, BOB, &[]),
    ("bob, staff first", BOB, STAFF, &[BOB]),
    ("root", 0, 0, &[]),
];

/// A plain directory and a mirror of another one.
struct Pair {
    plain: TempDir,
    mount: Mount,
}

impl Pair {
    fn new() -> Pair {
        let plain = tempfile::Builder::new().prefix("slowfs-plain-").tempdir().unwrap();
        fs::set_permissions(plain.path(), PermissionsExt::from_mode(0o755)).unwrap();
        Pair { plain, mount: Mount::new() }
    }

    /// Where fixtures are made, and where they are then used.
    fn sides(&self) -> [(PathBuf, PathBuf); 2] {
        let plain = self.plain.path().to_owned();
        [(plain.clone(), plain), (self.mount.raw(), self.mount.mnt())]
    }
}

/// What became of an operation: what it returned, and how it left its fixture.
type Outcome = (Result<String, Errno>, Vec<String>);

fn outcome_of(result: io::Result<String>) -> Result<String, Errno> {
    result.map_err(|error| Errno::from_io_error(&error).expect("an errno of the system"))
}

/// Runs all operations in one place, each on a fixture of its own.
fn outcomes(
    (made, used): &(PathBuf, PathBuf),
    caller: &Caller,
    (directory, file): (&Shape, &Shape),
    operations: &[&Operation],
) -> Vec<Outcome> {
    // A name is used once: the mirror may know for a second what was there before.
    static NAMES: AtomicUsize = AtomicUsize::new(0);
    let place = |_| PathBuf::from(NAMES.fetch_add(1, Ordering::Relaxed).to_string());
    let places: Vec<_> = operations.iter().map(place).collect();
    places.iter().for_each(|place| shapes::make(&made.join(place), directory, file));
    let results = as_user(caller.1, caller.2, caller.3, || {
        let each = operations.iter().zip(&places);
        each.map(|(operation, place)| outcome_of((operation.run)(&used.join(place))))
            .collect::<Vec<_>>()
    });
    let outcomes = results.into_iter().zip(&places).map(|(result, place)| {
        let left = state(&made.join(place));
        if result.is_ok() && made != used {
            assert_eq!(state(&used.join(place)), left, "the mirror shows what is behind it");
        }
        shapes::remove(&made.join(place));
        (result, left)
    });
    outcomes.collect()
}

/// Whether the kernel may grant without asking, and without any effect, what the backing refuses:
/// - access(2) knows modes and ACLs; no attribute of FUSE says that a file is immutable.
/// - chown(2) with -1 and -1 is refused to strangers only by what else it changes, setuid and setgid,
///   and of immutable files. `fuse_setattr` takes the mode out before it judges, and the mirror
///   cannot tell it from what precedes a write.
fn never_asked(operation: &Operation, file: &Shape) -> bool {
    match operation.name {
        "may write" => file.name == "immutable",
        "chown to nobody new" => file.name.starts_with("set") || file.name == "immutable",
        _ => false,
    }
}

/// Compares them in both places; the differences, one line each.
fn differences(
    pair: &Pair,
    caller: &Caller,
    (directory, file): (&Shape, &Shape),
    operations: &[&Operation],
) -> Vec<String> {
    let [plain, mirror] =
        pair.sides().map(|side| outcomes(&side, caller, (directory, file), operations));
    let what = format!("{} in {}, {}", file.name, directory.name, caller.0);
    let mut differ = Vec::new();
    for ((plain, mirror), operation) in plain.iter().zip(&mirror).zip(operations) {
        let left_out = never_asked(operation, file)
            && (&plain.0, &mirror.0) == (&Err(Errno::PERM), &Ok(String::new()))
            && plain.1 == mirror.1;
        if plain != mirror && !left_out {
            differ.push(format!("{}: {what}:\n  {plain:?}\n  {mirror:?}", operation.name));
        }
    }
    differ
}

/// All combinations of these.
fn compare(directories: &[Shape], files: &[Shape], operations: &[&Operation]) {
    let pair = Pair::new();
    let (mut differ, mut cases) = (Vec::new(), 0);
    for caller in &CALLERS[..long_or(CALLERS.len(), 3)] {
        for directory in directories {
            for file in files {
                differ.extend(differences(&pair, caller, (directory, file), operations));
                cases += operations.len();
            }
        }
    }
    println!("{cases} cases, {} differ", differ.len());
    assert!(differ.is_empty(), "{} of {cases} differ:\n{}", differ.len(), differ.join("\n"));
}

fn all_operations() -> Vec<&'static Operation> {
    IN_DIRECTORIES.iter().chain(ON_FILES).collect()
}

#[test]
fn directories_grant_and_refuse_the_same() {
    let operations = long_or(all_operations(), IN_DIRECTORIES.iter().collect());
    compare(DIRECTORIES, &FILES[..long_or(2, 1)], &operations);
}

#[test]
fn files_grant_and_refuse_the_same() {
    let operations = long_or(all_operations(), ON_FILES.iter().collect());
    compare(&DIRECTORIES[..long_or(2, 1)], FILES, &operations);
}

/// Paths through a directory that is a symlink, or a file, must not tell more either.
#[test]
fn a_walk_is_refused_where_the_backing_refuses_it() {
    let pair = Pair::new();
    let walk = |used: &Path| {
        as_user(BOB, BOB, &[], || {
            ["a/b/f", "a/none/f", "a/b/f/x", "s/f"]
                .map(|path| outcome_of(fs::metadata(used.join(path)).map(|_| String::new())))
        })
    };
    for mode in [0o755, 0o711, 0o744, 0o700, 0o000] {
        let [plain, mirror] = pair.sides().map(|(made, used)| {
            let top = made.join(format!("{mode:o}"));
            fs::create_dir_all(top.join("a/b")).unwrap();
            fs::write(top.join("a/b/f"), "").unwrap();
            std::os::unix::fs::symlink("a/b", top.join("s")).unwrap();
            fs::set_permissions(top.join("a"), PermissionsExt::from_mode(mode)).unwrap();
            walk(&used.join(format!("{mode:o}")))
        });
        assert_eq!(plain, mirror, "{mode:o}");
    }
}
