//! What a delay asks, by the trace of a real mount, against the same computed in Python
//! (`tests/kinds/draws.py`) from seed, fault and the number of the match alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::FileExt;
use std::process::{Command, Stdio};
use std::thread;

use serde_json::{Value, json};
use slowfs::rpc::{Client, TraceEvent};

use super::common::trace::drain;
use super::common::{Mount, fault_on, slowfs, stdout_of};

const SEED: u64 = 7;
const THREADS: usize = 4;

/// Of writes of 1 to 8 bytes, told apart at 4.
const RECORDED: &str = "recorded:read:0=1ms,100=1ms;fsync+write.2:0=1us,50=3us,100=20us;\
                        write.8:0=30us,100=90us";

/// What a fault asked of one write: the number of the match, how long, of how many bytes, and how long
/// the backing took.
type Asked = (i64, i64, i64, i64);

/// So many writes of each of four threads, and what was asked of those that were hit.
fn asked(mount: &Mount, client: &mut Client, writes: usize) -> Vec<Asked> {
    client.trace_start(&["write".to_owned()], "", true).unwrap();
    thread::scope(|scope| {
        for n in 0..THREADS {
            let file = File::create(mount.mnt().join(format!("file{n}"))).unwrap();
            let write = move |k: usize| file.write_all_at(&b"xxxxxxxx"[..1 + k % 8], 0).unwrap();
            scope.spawn(move || (0..writes).for_each(write));
        }
    });
    let (events, dropped) = drain(client);
    assert_eq!(dropped, 0);
    let told = |event: &TraceEvent| {
        let [hit] = &event.hits[..] else { panic!("{event:?}") };
        let due = hit.due_ns.unwrap();
        assert!(event.done_ns >= due, "none is early: {event:?}");
        (hit.n, hit.asked_ns.unwrap(), event.len.unwrap(), event.backing_ns.unwrap())
    };
    let asked: Vec<_> = events.iter().map(told).collect();
    let numbers: BTreeSet<_> = asked.iter().map(|(n, ..)| n).collect();
    assert_eq!(numbers.len(), asked.len(), "each match once");
    asked
}

fn mount() -> Mount {
    Mount::with(&["--seed", &SEED.to_string()])
}

/// What Python has to say of these.
fn judged(faults: &[Value]) -> String {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/kinds/draws.py");
    let mut python = Command::new("python3");
    let mut python =
        python.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let told = json!({ "seed": SEED, "faults": faults }).to_string();
    python.stdin.take().unwrap().write_all(told.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "python3 failed");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn what_a_delay_asks_is_what_anybody_computes() {
    const WRITES: usize = 500;
    let mount = mount();
    let mut client = mount.client();
    let rows: String =
        (0..1_000).map(|n| format!("write,1,{}\nread,1,9\n", n * n % 7_773)).collect();
    let measured = mount.scratch().join("measured.csv");
    fs::write(&measured, format!("method,len,latency_ns\n{rows}")).unwrap();
    let file = format!("file:{}", measured.display());
    let lengths = [
        ("5us", "0ns", "before"),
        ("uniform:1us..9us", "0ns", "after"),
        ("exp:3us", "0ns", "before"),
        ("normal:5us,4us", "100ns", "before"),
        ("lognormal:p50=2us,p99=30us", "0ns", "before"),
        ("pareto:1us,1.5", "100ns", "after"),
        ("pareto:1us,0.5,max=300us", "0ns", "before"),
        ("table:0=1us,50=3us,99=30us,100=200us", "0ns", "before"),
        (&*file, "0ns", "before"),
        (RECORDED, "100ns", "before"),
        ("x3", "0ns", "after"),
        ("x1.5,max=20us", "500ns", "after"),
    ];
    let mut faults = Vec::new();
    for (place, (length, per_byte, when)) in lengths.into_iter().enumerate() {
        mount.clear();
        // By id, and by name: the key is another then.
        let name = format!("drawn{place}");
        let named: &[&str] = if place % 2 == 0 { &["--name", &name] } else { &[] };
        let mut set = slowfs();
        set.args(["delay", length, "--per-byte", per_byte, "--when", when, "-m", "write"]);
        stdout_of(set.args(["--addr", &mount.addr]).args(named));
        let id = client.list_faults().unwrap()[0].id;
        let hits = asked(&mount, &mut client, WRITES);
        assert_eq!(hits.len(), THREADS * WRITES, "{length}");
        let key = if named.is_empty() { json!(id) } else { json!(name) };
        faults.push(json!({ "length": length, "per_byte": per_byte, "key": key, "hits": hits }));
    }
    let told = judged(&faults);
    assert_eq!(told.trim(), format!("looked at {}", lengths.len() * THREADS * WRITES));
}

/// The chance of firing has a sequence of its own: what is asked of a match stays the same.
#[test]
fn how_often_a_delay_fires_does_not_shift_what_it_asks() {
    let mount = mount();
    let mut client = mount.client();
    let delay = || {
        let mut delay = fault_on(&["write"]).and("delay", "exp:3us");
        delay.name = Some("drawn".into());
        delay
    };
    mount.add(&delay());
    let all = asked(&mount, &mut client, 300);
    let all: BTreeMap<_, _> = all.into_iter().map(|(n, ns, ..)| (n, ns)).collect();
    mount.clear();
    mount.add(&delay().with("probability", "30%"));
    let some = asked(&mount, &mut client, 300);
    assert!((240..480).contains(&some.len()), "{} of 1,200 fired", some.len());
    for (n, ns, ..) in some {
        assert_eq!(all[&n], ns, "match {n}");
    }
}
