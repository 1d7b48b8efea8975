//! fsx 0.3.2, the file system exerciser: random reads, writes, mappings, truncates, holes and copies
//! of one file, each read compared with what was written.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::disk::Disk;
use crate::common::{Mount, delaying, long_or, passing_over, text_of, wait_for};
use crate::{bounded, suite, suites};

/// Every operation that the exerciser has, within files of 1 MiB.
const CONFIG: &str = "
flen = 1048576
opsize = { min = 1, max = 65536 }
[weights]
read = 10
write = 10
mapread = 10
mapwrite = 10
truncate = 5
posix_fallocate = 5
punch_hole = 5
copy_file_range = 5
sendfile = 5
close_open = 2
invalidate = 2
fsync = 2
fdatasync = 2
posix_fadvise = 2
";

/// Files exercised at once.
const LANES: u64 = 2;

/// The exerciser, on a file of that seed in `dir`.
fn fsx(dir: &Path, seed: u64, operations: u64, artefacts: &Path) -> Command {
    let config = artefacts.join("config.toml");
    fs::create_dir_all(artefacts).unwrap();
    fs::write(&config, CONFIG).unwrap();
    let mut command = bounded();
    command.arg(suite("fsx")).arg("-f").arg(config).arg("-P").arg(artefacts);
    command.args(["-N", &operations.to_string(), "-S", &seed.to_string()]);
    command.arg(dir.join(format!("fsx-{seed}")));
    command
}

/// Whether the exerciser came to its end and found nothing wrong.
fn is_clean(output: &Output) -> bool {
    output.status.success() && text_of(output).contains("All operations completed A-OK!")
}

/// Exercises one file. What a failure leaves is kept: the file as it was read and as it lies behind
/// the mirror, what it should hold, and what the exerciser said.
fn exercise(mode: &str, mount: &Mount, seed: u64, operations: u64) {
    let artefacts = suites().join("failed").join(format!("fsx-{mode}-{seed}"));
    let mut command = fsx(&mount.mnt(), seed, operations, &artefacts);
    let output = command.output().unwrap();
    if is_clean(&output) {
        fs::remove_dir_all(artefacts).unwrap();
        return;
    }
    let file = format!("fsx-{seed}");
    fs::write(artefacts.join("log"), text_of(&output)).unwrap();
    for (from, to) in [(mount.mnt(), "mirror"), (mount.raw(), "raw")] {
        let _ = fs::copy(from.join(&file), artefacts.join(to));
    }
    let said = text_of(&output);
    let said = said.lines().take(20).collect::<Vec<_>>().join("\n");
    panic!("seed {seed}, {}; see {}\n{command:?}\n{said}", output.status, artefacts.display());
}

/// What the mirrors have behind them.
fn disk() -> Disk {
    long_or(Disk::ext4 as fn() -> Disk, Disk::tmpfs)()
}

/// Exercises a file for each seed, and says how many operations that were.
fn stays_right(mode: &str, mount: &Mount) -> i64 {
    let (seeds, operations) = long_or((20, 50_000), (2, 5_000));
    let began = Instant::now();
    thread::scope(|scope| {
        for lane in 1..=LANES {
            let lane = (lane..=seeds).step_by(usize::try_from(LANES).unwrap());
            scope.spawn(|| lane.for_each(|seed| exercise(mode, mount, seed, operations)));
        }
    });
    let operations = seeds * operations;
    println!("fsx {mode}: {operations} operations of {seeds} seeds in {:.1?}", began.elapsed());
    operations.cast_signed()
}

#[test]
fn no_read_is_wrong() {
    let disk = disk();
    stays_right("default", &Mount::over(disk.directory(), &[] as &[&str]));
}

#[test]
fn no_read_is_wrong_past_the_page_cache() {
    let disk = disk();
    stays_right("direct-io", &Mount::over(disk.directory(), &["--direct-io"]));
}

#[test]
fn no_read_is_wrong_where_the_kernel_writes_back() {
    let disk = disk();
    stays_right("written-back", &Mount::over(disk.directory(), &["--writeback-cache"]));
}

/// Exercises files on a mirror with `--passthrough-except`; whether it was the kernel that served them.
fn passed_through(mode: &str, except: &str) -> Option<bool> {
    let disk = disk();
    let mount = passing_over(disk.directory(), &["--passthrough-except", except])?;
    stays_right(mode, &mount);
    let statistics = mount.client().stats().unwrap();
    let calls = |method| statistics.methods.iter().find(|m| m.name == method).unwrap().calls;
    let kernel = statistics.passthrough.unwrap();
    println!("    {} reads and {} writes to serve, {kernel:?}", calls("read"), calls("write"));
    // A copy, which the kernel never takes upon itself, is a write too.
    let served = calls("write") == calls("copy_file_range");
    assert_eq!((kernel.refused, kernel.files > 0), (0, served));
    Some(served)
}

#[test]
fn no_read_is_wrong_where_the_kernel_serves_the_file() {
    assert_ne!(passed_through("passed-through", ".*/another"), Some(false));
}

#[test]
fn no_read_is_wrong_where_the_kernel_serves_all_but_the_file() {
    assert_ne!(passed_through("excepted", ".*/fsx-.*"), Some(true));
}

#[test]
fn no_read_is_wrong_while_a_tenth_of_the_requests_are_delayed() {
    let disk = disk();
    let mount = Mount::over(disk.directory(), &[] as &[&str]);
    let delay = delaying(&["all"], Duration::from_micros(100));
    let id = mount.add(&delay.with("probability", "0.1"));
    let operations = stays_right("delayed", &mount);
    let fault = mount.listed(id);
    println!("    {} requests, of which {} were delayed", fault.matched, fault.fired);
    assert!(fault.matched > operations, "{fault:?}");
    // What was asked, within six standard deviations at the least.
    assert!((0.08..0.12).contains(&(fault.fired as f64 / fault.matched as f64)), "{fault:?}");
}

#[test]
fn what_changes_behind_the_mirror_is_noticed() {
    let disk = Disk::tmpfs();
    let mount = Mount::over(disk.directory(), &["--direct-io"]);
    let mut command = fsx(&mount.mnt(), 1, 1_000_000, mount.scratch());
    let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let raw = mount.raw().join("fsx-1");
    let ended = wait_for("the exerciser to fail", || {
        // The file is truncated and extended all the time; within it there is something to spoil.
        let spoil = |file: File| file.write_all_at(&[0xff; 100], file.metadata()?.len() / 2);
        let _ = File::options().write(true).open(&raw).and_then(spoil);
        running.try_wait().unwrap()
    });
    let said = text_of(&running.wait_with_output().unwrap());
    assert!(!ended.success() && said.contains("LOG DUMP"), "{said}");
}
