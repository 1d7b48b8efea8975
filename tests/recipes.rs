//! The recipes: those of charybdefs's cookbook, set by `slowfs recipe` and by examples/cookbook/recipes.py:
//! each does on the mount what it says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use common::{Mount, errno_of, failing, slowfs, stdout_of, text_of};

/// How many operations the dice are counted over.
const MANY: u32 = 20_000;

/// Ways to set a recipe.
const WAYS: [fn(&Mount, &str); 2] = [by_command, by_script];

fn by_command(mount: &Mount, recipe: &str) {
    stdout_of(slowfs().args(["recipe", recipe, "--addr", &mount.addr]));
}

fn script() -> Command {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/cookbook/recipes.py");
    let mut command = Command::new("/usr/bin/python3");
    command.arg(path).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

fn by_script(mount: &Mount, recipe: &str) {
    stdout_of(script().arg(format!("--{recipe}")).env("SLOWFS_ADDR", &mount.addr));
}

/// A mount with `file` (4 KiB) in it, whose dice fall the same in every run.
fn mount() -> (Mount, File) {
    let mount = Mount::with(&["--seed", "42"]);
    fs::write(mount.mnt().join("file"), [1; 4096]).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(mount.mnt().join("file")).unwrap();
    (mount, file)
}

fn statfs(mount: &Mount) -> io::Result<()> {
    Ok(rustix::fs::statfs(mount.mnt()).map(drop)?)
}

fn read(file: &File) -> io::Result<()> {
    file.read_at(&mut [0; 512], 0).map(drop)
}

fn write(file: &File) -> io::Result<()> {
    file.write_at(&[2; 512], 0).map(drop)
}

/// How often each errno came; operations that succeed do not count.
fn count(times: u32, mut operation: impl FnMut(u32) -> io::Result<()>) -> BTreeMap<i32, u32> {
    let mut seen = BTreeMap::new();
    for n in 0..times {
        if let Err(error) = operation(n) {
            *seen.entry(error.raw_os_error().unwrap()).or_default() += 1;
        }
    }
    seen
}

fn assert_random(seen: &BTreeMap<i32, u32>) {
    for errno in seen.keys() {
        assert!((7..=54).contains(errno) && *errno != libc::ENOSYS, "{errno} was drawn");
    }
}

/// Whether `found` lies within five standard deviations of what the odds make of `times`.
fn assert_about(found: u32, times: u32, odds: f64) {
    let mean = f64::from(times) * odds;
    let off = 5.0 * (mean * (1.0 - odds)).sqrt();
    assert!((f64::from(found) - mean).abs() <= off, "{found} of {times}, not {mean} +- {off}");
}

#[test]
fn clear_lifts_every_fault() {
    let (mount, _file) = mount();
    for set in WAYS {
        mount.add(&failing(&["mkdir"], "EIO"));
        mount.add(&failing(&["statfs"], "EIO"));
        statfs(&mount).unwrap_err();
        set(&mount, "clear");
        statfs(&mount).unwrap();
        assert!(mount.client().list_faults().unwrap().is_empty());
    }
}

#[test]
fn full_io_error_and_quota_fail_every_call_with_their_errno() {
    let (mount, file) = mount();
    let recipes = [("full", libc::ENOSPC), ("io-error", libc::EIO), ("quota", libc::EDQUOT)];
    for set in WAYS {
        for (recipe, errno) in recipes {
            set(&mount, recipe);
            let mnt = mount.mnt();
            assert_eq!(errno_of(write(&file)), errno);
            assert_eq!(errno_of(read(&file)), errno);
            assert_eq!(errno_of(file.sync_data()), errno);
            assert_eq!(errno_of(file.set_len(1)), errno);
            assert_eq!(errno_of(fs::metadata(mnt.join("file"))), errno);
            assert_eq!(errno_of(File::create(mnt.join("new"))), errno);
            assert_eq!(errno_of(fs::create_dir(mnt.join("dir"))), errno);
            assert_eq!(errno_of(fs::remove_file(mnt.join("file"))), errno);
            assert_eq!(errno_of(statfs(&mount)), errno);
        }
    }
    mount.clear();
    assert_eq!(fs::read(mount.raw().join("file")).unwrap(), [1; 4096], "nothing was done");
}

#[test]
fn delay_makes_every_call_50_ms_longer() {
    let (mount, file) = mount();
    let long = |operation: &dyn Fn() -> io::Result<()>| {
        let began = Instant::now();
        operation().unwrap();
        assert!(began.elapsed() >= Duration::from_millis(50), "{:?}", began.elapsed());
    };
    for set in WAYS {
        set(&mount, "delay");
        long(&|| write(&file));
        long(&|| file.sync_all());
        long(&|| statfs(&mount));
        long(&|| fs::create_dir(mount.mnt().join("dir")));
        mount.clear();
        fs::remove_dir(mount.mnt().join("dir")).unwrap();
    }
}

#[test]
fn random_fails_every_call_and_draws_every_errno_alike() {
    for set in WAYS {
        let (mount, file) = mount();
        set(&mount, "random");
        let seen = count(MANY, |_| statfs(&mount));
        assert_random(&seen);
        assert_eq!(seen.values().sum::<u32>(), MANY);
        assert_eq!(seen.len(), 47, "every errno from E2BIG to EXFULL but ENOSYS: {seen:?}");
        seen.values().for_each(|&n| assert_about(n, MANY, 1.0 / 47.0));
        assert_random(&count(10, |_| write(&file)));
        assert_random(&count(10, |_| fs::create_dir(mount.mnt().join("dir"))));
    }
}

#[test]
fn specific_syscalls_fails_reads_and_writes_and_nothing_else() {
    let (mount, file) = mount();
    for set in WAYS {
        set(&mount, "specific-syscalls");
        for operation in [read, write] {
            let seen = count(1_000, |_| operation(&file));
            assert_random(&seen);
            assert_eq!(seen.values().sum::<u32>(), 1_000);
        }
        file.sync_all().unwrap();
        statfs(&mount).unwrap();
        fs::metadata(mount.mnt().join("file")).unwrap();
        fs::create_dir(mount.mnt().join("dir")).unwrap();
        fs::remove_dir(mount.mnt().join("dir")).unwrap();
    }
}

#[test]
fn probability_fails_one_read_or_write_in_a_hundred() {
    let counted = WAYS.map(|set| {
        let (mount, file) = mount();
        set(&mount, "probability");
        let seen = count(MANY, |n| if n % 2 == 0 { read(&file) } else { write(&file) });
        assert_random(&seen);
        let failed = seen.values().sum::<u32>();
        assert_about(failed, MANY, 0.01);
        let listed = &mount.client().list_faults().unwrap()[0];
        assert_eq!((listed.matched, listed.fired), (i64::from(MANY), i64::from(failed)));
        seen
    });
    assert_eq!(counted[0], counted[1], "the same seed, the same dice");
}

#[test]
fn file_pattern_fails_reads_and_writes_of_those_files_only() {
    let (mount, file) = mount();
    fs::create_dir(mount.mnt().join("etc")).unwrap();
    let open = |name: &str| {
        let path = mount.mnt().join("etc").join(name);
        OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path).unwrap()
    };
    let (hit, spared) = (open("sendmail.cf"), open("sendmail.cf.old"));
    for set in WAYS {
        set(&mount, "file-pattern");
        for operation in [read, write] {
            let seen = count(500, |_| operation(&hit));
            assert_random(&seen);
            assert_eq!(seen.values().sum::<u32>(), 500);
            assert!(count(500, |_| operation(&spared)).is_empty());
            operation(&file).unwrap();
        }
    }
}

#[test]
fn broken_drive_delays_one_call_in_a_thousand_then_fails_it() {
    let counted = WAYS.map(|set| {
        let (mount, _file) = mount();
        set(&mount, "broken-drive");
        let mut slow = 0;
        let seen = count(MANY, |_| {
            let began = Instant::now();
            let outcome = statfs(&mount);
            if outcome.is_err() {
                assert!(began.elapsed() >= Duration::from_millis(100), "{:?}", began.elapsed());
                slow += 1;
            }
            outcome
        });
        assert_eq!(seen, BTreeMap::from([(libc::EIO, slow)]));
        assert_about(slow, MANY, 0.001);
        slow
    });
    assert_eq!(counted[0], counted[1], "the same seed, the same dice");
}

#[test]
fn dying_disk_fails_one_read_or_write_in_a_hundred_and_delays_one_in_twenty() {
    const EACH: u32 = 100;
    let (mount, _file) = mount();
    mount.add(&failing(&["mkdir"], "EIO"));
    let open = |n: u32| {
        let path = mount.mnt().join(format!("file{n}"));
        fs::write(&path, [1; 512]).unwrap();
        OpenOptions::new().read(true).write(true).open(path).unwrap()
    };
    let files: Vec<_> = (0..16).map(open).collect();
    by_command(&mount, "dying-disk");
    let work = |file: &File| {
        let (mut slow, mut errnos) = (0, BTreeMap::new());
        for n in 0..EACH {
            let began = Instant::now();
            let seen = count(1, |_| if n % 2 == 0 { read(file) } else { write(file) });
            seen.into_keys().for_each(|errno| *errnos.entry(errno).or_insert(0) += 1);
            slow += u32::from(began.elapsed() >= Duration::from_millis(500));
        }
        (slow, errnos)
    };
    // Side by side, as a twentieth of them takes half a second.
    let done: Vec<(u32, BTreeMap<i32, u32>)> = thread::scope(|scope| {
        let working: Vec<_> = files.iter().map(|file| scope.spawn(|| work(file))).collect();
        working.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let listed = mount.client().list_faults().unwrap();
    let lines: Vec<_> = listed.iter().map(|listed| listed.fault.line()).collect();
    let methods = "-m read,read_buf,write,write_buf --probability";
    let both = [format!("error EIO {methods} 1%"), format!("delay 500ms {methods} 5%")];
    assert_eq!(lines, both, "in the place of every other one");
    let times = EACH * u32::try_from(files.len()).unwrap();
    let [failed, delayed] = [0, 1].map(|n: usize| u32::try_from(listed[n].fired).unwrap());
    let matched = [&listed[0], &listed[1]].map(|listed| u32::try_from(listed.matched).unwrap());
    assert_eq!(matched, [times, times - failed], "what has failed is not delayed");
    assert_about(failed, times, 0.01);
    assert_about(delayed, times - failed, 0.05);
    let met: u32 = done.iter().map(|(_, seen)| seen.get(&libc::EIO).copied().unwrap_or(0)).sum();
    assert!(done.iter().all(|(_, seen)| seen.keys().all(|errno| *errno == libc::EIO)), "{done:?}");
    assert_eq!(met, failed, "what is delayed succeeds");
    let slow: u32 = done.iter().map(|(slow, _)| slow).sum();
    assert!(slow >= delayed, "{slow} of {delayed} were late");
}

#[test]
fn no_space_fails_what_takes_some_and_read_only_remount_what_changes() {
    let (mount, file) = mount();
    let free = || rustix::fs::statvfs(mount.mnt()).unwrap().f_bavail;
    by_command(&mount, "no-space");
    assert_eq!(free(), 0);
    assert_eq!(errno_of(file.write_at(&[2; 512], 4096)), libc::ENOSPC);
    assert_eq!(errno_of(fs::create_dir(mount.mnt().join("dir"))), libc::ENOSPC);
    write(&file).unwrap();
    read(&file).unwrap();
    mount.clear();
    assert!(free() > 0);
    by_command(&mount, "read-only-remount");
    assert_eq!(errno_of(write(&file)), libc::EROFS);
    assert_eq!(errno_of(fs::create_dir(mount.mnt().join("dir"))), libc::EROFS);
    assert_eq!(errno_of(file.sync_all()), libc::EROFS);
    read(&file).unwrap();
    fs::metadata(mount.mnt().join("file")).unwrap();
    by_command(&mount, "clear");
    write(&file).unwrap();
}

#[test]
fn flaky_fsync_fails_one_sync_in_ten() {
    let (mount, file) = mount();
    by_command(&mount, "flaky-fsync");
    let seen = count(2_000, |n| if n % 2 == 0 { file.sync_all() } else { file.sync_data() });
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [libc::EIO]);
    assert_about(seen[&libc::EIO], 2_000, 0.1);
    let listed = &mount.client().list_faults().unwrap()[0];
    assert_eq!((listed.matched, listed.fired), (2_000, i64::from(seen[&libc::EIO])));
    assert!(count(100, |n| if n % 2 == 0 { read(&file) } else { write(&file) }).is_empty());
}

#[test]
fn a_recipe_of_several_faults_answers_for_each() {
    let (mount, _file) = mount();
    let recipe = |name: &str, more: &[&str]| {
        stdout_of(slowfs().args(["recipe", name, "--addr", &mount.addr]).args(more))
    };
    let text = recipe("dying-disk", &[]);
    assert!(
        text.starts_with("fault 1: error EIO ") && text.contains("\nfault 2: delay 500ms "),
        "{text}"
    );
    let json: serde_json::Value = serde_json::from_str(&recipe("Dying-Disk", &["--json"])).unwrap();
    assert_eq!(
        (&json["faults"][0]["id"], &json["faults"][1]["id"]),
        (&3.into(), &4.into()),
        "{json}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&recipe("flaky-fsync", &["--json"])).unwrap();
    assert_eq!(json["id"], 5, "{json}");
    let list = stdout_of(slowfs().args(["recipe", "--list", "--json"]));
    let list: serde_json::Value = serde_json::from_str(&list).unwrap();
    let of = |name: &str| {
        let recipes = list["recipes"].as_array().unwrap();
        recipes.iter().find(|recipe| recipe["name"] == name).unwrap().clone()
    };
    assert_eq!(of("dying-disk")["faults"].as_array().unwrap().len(), 2);
    assert_eq!(of("full")["faults"][0], of("full")["fault"]);
}

#[test]
fn fail_slow_recipes_stand_alone_and_slow_data_and_syncs_only() {
    let (mount, file) = mount();
    let _cleared = mount.clear_on_drop();
    let set = |how: &str| {
        by_command(&mount, &format!("fail-slow-{how}"));
        let mut faults = mount.client().list_faults().unwrap();
        let fault = faults.pop().unwrap();
        assert!(faults.is_empty() && fault.fault.methods.len() == 7, "{how}: {faults:?} {fault:?}");
        fault.fault.line()
    };
    let long = |least: u64, operation: &dyn Fn() -> io::Result<()>| {
        let began = Instant::now();
        operation().unwrap();
        assert!(began.elapsed() >= Duration::from_millis(least), "{:?}", began.elapsed());
    };
    let line = set("constant");
    assert!(line.starts_with("delay 20ms -m "), "{line}");
    long(20, &|| write(&file));
    long(20, &|| read(&file));
    long(20, &|| file.sync_all());
    fs::metadata(mount.mnt().join("file")).unwrap();
    assert_eq!(mount.client().list_faults().unwrap()[0].fired, 3, "names and attributes are well");
    let line = set("intermittent");
    assert!(line.ends_with(" --off-for 15s --on-for 5s --random"), "{line}");
    let line = set("degrading");
    assert!(line.starts_with("delay 1ms -m ") && line.ends_with(" --ramp x1..x100/1m"), "{line}");
    long(1, &|| write(&file));
    let line = set("stalling");
    assert!(line.starts_with("hang -m ") && line.ends_with(" --off-for 9s --on-for 1s --random"));
}

#[test]
fn both_ways_offer_those_of_the_cookbook() {
    let list = stdout_of(slowfs().args(["recipe", "--list"]));
    let names: Vec<_> = list.lines().skip(1).filter_map(|l| l.split(' ').next()).collect();
    let wanted = "clear full io-error quota delay random specific-syscalls probability \
                  file-pattern broken-drive";
    let wanted: Vec<_> = wanted.split(' ').collect();
    assert_eq!(names[..wanted.len()], wanted);
    // These need more than charybdefs's calls can say, so its script does not have them.
    let fail_slow = ["constant", "intermittent", "degrading", "stalling"];
    let fail_slow = fail_slow.map(|how| format!("fail-slow-{how}"));
    let own = ["no-space", "read-only-remount", "dying-disk", "flaky-fsync"].into_iter();
    let own = own.chain(fail_slow.iter().map(String::as_str));
    assert_eq!(names[wanted.len()..], own.collect::<Vec<_>>());
    let help = stdout_of(script().arg("--help"));
    for name in wanted {
        assert!(help.contains(&format!("  --{name} ")), "--{name} in\n{help}");
    }
    let refused = script().arg("--ful-disk").output().unwrap();
    assert_eq!(refused.status.code(), Some(2), "{}", text_of(&refused));
    let refused = slowfs().args(["recipe", "fulll"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(text_of(&refused).contains("did you mean full?"), "{}", text_of(&refused));
}

#[test]
fn the_script_takes_the_port_that_charybdefs_takes_it_from() {
    let (mount, _file) = mount();
    let port = mount.addr.rsplit(':').next().unwrap();
    stdout_of(script().arg("--full").env("CHARYBDEFS_PORT", port).env_remove("SLOWFS_ADDR"));
    assert_eq!(errno_of(statfs(&mount)), libc::ENOSPC);
    let refused = script().arg("--full").env("SLOWFS_ADDR", "127.0.0.1:1").output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let last = text_of(&refused).lines().last().unwrap_or_default().to_owned();
    assert!(last.starts_with("recipes.py: Could not connect"), "{last}");
}
