//! No control call waits for what is held, and each acts at once all the same.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use common::{Mount, errno_of, failing, hanging, wait_for};
use slowfs::fault::FaultWords;
use slowfs::rpc::Client;

type Op = fn(&Path, usize) -> io::Result<()>;

/// How many operations of each method are held at once.
const EACH: usize = 4;

/// What holds something of each kind, each with a file of its own and, where names change, a directory of
/// its own, so that the kernel lets none wait for another.
const HELD: [(&str, Op); 9] = [
    ("create", |m, n| File::create(m.join(format!("held{n}/created"))).map(drop)),
    ("getattr", |m, n| match fs::metadata(m.join(format!("held-lookups/none{n}"))) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map(drop),
    }),
    ("write", |m, n| fs::write(m.join(format!("written{n}")), "xyz")),
    ("read", |m, n| File::open(m.join(format!("read{n}")))?.read_at(&mut [0; 3], 0).map(drop)),
    ("mkdir", |m, n| fs::create_dir(m.join(format!("held-dirs{n}/dir")))),
    ("unlink", |m, n| fs::remove_file(m.join(format!("held-gone{n}/file")))),
    ("fsync", |m, n| File::open(m.join(format!("synced{n}")))?.sync_all()),
    ("readdir", |m, _| fs::read_dir(m.join("listed"))?.try_for_each(|e| e.map(drop))),
    ("rename", |m, n| {
        let within = m.join(format!("held-names{n}"));
        fs::rename(within.join("file"), within.join("other"))
    }),
];

/// Makes the files that those operations use, and has the kernel cache them.
fn make_ready(mnt: &Path) {
    for dir in ["held-lookups", "listed", "free"] {
        fs::create_dir(mnt.join(dir)).unwrap();
    }
    for n in 0..EACH {
        for dir in ["held", "held-dirs", "held-gone", "held-names"] {
            fs::create_dir(mnt.join(format!("{dir}{n}"))).unwrap();
        }
        let plain = ["written", "read", "synced"].map(|name| format!("{name}{n}"));
        let below = ["held-gone", "held-names"].map(|dir| format!("{dir}{n}/file"));
        for name in plain.into_iter().chain(below) {
            let path = mnt.join(name);
            fs::write(&path, "abc").unwrap();
            fs::read(path).unwrap();
        }
    }
    fs::write(mnt.join("free/file"), "abc").unwrap();
}

/// A hang of that method, on its own files only.
fn hang_on(method: &str) -> FaultWords {
    let pattern = match method {
        "getattr" => ".*/none[0-9]+",
        "readdir" => ".*/listed",
        "write" => ".*/written[0-9]",
        "read" => ".*/read[0-9]",
        _ => ".*",
    };
    FaultWords { pattern: pattern.into(), ..hanging(&[method]) }
}

/// How long each control call takes.
#[derive(Default)]
struct Timed {
    slowest: Duration,
}

impl Timed {
    fn call<T>(&mut self, what: &str, call: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let answer = call();
        let took = started.elapsed();
        assert!(took < Duration::from_secs(2), "{what} took {took:?} with operations held");
        self.slowest = self.slowest.max(took);
        answer
    }

    /// Sets and removes a fault that concerns every inode there is, those in use by held operations
    /// included.
    fn set_and_remove(&mut self, client: &mut Client, method: &str, free: &Path) {
        let fault = failing(&[method], "EIO");
        let id = self.call("put_fault", || client.put_fault(&fault, true)).unwrap().id;
        if method == "getattr" {
            assert_eq!(errno_of(fs::metadata(free)), libc::EIO);
        }
        self.call("list_faults", || client.list_faults()).unwrap();
        assert!(self.call("remove_fault", || client.remove_fault(&id.to_string())).unwrap());
        assert_eq!(fs::metadata(free).unwrap().size(), 3);
    }
}

/// Creates, lookups, writes, reads and more are held; each control call still returns at once, and
/// what it arms is felt at once.
#[test]
fn control_calls_never_wait_for_what_is_held() {
    let mount = Mount::new();
    let mnt = mount.mnt();
    make_ready(&mnt);
    let mut client = mount.client();
    for (method, _) in HELD {
        client.put_fault(&hang_on(method), true).unwrap();
    }
    let each = i64::try_from(EACH).unwrap();
    let all_hold =
        |client: &mut Client| client.list_faults().unwrap().iter().all(|f| f.held == each);
    let mut timed = Timed::default();
    thread::scope(|scope| {
        let _cleared = mount.clear_on_drop();
        let mnt = &mnt;
        let held: Vec<_> = HELD
            .into_iter()
            .flat_map(|(method, op)| (0..EACH).map(move |n| (method, op, n)))
            .map(|(method, op, n)| (method, scope.spawn(move || op(mnt, n))))
            .collect();
        wait_for("each method to hold all of its own", || all_hold(&mut client).then_some(()));
        for method in ["getattr", "read", "open", "write"].repeat(20) {
            timed.set_and_remove(&mut client, method, &mnt.join("free/file"));
        }
        assert!(all_hold(&mut client), "all is still held: {:?}", client.list_faults());
        timed.call("clear_all_faults", || client.clear_all_faults()).unwrap();
        for (method, op) in held {
            op.join().unwrap().unwrap_or_else(|e| panic!("{method} released: {e}"));
        }
    });
    println!("slowest control call with operations held: {:?}", timed.slowest);
}

/// Reads that are held keep their pages; neither arming nor opening nor clearing waits for them.
#[test]
fn held_reads_of_one_file_delay_no_call_on_it() {
    const READERS: usize = 8;
    let mount = Mount::new();
    let path = mount.mnt().join("file");
    fs::write(&path, vec![1; 1 << 16]).unwrap();
    let cached = File::open(&path).unwrap();
    cached.read_exact_at(&mut vec![0; 1 << 16], 0).unwrap();
    let id = mount.add(&hanging(&["read"]));
    let direct = File::open(&path).unwrap();
    let start = Barrier::new(READERS + 1);
    thread::scope(|scope| {
        let _cleared = mount.clear_on_drop();
        for n in 0..READERS {
            let file = if n % 2 == 0 { &cached } else { &direct };
            let start = &start;
            scope.spawn(move || {
                start.wait();
                file.read_exact_at(&mut [0; 4096], n as u64 * 4096).unwrap();
            });
        }
        start.wait();
        wait_for("all reads to be held", || {
            (mount.listed(id).held == READERS as i64).then_some(())
        });
        let started = Instant::now();
        let other = mount.add(&failing(&["getattr"], "EIO"));
        assert_eq!(errno_of(fs::metadata(&path)), libc::EIO);
        assert!(mount.client().remove_fault(&other.to_string()).unwrap());
        fs::metadata(&path).unwrap();
        drop(File::open(&path).unwrap());
        mount.clear();
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    });
}
