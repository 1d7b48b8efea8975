//! The power goes and comes back at the times of a scenario.

use std::fs;
use std::path::PathBuf;

use super::common::{Mount, errno_of, scratch, text_of};
use super::{begin, run, state};

fn tracking() -> (Mount, PathBuf) {
    let scratch = scratch();
    let images = scratch.path().join("images");
    fs::create_dir(&images).unwrap();
    let options = ["--track-unsynced", "--unsynced-age", "1h", "--images"].map(str::to_owned);
    let options = options.into_iter().chain([images.to_str().unwrap().to_owned()]);
    (Mount::over(scratch, &options.collect::<Vec<_>>()), images)
}

/// What its lines told, in their order.
fn told(mount: &Mount) -> Vec<(i64, String)> {
    let events = mount.client().run_read(0).unwrap().events;
    let steps = events.into_iter().filter(|event| event.what == "step");
    steps.map(|step| (step.line, step.text)).collect()
}

#[test]
fn what_is_cut_at_its_time_is_on_again_at_its_time() {
    let (mount, images) = tracking();
    fs::write(mount.mnt().join("f"), "old").unwrap();
    let output = run(
        &mount,
        "seed 7\n0s checkpoint\n0s power-cut --to one\n10ms power-cut --to two --keep random\n20ms power-cut --now\n\
         30ms power-cut --now --stay-off\n40ms power-on\n50ms power-on\n200ms end",
    );
    assert!(output.status.success(), "{}", text_of(&output));
    let told = told(&mount);
    let seed = told[2].1.rsplit(' ').next().unwrap().to_owned();
    let image = |name: &str| images.join(name).display().to_string();
    let nothing = "0 changes dropped, 0 files with other content";
    let wanted = [
        (2, "2 entries are durable".to_owned()),
        (3, format!("{} keeps none: {nothing}", image("one"))),
        (4, format!("{} keeps random: {nothing}, with seed {seed}", image("two"))),
        (5, format!("the power was cut, keeps none: {nothing}")),
        (6, format!("the power was cut, keeps none: {nothing}; it is off")),
        (7, "the power is on again".to_owned()),
        (8, "the power was on already".to_owned()),
    ];
    assert_eq!(told, wanted);
    assert_eq!(fs::read_to_string(images.join("one/f")).unwrap(), "old");
    assert_eq!(fs::read_to_string(mount.mnt().join("f")).unwrap(), "old");
    let cuts = mount.client().unsynced().unwrap();
    assert_eq!((cuts.cuts, cuts.off), (2, false));
}

/// What was written since the checkpoint is lost by the cut.
#[test]
fn what_was_not_durable_then_is_gone() {
    let (mount, _) = tracking();
    fs::write(mount.mnt().join("f"), "old").unwrap();
    mount.client().checkpoint().unwrap();
    fs::write(mount.mnt().join("f"), "newer").unwrap();
    let output = run(&mount, "0s power-cut --now\n100ms end");
    assert!(output.status.success(), "{}", text_of(&output));
    assert_eq!(fs::read_to_string(mount.raw().join("f")).unwrap(), "old");
}

/// As faults do, that it has set.
#[test]
fn the_power_that_it_has_left_off_is_on_when_it_ends() {
    let (mount, _) = tracking();
    fs::write(mount.mnt().join("f"), "some").unwrap();
    mount.client().checkpoint().unwrap();
    let mut running = begin(&mount, "0s power-cut --now --stay-off\n1h end");
    super::wait_for("the power to go", || mount.client().unsynced().unwrap().off.then_some(()));
    assert_eq!(errno_of(fs::read(mount.mnt().join("f"))), libc::EIO);
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&running.0),
        rustix::process::Signal::INT,
    )
    .unwrap();
    running.wait();
    super::wait_for("its end", || (state(&mut mount.client()) == "ended").then_some(()));
    assert_eq!(fs::read_to_string(mount.mnt().join("f")).unwrap(), "some");
}

#[test]
fn what_cannot_be_is_refused_with_its_line() {
    let plain = Mount::new();
    let text = "0s checkpoint\n1s power-cut --now\n2s power-on\n3s power-cut --to a\n4s end";
    let output = run(&plain, text);
    assert_eq!(output.status.code(), Some(1));
    let told = text_of(&output);
    for line in 1..=4 {
        let why = format!(
            "line {line}: this mount does not remember what is not durable: mount with --track-unsynced"
        );
        assert!(told.contains(&why), "{why}: {told}");
    }
    let (mount, images) = tracking();
    fs::create_dir(images.join("there")).unwrap();
    let refused = |text: &str, code: i32, why: &str| {
        let output = run(&mount, text);
        let told = text_of(&output);
        assert_eq!(output.status.code(), Some(code), "{told}");
        assert!(told.contains(why), "{why}: {told}");
        assert!(mount.client().run_read(0).unwrap().run.is_none());
    };
    refused("0s power-cut --to there\n1s end", 1, "line 1: there is there already");
    refused("0s power-cut --to .a\n1s end", 1, "is no name for an image");
    let twins = "0s power-cut --to a\n1s power-cut --to a\n2s end";
    refused(twins, 2, "disk.scenario:2: line 1 makes an image of that name already");
    let once = "0s delay 1ms -m fsync --name slow\nonce slow fired 3: power-cut --to a\n1s end";
    refused(once, 2, "disk.scenario:2: what is about the power needs a time");
    assert_eq!(fs::read_dir(&images).unwrap().count(), 1);
}
