//! Programs of requests over few names against a model that is built the other way round: a cut after every
//! request has each synced byte, no other version of anything than there was, all or nothing where all or
//! nothing is kept, and is the same by the same seed.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::model::Model;
use super::*;

/// Few, so that requests meet.
const PATHS: [&str; 8] = ["a", "b", "d", "e", "d/a", "d/b", "e/a", "d/e"];

#[derive(Clone, Debug)]
pub(super) enum Step {
    Create(usize),
    Mkdir(usize),
    Symlink(usize),
    Mknod(usize),
    Link(usize, usize),
    Unlink(usize),
    Rmdir(usize),
    Rename(usize, usize, bool),
    Write(usize, u16, u16, bool),
    Append(usize, u16),
    Truncate(usize, u16),
    Punch(usize, u16, u16),
    Allocate(usize, u16, u16, bool),
    Copy(usize, usize, u16),
    Chmod(usize, bool),
    Chown(usize, bool),
    Xattr(usize, Option<u8>),
    Fsync(usize),
    Fdatasync(usize),
    FsyncDir(usize),
    FailedSync(usize),
    LostSync(usize, bool),
    LostWrite(usize, u16, u16),
    LyingSync(usize),
    KeepOpen(usize),
    WriteOpen(u16, u16),
    FsyncOpen,
    Checkpoint,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let path = || 0..PATHS.len();
    let at = || (0u16..6000).prop_map(|at| if at % 3 == 0 { at / 512 * 512 } else { at });
    let len = || prop_oneof![1u16..2000, Just(512), Just(4096)];
    prop_oneof![
        6 => path().prop_map(Step::Create),
        3 => path().prop_map(Step::Mkdir),
        1 => path().prop_map(Step::Symlink),
        1 => path().prop_map(Step::Mknod),
        3 => (path(), path()).prop_map(|(a, b)| Step::Link(a, b)),
        3 => path().prop_map(Step::Unlink),
        1 => path().prop_map(Step::Rmdir),
        6 => (path(), path(), any::<bool>()).prop_map(|(a, b, x)| Step::Rename(a, b, x)),
        8 => (path(), at(), len(), any::<bool>()).prop_map(|(p, a, l, s)| Step::Write(p, a, l, s)),
        3 => (path(), len()).prop_map(|(p, l)| Step::Append(p, l)),
        4 => (path(), at()).prop_map(|(p, s)| Step::Truncate(p, s)),
        2 => (path(), at(), len()).prop_map(|(p, a, l)| Step::Punch(p, a, l)),
        2 => (path(), at(), len(), any::<bool>()).prop_map(|(p, a, l, g)| Step::Allocate(p, a, l, g)),
        1 => (path(), path(), len()).prop_map(|(a, b, l)| Step::Copy(a, b, l)),
        2 => (path(), any::<bool>()).prop_map(|(p, m)| Step::Chmod(p, m)),
        1 => (path(), any::<bool>()).prop_map(|(p, m)| Step::Chown(p, m)),
        1 => (path(), any::<Option<u8>>()).prop_map(|(p, v)| Step::Xattr(p, v)),
        3 => path().prop_map(Step::Fsync),
        4 => path().prop_map(Step::Fdatasync),
        3 => (0..=PATHS.len()).prop_map(Step::FsyncDir),
        1 => path().prop_map(Step::FailedSync),
        3 => (path(), any::<bool>()).prop_map(|(p, fails)| Step::LostSync(p, fails)),
        1 => (path(), at(), len()).prop_map(|(p, a, l)| Step::LostWrite(p, a, l)),
        1 => path().prop_map(Step::LyingSync),
        1 => path().prop_map(Step::KeepOpen),
        2 => (at(), len()).prop_map(|(a, l)| Step::WriteOpen(a, l)),
        1 => Just(Step::FsyncOpen),
        1 => Just(Step::Checkpoint),
    ]
}

/// Bytes that tell one write from all others.
fn fill(n: usize, len: u16) -> Vec<u8> {
    (0..usize::from(len)).map(|at| (n * 31 + at / 256 + 1) as u8 | 1).collect()
}

/// Whether something was allocated, which only the backing knows.
fn maps<T>(world: &World, ino: Ino, run: impl FnOnce() -> io::Result<T>) -> io::Result<bool> {
    let before = world.tree.seen(ino)?.blocks;
    run()?;
    Ok(world.tree.seen(ino)?.blocks != before)
}

/// Does a step in both worlds, if it can be done.
pub(super) fn apply(world: &mut World, model: &mut Model, n: usize, step: &Step) -> io::Result<()> {
    let path = |p: &usize| PATHS.get(*p).copied().unwrap_or("");
    match step {
        Step::Create(p) => {
            world.create(path(p))?;
            model.make(path(p), libc::S_IFREG, 0o644);
        }
        Step::Mkdir(p) => {
            world.mkdir(path(p))?;
            model.make(path(p), libc::S_IFDIR, 0o755);
        }
        Step::Symlink(p) => {
            world.symlink(path(p))?;
            model.make(path(p), libc::S_IFLNK, 0o777);
        }
        Step::Mknod(p) => {
            world.mknod(path(p))?;
            model.make(path(p), libc::S_IFIFO, 0o600);
        }
        Step::Link(p, to) => {
            world.link(path(p), path(to))?;
            model.link(path(p), path(to));
        }
        Step::Unlink(p) => {
            world.remove(path(p), false)?;
            model.remove(path(p));
        }
        Step::Rmdir(p) => {
            world.remove(path(p), true)?;
            model.remove(path(p));
        }
        Step::Rename(p, to, exchange) => {
            world.rename(path(p), path(to), if *exchange { libc::RENAME_EXCHANGE } else { 0 })?;
            model.moved(path(p), path(to), *exchange);
        }
        Step::Write(p, at, len, syncs) => {
            let data = fill(n, *len);
            let (at, p) = (u64::from(*at), path(p));
            let mapped = world.at(p, |ino| {
                maps(world, ino, || match syncs {
                    true => world.write_synced(p, at, &data),
                    false => world.write(p, at, &data),
                })
            })?;
            let node = model.of(p);
            model.write(node, (at as usize, data.len()), &data, mapped);
            if *syncs {
                model.synced_range(node, at as usize..at as usize + data.len());
            }
        }
        Step::Append(p, len) => {
            let data = fill(n, *len);
            world.append(path(p), &data)?;
            let node = model.of(path(p));
            model.write(node, (model.size(node), data.len()), &data, true);
        }
        Step::Truncate(p, size) => {
            world.truncate(path(p), u64::from(*size))?;
            model.truncate(path(p), usize::from(*size));
        }
        Step::Punch(p, at, len) => {
            let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
            world.allocate(path(p), mode, u64::from(*at), u64::from(*len))?;
            model.allocate(path(p), usize::from(*at), usize::from(*len), true, false);
        }
        Step::Allocate(p, at, len, keeps) => {
            let mode = if *keeps { libc::FALLOC_FL_KEEP_SIZE } else { 0 };
            world.allocate(path(p), mode, u64::from(*at), u64::from(*len))?;
            model.allocate(path(p), usize::from(*at), usize::from(*len), false, !keeps);
        }
        Step::Copy(p, to, len) => {
            let (p, to) = (path(p), path(to));
            let mapped =
                world.at(to, |ino| maps(world, ino, || world.copy(p, to, u64::from(*len))))?;
            let (data, len) = (model.bytes(p), usize::from(*len));
            let data = &data[..data.len().min(len)];
            if !data.is_empty() {
                model.write(model.of(to), (100, len), data, mapped);
            }
        }
        Step::Chmod(p, mode) => {
            let mode = if *mode { 0o600 } else { 0o755 };
            world.chmod(path(p), mode)?;
            model.chmod(path(p), mode);
        }
        Step::Chown(p, uid) => {
            let uid = if *uid { 1234 } else { 0 };
            world.chown(path(p), uid)?;
            model.chown(path(p), uid);
        }
        Step::Xattr(p, value) => {
            let value = value.map(|value| [value; 3]);
            let value = value.as_ref().map(|value| &value[..]);
            world.set_xattr(path(p), value)?;
            model.set_xattr(path(p), value);
        }
        Step::Fsync(p) => {
            world.fsync(path(p))?;
            model.fsync(model.of(path(p)));
        }
        Step::Fdatasync(p) => {
            world.fdatasync(path(p))?;
            model.fdatasync(model.of(path(p)));
        }
        Step::FsyncDir(p) => {
            world.fsync_dir(path(p))?;
            model.fsync_dir(path(p));
        }
        Step::FailedSync(p) => world.failed_sync(path(p))?,
        Step::LostSync(p, fails) => {
            world.lost_sync(path(p), *fails)?;
            let node = model.of(path(p));
            model.lose(node, 0..usize::MAX);
            if *fails {
                model.fail(node);
            }
        }
        Step::LostWrite(p, at, len) => {
            let (at, p, data) = (usize::from(*at), path(p), fill(n, *len));
            let mapped =
                world.at(p, |ino| maps(world, ino, || world.write_lost(p, at as u64, &data)))?;
            let node = model.of(p);
            model.write(node, (at, data.len()), &data, mapped);
            model.lose(node, at..at + data.len());
        }
        Step::LyingSync(p) => world.lying_sync(path(p))?,
        Step::KeepOpen(p) => {
            world.keep_open(path(p))?;
            model.open(Some(path(p)));
        }
        Step::WriteOpen(at, len) => {
            let (Some(open), Some(node)) = (world.open, model.opened()) else { return Ok(()) };
            let (at, data) = (usize::from(*at), fill(n, *len));
            let mapped = maps(world, open.0, || world.write_by(open, at as u64, &data, false))?;
            model.write(node, (at, data.len()), &data, mapped);
        }
        Step::FsyncOpen => {
            let (Some(open), Some(node)) = (world.open, model.opened()) else { return Ok(()) };
            let synced = world.sync_by(open, SyncOf::File { datasync: false });
            match model.learns() {
                true => assert_eq!(synced.unwrap_err().raw_os_error(), Some(libc::EIO)),
                false => {
                    synced?;
                    model.fsync(node);
                }
            }
        }
        Step::Checkpoint => {
            world.unsynced.checkpoint(&world.tree);
            model.checkpoint();
        }
    }
    Ok(())
}

/// Looks at images after each step.
fn check(world: &mut World, model: &Model, n: usize) -> Result<(), String> {
    let unit = if n.is_multiple_of(2) { 512 } else { 4096 };
    let told = |what: &'static str| move |why: String| format!("{what}: {why}");
    let none = world.cut(Keeping::None, unit, 0);
    model.is_durable(&none, unit as usize).map_err(told("none"))?;
    let all = world.cut(Keeping::All, unit, 0);
    let live = items(&world.backing);
    let same = |(path, item): (&String, &Item)| path.is_empty() || live.get(path) == Some(item);
    if !model.has_lost() && (all.len() != live.len() || !all.iter().all(same)) {
        return Err(format!("all: {all:?} is not {live:?}"));
    }
    model.is_all(&all, unit as usize).map_err(told("all"))?;
    let seed = n as u64;
    let entries = world.unsynced.pending(&world.tree).entries;
    let some = match n % 3 {
        0 => Keeping::Prefix(seed * 7 % (entries + 1)),
        _ => Keeping::Random,
    };
    let image = world.cut(some, unit, seed);
    model.is_legal(&image, unit as usize).map_err(told("some"))?;
    if n.is_multiple_of(5) && image != world.cut(some, unit, seed) {
        return Err("the same seed has another image".to_owned());
    }
    Ok(())
}

/// What is there and durable before some of the programs, so that there is something to be lost.
pub(super) const BEFORE: [Step; 8] = [
    Step::Create(0),
    Step::Append(0, 1500),
    Step::Create(1),
    Step::Append(1, 4096),
    Step::Mkdir(2),
    Step::Create(4),
    Step::Link(4, 5),
    Step::Checkpoint,
];

fn run(before: bool, steps: &[Step]) -> Result<(), TestCaseError> {
    let (mut world, mut model) = (World::new(Order::Linux), Model::new());
    for (n, step) in BEFORE.iter().enumerate().filter(|_| before) {
        apply(&mut world, &mut model, 100 + n, step).unwrap();
    }
    for (n, step) in steps.iter().enumerate() {
        let done = apply(&mut world, &mut model, n, step);
        if let Err(why) = check(&mut world, &model, n) {
            let told = format!("after {n} {step:?} ({done:?}): {why}");
            return Err(TestCaseError::fail(told));
        }
    }
    let n = steps.len() as u64;
    let keeping = match n % 4 {
        0 => Keeping::None,
        1 => Keeping::Prefix(n),
        _ => Keeping::Random,
    };
    let taken = world.take_back(keeping, 512, n);
    taken.map_err(|why| TestCaseError::fail(format!("in place: {why}")))?;
    world.let_go();
    Ok(())
}

#[test]
fn every_image_is_legal() {
    let long = std::env::var("SLOWFS_TESTS").is_ok_and(|how| how == "long");
    let (cases, most) = if long { (10_000, 40) } else { (80, 25) };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let steps = (any::<bool>(), proptest::collection::vec(step(), 1..=most));
    let ran = TestRunner::new(config).run(&steps, |(before, steps)| run(before, &steps));
    ran.unwrap_or_else(|failed| panic!("{failed}"));
}
