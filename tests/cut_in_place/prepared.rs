//! A cut is prepared on every mount before it is made on any. Until then all can go on as if nothing had been.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use slowfs::rpc::{ClientError, CutNow};

use super::common::{Mount, delaying, stdout_of, text_of, wait_for};
use super::{LONG, control, open, tracking};

/// Else a client that is told of another mount that cannot be cut had all wait for ever.
#[test]
fn what_waits_for_a_cut_that_is_not_made_goes_on() {
    let (mount, _) = tracking(&[]);
    let mut client = mount.client();
    let stays = Duration::from_millis(300);
    let begun = Instant::now();
    let ticket = client.power_prepare(stays).unwrap();
    fs::create_dir(mount.mnt().join("one")).unwrap();
    assert!(begun.elapsed() >= stays);
    let late = client.power_commit(&CutNow { ticket, ..CutNow::default() });
    assert!(matches!(late, Err(ClientError::Refused { .. })), "{late:?}");
    // By its counts it is known how far an operation has come: it asks for power once this lets it go.
    let id = mount.add(&delaying(&["fsync"], Duration::from_millis(1)));
    let file = open(&mount.mnt().join("f"), 0);
    let ticket = client.power_prepare(LONG).unwrap();
    thread::scope(|scope| {
        let waiting = scope.spawn(|| file.sync_all());
        wait_for("the operation to be let go", || {
            let fault = mount.listed(id);
            (fault.fired == 1 && fault.held == 0).then_some(())
        });
        let other = mount.client().power_prepare(LONG).unwrap_err().to_string();
        assert!(other.contains("another power cut is under way"), "{other}");
        assert!(!waiting.is_finished());
        assert!(client.power_abort(ticket).unwrap() && !client.power_abort(ticket).unwrap());
        waiting.join().unwrap().unwrap();
    });
    assert_eq!(fs::read_dir(mount.raw()).unwrap().count(), 2);
    file.sync_all().unwrap();
}

/// What it has prepared nobody makes.
#[test]
fn a_client_that_dies_has_nobody_wait() {
    let (mount, _) = tracking(&[]);
    let mut client = mount.client();
    client.power_prepare(LONG).unwrap();
    let begun = Instant::now();
    drop(client);
    fs::create_dir(mount.mnt().join("d")).unwrap();
    assert!(begun.elapsed() < LONG / 2, "{:?}", begun.elapsed());
    mount.wait_until_logged("who has prepared a power cut is gone: requests go on");
    // Another one can be prepared, and one that is lost later ends no cut but its own.
    let mut first = mount.client();
    let ticket = first.power_prepare(LONG).unwrap();
    first.power_abort(ticket).unwrap();
    let mut second = mount.client();
    let ticket = second.power_prepare(LONG).unwrap();
    drop(first);
    mount.client().list_methods().unwrap();
    second.power_commit(&CutNow { ticket, ..CutNow::default() }).unwrap();
}

#[test]
fn whether_the_power_is_on_is_told_as_it_is() {
    let (mount, _) = tracking(&[]);
    let mut client = mount.client();
    let told = |words: &[&str]| text_of(&control(words, &[&mount]).output().unwrap());
    let ticket = client.power_prepare(LONG).unwrap();
    let on = control(&["power-on"], &[&mount]).output().unwrap();
    assert_eq!(on.status.code(), Some(1));
    assert!(text_of(&on).contains("another power cut is under way"), "{}", text_of(&on));
    assert_eq!(
        told(&["clear"]),
        "no fault was set; another power cut is under way: wait until it is over\n"
    );
    let off = CutNow { ticket, stay_off: true, ..CutNow::default() };
    assert!(client.power_commit(&off).unwrap().off);
    assert_eq!(told(&["clear"]), "no fault was set; the power is on again\n");
    assert_eq!(told(&["clear"]), "no fault was set\n");
    assert_eq!(told(&["power-on"]), "the power was on already\n");
}

#[test]
fn of_several_mounts_all_are_cut_or_none() {
    let mounts = [tracking(&[]).0, tracking(&[]).0];
    let plain = Mount::new();
    let write = |n: usize| {
        for mount in &mounts {
            fs::write(mount.mnt().join(format!("f{n}")), "some").unwrap();
        }
    };
    write(1);
    let [one, two] = &mounts;
    let refused = control(&["power-cut", "--now"], &[one, &plain, two]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let text = text_of(&refused);
    assert!(text.contains("mount with --track-unsynced"), "{text}");
    assert_eq!(text.matches("not cut, as another mount cannot be").count(), 2, "{text}");
    write(2);
    for mount in &mounts {
        assert_eq!(fs::read_dir(mount.raw()).unwrap().count(), 2);
    }
    let done = stdout_of(&mut control(&["power-cut", "--now", "--json"], &[one, two]));
    let lost: Vec<Value> = done.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((lost.len(), &lost[0]["dropped"], &lost[1]["cuts"]), (2, &2.into(), &1.into()));
    for mount in &mounts {
        assert_eq!(fs::read_dir(mount.raw()).unwrap().count(), 0);
    }
}

/// Two cuts that wait for each other: each has prepared one mount, and finds the other prepared.
#[test]
fn cuts_that_cross_are_refused_and_say_so() {
    let mounts = [tracking(&[]).0, tracking(&[]).0];
    let [one, two] = &mounts;
    let mut client = two.client();
    let ticket = client.power_prepare(LONG).unwrap();
    let refused = control(&["power-cut", "--now"], &[one, two]).output().unwrap();
    let text = text_of(&refused);
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("another power cut is under way: wait until it is over"), "{text}");
    assert!(text.contains("not cut, as another mount cannot be"), "{text}");
    fs::create_dir(one.mnt().join("d")).unwrap();
    client.power_commit(&CutNow { ticket, ..CutNow::default() }).unwrap();
    assert_eq!(one.client().unsynced().unwrap().cuts, 0);
}

/// The second would be told that another cut is under way, which is its own.
#[test]
fn a_mount_that_is_named_twice_is_refused_before_anything() {
    let (mount, _) = tracking(&[]);
    let addr = &mount.addr;
    let told = |words: &[&str]| {
        let output =
            control(&[&["power-cut", "--now"], words].concat(), &[&mount]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        text_of(&output)
    };
    let again = told(&["--addr", addr]);
    assert_eq!(
        again,
        format!("slowfs: {addr} is named twice: name each mount once; nothing is cut\n")
    );
    let socket = mount.client().info().unwrap().socket.unwrap().0;
    let other = told(&["--addr", socket.to_str().unwrap()]);
    assert!(
        other.contains(&format!("are one mount, {}: name each once", mount.mnt().display())),
        "{other}"
    );
    assert_eq!(mount.client().unsynced().unwrap().cuts, 0);
    assert!(!mount.log_text().contains("power_prepare"), "{}", mount.log_text());
}

/// One that answers nobody costs its own time, and no request of the others.
#[test]
fn beside_a_mount_that_does_not_answer_none_is_cut_and_none_waits() {
    let mounts = [tracking(&[]).0, tracking(&[]).0];
    let [one, two] = &mounts;
    two.signal(Signal::STOP);
    let cutting = control(&["power-cut", "--now"], &[one, two]).output();
    two.signal(Signal::CONT);
    let cutting = cutting.unwrap();
    let text = text_of(&cutting);
    assert_eq!(cutting.status.code(), Some(1), "{text}");
    assert!(text.contains("not cut, as another mount cannot be"), "{text}");
    assert!(text.contains("nothing came within 5s"), "{text}");
    assert!(!one.log_text().contains("power_prepare"), "{}", one.log_text());
    fs::create_dir(one.mnt().join("d")).unwrap();
}
