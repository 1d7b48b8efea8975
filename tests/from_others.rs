//! docs/from-others.md: each command of its tables is a fault that does what the row says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use common::{Mount, errno_of, text_of};

/// The commands of the tables, as they are written there.
fn commands() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/from-others.md");
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().filter(|line| line.starts_with("| "));
    let last = |row: &str| row.trim_end_matches(" |").rsplit(" | ").next().unwrap().to_owned();
    let cells = rows.map(last).filter(|cell| cell.starts_with('`'));
    cells.map(|cell| cell.trim_matches('`').to_owned()).collect()
}

/// A mount with `etcd/data.log` (8 KiB), open.
struct Scene {
    // Closed before the mount ends, which else waits a second for it.
    file: File,
    mount: Mount,
}

impl Scene {
    fn new() -> Scene {
        let mount = Mount::with(&["--seed", "7"]);
        fs::create_dir(mount.raw().join("etcd")).unwrap();
        fs::write(mount.raw().join("etcd/data.log"), [b'a'; 8192]).unwrap();
        let path = mount.mnt().join("etcd/data.log");
        Scene { file: OpenOptions::new().read(true).write(true).open(path).unwrap(), mount }
    }

    /// Sets the fault of a row, as a shell would.
    fn set(&self, command: &str) {
        self.mount.clear();
        let program = env!("CARGO_BIN_EXE_slowfs");
        let typed = command.strip_prefix("slowfs ").expect(command);
        let line = format!("exec {program} {typed} --addr {}", self.mount.addr);
        let output = Command::new("sh").args(["-c", &line]).output().unwrap();
        assert!(output.status.success(), "{command}: {}", text_of(&output));
    }

    fn read(&self) -> io::Result<()> {
        self.file.read_at(&mut [0; 100], 0).map(drop)
    }

    fn write(&self) -> io::Result<()> {
        self.file.write_at(&[b'b'; 4096], 0).map(drop)
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    fn stat(&self) -> io::Result<()> {
        fs::metadata(self.mount.mnt().join("etcd/data.log")).map(drop)
    }

    fn make(&self) -> io::Result<()> {
        let path = self.mount.mnt().join("etcd/new");
        fs::create_dir(&path)?;
        fs::remove_dir(path)
    }

    fn chmod(&self) -> io::Result<()> {
        self.file.set_permissions(fs::Permissions::from_mode(0o600))
    }
}

type Does = fn(&Scene) -> io::Result<()>;

/// What fails by each command, how, and what does not.
const FAILS: [(&str, i32, &[Does], &[Does]); 19] = [
    ("error 5 -m read -r '.*/data.*'", 5, &[Scene::read], &[Scene::write, Scene::stat]),
    ("error 30 -m write -r '.*/data.*'", 30, &[Scene::write], &[Scene::read, Scene::make]),
    ("bad-sector --range 0..4KiB -r '.*/data.*'", 5, &[reads_anew], &[Scene::write, Scene::stat]),
    ("full --free 0", 28, &[grows, Scene::make], &[Scene::read, Scene::write]),
    ("read-only", 30, &[Scene::write, Scene::make, Scene::sync], &[Scene::read, Scene::stat]),
    ("error 5 -m read,write", 5, &[Scene::read, Scene::write], &[Scene::make]),
    ("error 28 -m all -p 100%", 28, &[Scene::read, Scene::make, Scene::stat], &[]),
    ("shutdown", 5, &[Scene::read, Scene::write, Scene::stat, Scene::make], &[]),
    ("error 5 -m fsync --on-for 30s --off-for 60s", 5, &[Scene::sync], &[Scene::write]),
    ("error 5 -m getattr", 5, &[Scene::stat], &[Scene::write]),
    ("error 5 -m chmod,chown,truncate,ftruncate,utimens", 5, &[Scene::chmod], &[Scene::write]),
    ("error 5 -m fsync,fdatasync", 5, &[Scene::sync, syncs_data], &[Scene::write]),
    ("error 5 -m read,read_buf", 5, &[Scene::read], &[Scene::write]),
    ("error 5 -m write,write_buf", 5, &[Scene::write], &[Scene::read]),
    ("torn-write random -m write -r '.*/data.*[.]log.*'", 0, &[], &[Scene::write, is_torn]),
    ("corrupt random -m read -r '.*/data.*'", 0, &[], &[Scene::write, reads_others]),
    ("corrupt zero --spots 4 -m write -r '.*/data.*'", 0, &[], &[Scene::write, has_zeros]),
    ("corrupt zero --unit 1 --length 8 -m write", 0, &[], &[Scene::write, has_zeros]),
    ("delay 100ms -m all -p 50% --for 400s", 0, &[], &[is_slow_at_times]),
];

/// What takes longer by each command.
const HOLDS: [(&str, Does); 2] = [
    ("delay 100ms -m read -p 1.0 -r '.*/data.*'", Scene::read),
    ("delay 100ms -m all --glob '**/etcd/**'", Scene::write),
];

fn reads_anew(scene: &Scene) -> io::Result<()> {
    rustix::fs::fadvise(&scene.file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
    scene.read()
}

fn grows(scene: &Scene) -> io::Result<()> {
    scene.file.write_at(b"x", 8192).map(drop)
}

fn syncs_data(scene: &Scene) -> io::Result<()> {
    scene.file.sync_data()
}

fn is_torn(scene: &Scene) -> io::Result<()> {
    let bytes = fs::read(scene.mount.raw().join("etcd/data.log")).unwrap();
    assert!(bytes[..4096].contains(&b'a'), "never all of it is kept");
    Ok(())
}

fn reads_others(scene: &Scene) -> io::Result<()> {
    let read = fs::read(scene.mount.mnt().join("etcd/data.log"))?;
    let stored = fs::read(scene.mount.raw().join("etcd/data.log"))?;
    assert_ne!(read, stored);
    Ok(())
}

fn has_zeros(scene: &Scene) -> io::Result<()> {
    let bytes = fs::read(scene.mount.raw().join("etcd/data.log"))?;
    assert!(bytes.contains(&0) && bytes.contains(&b'b'), "some of it");
    Ok(())
}

fn is_slow_at_times(scene: &Scene) -> io::Result<()> {
    let slow = (0..20).filter(|_| {
        let began = Instant::now();
        scene.write().unwrap();
        began.elapsed() >= Duration::from_millis(100)
    });
    let slow = slow.count();
    assert!((1..20).contains(&slow), "{slow} of 20");
    Ok(())
}

#[test]
fn each_command_of_the_tables_does_what_its_row_says() {
    let named = FAILS.iter().map(|row| row.0).chain(HOLDS.iter().map(|row| row.0));
    let tested: BTreeSet<String> = named.map(|command| format!("slowfs {command}")).collect();
    assert_eq!(commands(), tested, "the tables, and what is looked at here");
    for (command, errno, fail, go_on) in FAILS {
        let scene = Scene::new();
        scene.set(&format!("slowfs {command}"));
        for fails in fail {
            assert_eq!(errno_of(fails(&scene)), errno, "{command}");
        }
        for goes_on in go_on {
            goes_on(&scene).unwrap_or_else(|e| panic!("{command}: {e}"));
        }
    }
    for (command, held) in HOLDS {
        let scene = Scene::new();
        scene.set(&format!("slowfs {command}"));
        let began = Instant::now();
        held(&scene).unwrap();
        assert!(began.elapsed() >= Duration::from_millis(100), "{command}");
    }
}
