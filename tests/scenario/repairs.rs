//! Stored bytes rot and are healed at the times of a scenario.

use std::fs;

use slowfs::rpc::RunEvent;

use super::common::{Mount, text_of};
use super::{logged, run};

fn steps(mount: &Mount) -> Vec<RunEvent> {
    let events = mount.client().run_read(0).unwrap().events;
    events.into_iter().filter(|event| event.what == "step").collect()
}

/// What has become of a file by that scenario.
fn after(text: &str) -> (Mount, Vec<u8>) {
    let mount = Mount::new();
    fs::write(mount.raw().join("f"), [b'a'; 8192]).unwrap();
    let output = run(&mount, text);
    assert!(output.status.success(), "{}", text_of(&output));
    let bytes = fs::read(mount.raw().join("f")).unwrap();
    (mount, bytes)
}

#[test]
fn what_rots_at_its_time_is_healed_at_its_time() {
    let (mount, bytes) = after(
        "0s rot zero --spots 4 --seed 1 -r '.*/f'\n200ms heal --all\n200ms delay 1ms -m fsync\n\
         300ms heal --all\n400ms end",
    );
    let steps = steps(&mount);
    let mut told: Vec<_> = steps.iter().map(|step| (step.line, step.text.as_str())).collect();
    told.sort_unstable();
    assert_eq!(told[0], (1, "4 spots in 1 file rotted, with seed 1"));
    assert_eq!((told[1], told[3]), ((2, "4 healed"), (4, "nothing to heal")));
    assert!(steps.iter().all(|step| step.at_ns >= step.planned_ns.unwrap()), "{steps:?}");
    let run = mount.client().run_read(0).unwrap().run.unwrap();
    assert_eq!((run.done, run.steps, run.failed), (4, 4, false));
    assert_eq!(bytes, [b'a'; 8192]);
    let injections = mount.client().injections(0, 10).unwrap().injections;
    assert_eq!(injections.len(), 4);
    assert!(injections.iter().all(|one| one.state == "healed" && one.kind == "rot"));
}

#[test]
fn what_rots_is_drawn_by_the_seed_of_the_scenario_and_stays() {
    let rot = "0s rot zero -r '.*/f'";
    let (_, once) = after(&format!("seed 7\n{rot}\n100ms end"));
    let (_, again) = after(&format!("seed 7\n{rot}\n100ms end"));
    assert_eq!(once, again);
    let (mount, twice) = after(&format!("seed 7\n{rot}\n{rot}\n100ms end"));
    let zeros = |bytes: &[u8]| bytes.iter().filter(|byte| **byte == 0).count();
    assert_eq!((zeros(&once), zeros(&twice)), (512, 1024), "each has draws of its own");
    assert!(twice.iter().zip(&once).all(|(twice, once)| *twice <= *once));
    let injections = mount.client().injections(0, 10).unwrap().injections;
    assert!(injections.iter().all(|one| one.state == "standing"), "{injections:?}");
}

#[test]
fn what_cannot_be_a_step_is_refused_with_its_line() {
    let mount = Mount::new();
    let output = run(
        &mount,
        "0s delay 1ms -m fsync --name slow\nonce slow fired 1: heal --all\n1s heal 1\n2s rot\n\
         3s rot stale -r x\n4s delay 1ms -m read\n4s rot -r x\n4s clear read\n5s end",
    );
    assert_eq!(output.status.code(), Some(2));
    let told = text_of(&output);
    for why in [
        "disk.scenario:2: heal and rot need a time: they take as long as the backing does",
        "disk.scenario:3: what is injected has no number yet: write heal --all",
        "disk.scenario:4: name the files by -r or --glob",
        "disk.scenario:5: how: write flip, flip:BITS, zero or random",
        "disk.scenario:8: it takes away what line 6 of the same time sets",
    ] {
        assert!(told.contains(why), "{why}: {told}");
    }
    assert!(!told.contains("scenario:7") && told.lines().count() == 5, "{told}");
}

#[test]
fn what_is_not_done_by_the_end_is_cut_short_and_makes_no_step_late() {
    let mount = Mount::new();
    // 100 GiB of holes.
    fs::File::create(mount.raw().join("f")).unwrap().set_len(100 << 30).unwrap();
    let text = "0s rot random --spots 100000 --unit 1MiB -r '.*/f'\n20ms clear\n60ms end";
    let output = run(&mount, text);
    let told = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("line 1 was not done by the end"), "{told}");
    assert_eq!(steps(&mount).iter().map(|step| step.line).collect::<Vec<_>>(), [2]);
    logged(&mount, "line 1 was cut short by the end: ");
    let spoilt = mount.client().injections(0, 1).unwrap().all;
    assert!(spoilt < 1000, "{spoilt} MiB");
}
