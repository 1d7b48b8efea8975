//! `device`: each request is due when a model of the disk says so, the model written once more in Python
//! (`device.py`) and fed with what arrived.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use slowfs::fault::PlainFault;
use slowfs::rpc::TraceEvent;

use super::common::{Mount, fault_on, slowfs, stdout_of, text_of, wait_for};
use super::{all_of, as_charged, judged, open};

/// What a device is asked about.
const METHODS: [&str; 10] = [
    "read",
    "write",
    "copy_file_range",
    "fsync",
    "fdatasync",
    "fsyncdir",
    "create",
    "rename",
    "unlink",
    "ftruncate",
];

/// A mount past the page cache, so that each read arrives, with these faults.
fn mount(faults: &[&str]) -> Mount {
    let scratch = super::common::scratch();
    fs::create_dir(scratch.path().join("raw")).unwrap();
    fs::write(scratch.path().join("raw/f"), vec![b'a'; 1 << 20]).unwrap();
    let mut options = vec!["--direct-io", "--seed", "7"];
    faults.iter().for_each(|fault| options.extend(["--fault", *fault]));
    Mount::over(scratch, &options)
}

/// Four threads that read, write, copy, sync and rename for a while.
fn work(mount: &Mount, rounds: u64) {
    thread::scope(|scope| {
        for own in 0..4u64 {
            scope.spawn(move || {
                let file = open(mount, 0);
                let mut bytes = vec![b'b'; 20_000];
                for n in 0..rounds {
                    let at = (n * 7 + own * 13) % 200 * 4096;
                    file.write_all_at(&bytes[..4096], at).unwrap();
                    // It goes on where that ended.
                    file.write_all_at(&bytes[..1500], at + 4096).unwrap();
                    file.read_exact_at(&mut bytes[..10_000], at).unwrap();
                    file.read_exact_at(&mut bytes[..300], at + 10_000).unwrap();
                    if n % 3 == own % 3 {
                        file.sync_all().unwrap();
                    }
                    if n % 4 == own {
                        names(mount, own, &file);
                    }
                }
            });
        }
    });
}

/// A file that is made, copied into, synced, renamed and removed.
fn names(mount: &Mount, own: u64, from: &File) {
    let [old, new] = ["old", "new"].map(|name| mount.mnt().join(format!("{name}{own}")));
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(&old).unwrap();
    let copied =
        rustix::fs::copy_file_range(from, Some(&mut 4096), &file, Some(&mut 0), 9_000).unwrap();
    assert_eq!(copied, 9_000);
    file.write_all_at(b"end", 9_000).unwrap();
    file.sync_data().unwrap();
    file.set_len(10).unwrap();
    fs::rename(&old, &new).unwrap();
    File::open(mount.mnt()).unwrap().sync_all().unwrap();
    fs::remove_file(&new).unwrap();
}

/// What such a device made of the work.
fn served(fault: &str, rounds: u64) -> Vec<TraceEvent> {
    let mount = mount(&[fault]);
    let mut client = mount.client();
    client.trace_start(&METHODS.map(str::to_owned), "", false).unwrap();
    work(&mount, rounds);
    let events = all_of(&mut client);
    for event in &events {
        let late = event.hits.iter().all(|hit| event.done_ns >= hit.due_ns.unwrap());
        assert!(late && event.result == "ok", "{event:?}");
    }
    as_charged(events)
}

/// Holds when they were due against the model in Python.
fn hold_against_the_model(events: &[TraceEvent], device: &str, figures: &Value) {
    let request = |(n, event): (usize, &TraceEvent)| {
        let due = event.hits.first().and_then(|hit| hit.due_ns);
        json!([n, event.t_ns, event.method, event.inode, event.offset, event.len, due])
    };
    let requests: Vec<_> = events.iter().enumerate().map(request).collect();
    let told = json!({
        "seed": 7, "key": 1, "device": device, "figures": figures, "requests": requests,
    });
    assert_eq!(
        judged("device.py", &told),
        format!("looked at {}\n", events.len()),
        "{device} {figures}"
    );
}

#[test]
fn each_preset_serves_as_the_model_does() {
    for (device, rounds) in [
        ("hdd", 4),
        ("ssd", 12),
        ("nvme", 12),
        ("nvme-plp", 12),
        ("ebs-gp2:10GiB", 12),
        ("ebs-gp2:2000GiB", 12),
        ("ebs-gp3", 12),
        ("ebs-gp3:400,4MiB", 6),
        ("sd", 4),
    ] {
        let events = served(&format!("device {device}"), rounds);
        let held = events.iter().filter(|event| !event.hits.is_empty()).count();
        assert!(held * 2 > events.len(), "{device}: {held} of {}", events.len());
        hold_against_the_model(&events, device, &json!({}));
    }
}

#[test]
fn each_part_of_a_device_serves_as_the_model_does() {
    for figures in [
        json!({
            "channels": "3", "read": "3ms", "write": "uniform:1ms..4ms", "seek": "uniform:1ms..2ms",
            "metadata": "2ms", "flush": "1ms", "read_bw": "10MB", "write_bw": "20MB", "total_bw": "15MB",
        }),
        // What is written fills the cache, and waits for room.
        json!({ "write": "100us", "cache": "16KiB", "drain": "1MB", "seek": "500us", "flush": "1ms" }),
        json!({ "channels": "8", "cache": "1MiB", "drain": "1MB", "sync_waits": "file", "flush": "1ms" }),
        json!({ "channels": "8", "cache": "1MiB", "drain": "1MB", "sync_waits": "nothing", "flush": "1ms" }),
        // As recorded, each method and size by its own.
        json!({
            "channels": "8",
            "read": "recorded:read.256:0=100us,100=300us;read.8KiB:0=1ms,50=2ms,100=4ms",
            "write": "recorded:write.2KiB:0=200us,100=1ms;write.16KiB:0=1ms,100=3ms",
            "flush": "recorded:fsync+fsyncdir:0=1ms,100=3ms;fdatasync:0=4ms,100=5ms",
            "metadata": "recorded:create+rename:0=1ms,100=2ms;unlink:0=3ms,100=3ms;ftruncate:0=500us,100=600us",
        }),
        // Forty credits are spent within 40 ms, then ten are earned in 50.
        json!({ "iops": "200", "burst_iops": "1000", "credits": "40", "io_size": "4KiB" }),
    ] {
        hold_against_the_model(&served(&typed(&figures), 6), "", &figures);
    }
}

/// A device with these figures, as it is typed.
fn typed(figures: &Value) -> String {
    let words =
        figures.as_object().unwrap().iter().map(|(name, value)| {
            format!("--{} {}", name.replace('_', "-"), value.as_str().unwrap())
        });
    format!("device {}", words.collect::<Vec<_>>().join(" "))
}

/// Whose writes have drained is looked at when more than a thousand files have been written: by a write
/// that waits until the cache is empty, while syncs come that do not.
#[test]
fn each_of_more_than_a_thousand_files_is_synced_as_the_model_does() {
    const FILES: usize = 1025;
    let figures = json!({
        "channels": "8", "cache": "1MiB", "drain": "400KiB", "sync_waits": "file", "flush": "1ms"
    });
    let mount = mount(&[&typed(&figures)]);
    let _clear = mount.clear_on_drop();
    let file = |n: usize| {
        OpenOptions::new().write(true).open(mount.mnt().join(format!("small{n}"))).unwrap()
    };
    (1..=FILES).for_each(|n| fs::write(mount.raw().join(format!("small{n}")), "").unwrap());
    let mut client = mount.client();
    client.trace_start(&METHODS.map(str::to_owned), "", false).unwrap();
    (1..=FILES).for_each(|n| file(n).write_all_at(&black_box([b'x'; 1000]), 0).unwrap());
    thread::scope(|scope| {
        scope.spawn(|| open(&mount, 0).write_all_at(&vec![b'y'; 1 << 20], 0).unwrap());
        wait_for("the large one to wait", || {
            (mount.client().list_faults().unwrap()[0].held == 1).then_some(())
        });
        for n in FILES - 7..=FILES {
            scope.spawn(move || file(n).sync_all().unwrap());
        }
    });
    let events = as_charged(all_of(&mut client));
    let is_held = |event: &&TraceEvent| event.method == "fsync" && !event.hits.is_empty();
    assert_eq!(events.iter().filter(is_held).count(), 8, "they had drained");
    hold_against_the_model(&events, "", &figures);
}

/// A log on one disk, data on another: each serves its own, and no more.
#[test]
fn several_devices_stand_beside_each_other() {
    let faults =
        ["device --write 300ms -r .*/f --name log", "device --write 20ms -r .*/g --name data"];
    let mount = mount(&faults);
    fs::write(mount.raw().join("g"), "x").unwrap();
    let mut client = mount.client();
    client.trace_start(&["write".to_owned()], "", false).unwrap();
    let g = OpenOptions::new().write(true).open(mount.mnt().join("g")).unwrap();
    open(&mount, 0).write_all_at(b"x", 0).unwrap();
    g.write_all_at(b"x", 0).unwrap();
    let events = all_of(&mut client);
    let asked: Vec<_> = events
        .iter()
        .map(|event| {
            let [hit] = &event.hits[..] else { panic!("{event:?}") };
            (hit.name.as_deref().unwrap(), hit.asked_ns.unwrap())
        })
        .collect();
    assert_eq!(asked, [("log", 300_000_000), ("data", 20_000_000)]);
}

#[test]
fn what_a_device_holds_is_free_when_it_is_cleared() {
    let mount = mount(&["device --write 60s"]);
    let file = open(&mount, 0);
    let begun = Instant::now();
    thread::scope(|scope| {
        let writer = scope.spawn(|| file.write_all_at(b"x", 0).unwrap());
        wait_for("it to be held", || {
            (mount.client().list_faults().unwrap()[0].held == 1).then_some(())
        });
        mount.clear();
        writer.join().unwrap();
    });
    assert!(begun.elapsed() < Duration::from_secs(50));
}

/// The preset's file, changed, is given by its path: the command line reads it, and what it says travels.
#[test]
fn a_preset_is_shown_changed_and_given_as_a_file() {
    let mount = mount(&[]);
    let shown = stdout_of(slowfs().args(["kinds", "device", "nvme"]));
    assert!(shown.contains("channels = 32"), "{shown}");
    let file = mount.scratch().join("mine.toml");
    fs::write(&file, shown.replace("channels = 32", "channels = 2")).unwrap();
    let ask = |words: &[&str]| {
        let mut command = slowfs();
        command.args(words).args(["--addr", &mount.addr]);
        command
    };
    let file = file.to_str().unwrap();
    stdout_of(&mut ask(&["device", file, "--flush", "7ms"]));
    let listed = mount.client().list_faults().unwrap().remove(0);
    let line = listed.fault.line();
    for told in ["--channels 2", "--flush 7ms", "--cache 256MiB", "--read uniform:70us..100us"] {
        assert!(line.contains(told), "{told}: {line}");
    }
    assert!(!line.contains("toml"), "{line}");
    fs::write(file, "channels = 2\nchanels = 3\n").unwrap();
    for (words, why) in [
        (
            ["device", file],
            "mine.toml: line 2: no figure of a device is called \"chanels\"; did you mean channels?",
        ),
        (["device", "none/of.toml"], "none/of.toml: cannot read it: No such file"),
        (["device", "nvm"], "did you mean nvme?"),
        (["device", "ebs-gp3:0"], "iops: 0: it must be 1 at least"),
        (["device", "nvme:5"], "nvme takes nothing behind its name"),
    ] {
        let output = ask(&words).output().unwrap();
        assert!(text_of(&output).contains(why), "{words:?}: {}", text_of(&output));
    }
    let refused = fault_on(&[]).and("device", "mine.toml");
    let refused = mount.client().put_fault(&refused, false).unwrap_err().to_string();
    assert!(refused.contains("opens no file that a client names"), "{refused}");
}

/// `auto_delay` of charybdefs's calls is that device, beside an errno of the same call; it goes as its
/// faults do.
#[test]
fn auto_delay_is_the_device_of_the_mount() {
    let scratch = super::common::scratch();
    fs::create_dir(scratch.path().join("raw")).unwrap();
    fs::write(scratch.path().join("raw/f"), "x").unwrap();
    let file = scratch.path().join("mine.toml");
    fs::write(&file, "flush = 80ms\nwrite = 90ms\n").unwrap();
    let mount = Mount::over(scratch, &["--auto-delay", file.to_str().unwrap()]);
    let mut client = mount.client();
    let mut set = |methods: &[&str], plain: PlainFault| {
        let methods: Vec<String> = methods.iter().map(|method| (*method).to_owned()).collect();
        client.set_fault(Some(&methods), &plain).unwrap();
    };
    let auto = PlainFault { auto_delay: true, delay_us: 9, ..PlainFault::default() };
    set(&["fsync", "write"], PlainFault { err_nos: vec![5], ..auto.clone() });
    let took = |act: &dyn Fn() -> std::io::Result<()>| {
        let begun = Instant::now();
        (act().err().and_then(|error| error.raw_os_error()), begun.elapsed())
    };
    let open = open(&mount, 0);
    let mut tracing = mount.client();
    tracing.trace_start(&[], "", false).unwrap();
    let (sync, write) = (|| open.sync_all(), || open.write_all_at(b"y", 0));
    let mut traced = Vec::new();
    // The request of that number, once the trace has it.
    let mut is_delayed = |method: &str, n: usize| {
        wait_for("the request in the trace", || {
            traced.extend(all_of(&mut tracing));
            let event = traced.iter().filter(|event: &&TraceEvent| event.method == method).nth(n);
            event.map(|event| event.hits.iter().any(|hit| hit.asked_ns.is_some()))
        })
    };
    for (act, least) in [(&sync as &dyn Fn() -> _, 80), (&write, 90)] {
        let (errno, time) = took(act);
        assert!(errno == Some(super::EIO) && time >= Duration::from_millis(least), "{time:?}");
    }
    assert!(is_delayed("write", 0) && is_delayed("fsync", 0));
    // The next call takes its methods from both.
    set(&["write"], PlainFault::default());
    assert_eq!(took(&write).0, None);
    assert!(!is_delayed("write", 1));
    set(&["fsync"], auto);
    let (errno, time) = took(&sync);
    assert!(errno.is_none() && time >= Duration::from_millis(80), "{time:?}");
    let lines = || mount.client().list_faults().unwrap().iter().map(|l| l.fault.line()).collect();
    let lines: Vec<String> = lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("device ") && lines[0].contains("-m fsync"), "{lines:?}");
    mount.client().clear_fault("fsync").unwrap();
    assert_eq!(took(&sync).0, None);
    assert!(!is_delayed("fsync", 2));
    // Devices of others stay.
    stdout_of(slowfs().args(["device", "--write", "1ms", "-m", "write", "--addr", &mount.addr]));
    mount.client().clear_fault("write").unwrap();
    let left: Vec<_> = mount.client().list_faults().unwrap();
    assert_eq!(left.len(), 1);
    let refused = slowfs().args(["mount", "/none", "--auto-delay", "nvm"]).output().unwrap();
    assert!(text_of(&refused).contains("did you mean nvme?"), "{}", text_of(&refused));
}
