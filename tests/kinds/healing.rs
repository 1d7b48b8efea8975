//! A tree that several faults have spoilt under load is healed to the bits of a twin that none has; and the
//! same injections come again, whatever threads do.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use slowfs::rpc::Injection;

use super::common::calls::Mapping;
use super::common::{Mount, long_or, scratch, wait_up_to};

const THREADS: u64 = 8;
const PAGE: usize = 4096;

/// Even numbers, each load its own.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }

    fn bytes(&mut self, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; len as usize];
        bytes.iter_mut().for_each(|byte| *byte = (self.below(255) + 1) as u8);
        bytes
    }
}

/// What a thread does to files of its own; so often it writes.
fn load(dir: &Path, thread: u64, writes: u64) {
    let mut dice = Dice(thread);
    let path = |n| dir.join(format!("{thread}-{n}"));
    let open = |n: u64, append: bool| {
        let mut options = OpenOptions::new();
        options.read(true).create(true).write(true).append(append).open(path(n)).unwrap()
    };
    for _ in 0..writes {
        let (n, offset, len) = (dice.below(4), dice.below(60_000), 1 + dice.below(9_000));
        match dice.below(20) {
            0 => open(n, false).set_len(dice.below(60_000)).unwrap(),
            1 => fs::rename(path(n), path(dice.below(4))).unwrap_or_default(),
            2 => {
                // Whole pages: of others a program stores again what it has read.
                let file = open(n, false);
                if file.metadata().unwrap().len() as usize >= 2 * PAGE {
                    let mut mapped = Mapping::new(&file, 2 * PAGE, libc::MAP_SHARED).unwrap();
                    mapped.copy_from_slice(&dice.bytes(2 * PAGE as u64));
                    mapped.sync().unwrap();
                }
            }
            3 | 4 => {
                // Of a file that no fault spoils.
                let from = File::open(dir.join("source")).unwrap();
                let (mut at, mut to) = (dice.below(10_000), offset);
                let (file, end) = (open(n, false), at + len);
                while at < end {
                    let (from_at, to_at) = (Some(&mut at), Some(&mut to));
                    let len = (end - *from_at.as_deref().unwrap()) as usize;
                    rustix::fs::copy_file_range(&from, from_at, &file, to_at, len).unwrap();
                }
            }
            5 | 6 => {
                let file = open(n, true);
                if file.metadata().unwrap().len() < 100_000 {
                    std::io::Write::write_all(&mut &file, &dice.bytes(len)).unwrap();
                }
            }
            _ => open(n, false).write_all_at(&dice.bytes(len), offset).unwrap(),
        }
    }
}

fn mount(faults: &[&str]) -> Mount {
    let scratch = scratch();
    fs::create_dir(scratch.path().join("raw")).unwrap();
    fs::write(scratch.path().join("raw/source"), Dice(99).bytes(64 << 10)).unwrap();
    let faults = faults.iter().flat_map(|fault| ["--fault", *fault]);
    Mount::over(scratch, &["--seed", "7"].into_iter().chain(faults).collect::<Vec<_>>())
}

fn run(mount: &Mount, writes: u64) {
    thread::scope(|scope| {
        for thread in 1..=THREADS {
            let dir = mount.mnt();
            scope.spawn(move || load(&dir, thread, writes));
        }
    });
}

fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    let read = |entry: &fs::DirEntry| fs::read(entry.path()).unwrap();
    files.map(|entry| (entry.file_name().into_string().unwrap(), read(&entry))).collect()
}

fn all(mount: &Mount) -> Vec<Injection> {
    let (mut client, mut all) = (mount.client(), Vec::new());
    loop {
        let after = all.last().map_or(0, |last: &Injection| last.id);
        let page = client.injections(after, 1_000).unwrap();
        assert_eq!(page.dropped, 0);
        if page.injections.is_empty() {
            return all;
        }
        all.extend(page.injections);
    }
}

fn differing(one: &BTreeMap<String, Vec<u8>>, other: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let names = one.keys().chain(other.keys());
    names.filter(|name| one.get(*name) != other.get(*name)).cloned().collect()
}

#[test]
fn a_tree_that_was_spoilt_a_thousand_times_is_healed_to_its_twin() {
    let writes = long_or(3_000, 400);
    let spoilt = mount(&[
        "torn-write random -m write -r .*/.-0 -p 60%",
        "lost-write -m write -r .*/.-1 -p 60% --add",
        "corrupt flip:3 --spots 4 -m write -r .*/.-[12] -p 60% --add",
        "corrupt stale --length 3 -m write -r .*/.-3 -p 60% --add",
        "short 30% -m write -p 10% --add",
        "corrupt zero -m write -p 20% --add",
    ]);
    let twin = mount(&[]);
    thread::scope(|scope| {
        scope.spawn(|| run(&twin, writes));
        run(&spoilt, writes);
    });
    let right = tree(&twin.raw());
    assert!(!differing(&tree(&spoilt.raw()), &right).is_empty());
    let injections = all(&spoilt);
    let persistent = injections.iter().filter(|one| one.state != "transient").count();
    assert!(persistent >= 1_000, "{persistent} injections");
    spoilt.client().clear_all_faults().unwrap();
    let mut client = spoilt.client();
    let (mut after, mut healed) = (0, 0);
    loop {
        let some = client.heal(&[], after).unwrap();
        let Some(last) = some.last() else { break };
        let not = some.iter().find(|one| one.outcome != "healed" && one.outcome != "gone");
        assert_eq!(not, None);
        (after, healed) = (last.id, healed + some.len());
    }
    assert!(healed > 50, "{healed} of {persistent} stood");
    let wrong = differing(&tree(&spoilt.raw()), &right);
    assert!(wrong.is_empty(), "{wrong:?} of {persistent} injections, {healed} healed");
    let seen = || differing(&tree(&spoilt.mnt()), &right).is_empty().then_some(());
    wait_up_to(Duration::from_secs(1), "what the mount shows", seen);
}

/// File, offset, length, and what should be there and is.
type ByPlace = (String, i64, i64, Option<String>, Option<String>);

/// What does not tell of the order in which threads came.
fn by_place(mount: &Mount) -> Vec<ByPlace> {
    let told = |one: Injection| {
        let name = one.path.0.file_name().unwrap().to_str().unwrap().to_owned();
        (name, one.offset, one.len, one.expected_sha256, one.found_sha256)
    };
    let mut all: Vec<_> = all(mount).into_iter().map(told).collect();
    all.sort_unstable();
    all
}

#[test]
fn the_same_injections_come_again_whatever_eight_threads_do() {
    let spoilt = || {
        let mount = mount(&[
            "corrupt flip --spots 2 -m write -p 30% --stable --name flips",
            "torn-write random -m write -p 30% --stable --name tears --add",
        ]);
        thread::scope(|scope| {
            for thread in 0..THREADS {
                let dir = mount.mnt();
                scope.spawn(move || {
                    let mut dice = Dice(thread);
                    let file = File::create(dir.join(format!("f{thread}"))).unwrap();
                    for _ in 0..60 {
                        file.write_all_at(&dice.bytes(4_096), dice.below(8) * 4_096).unwrap();
                    }
                });
            }
        });
        (by_place(&mount), tree(&mount.raw()))
    };
    let (first, bits) = spoilt();
    assert!(first.len() > 200, "{}", first.len());
    assert_eq!((first, bits), spoilt());
}
