//! Who goes back to a moment finds what was there then: the image that was built at that moment.

use proptest::test_runner::{Config, TestRunner};

use super::model::Model;
use super::oracle::{self, Step};
use super::*;

const ALL: [Act; 9] = [
    Act::Fsync,
    Act::Fdatasync,
    Act::Fsyncdir,
    Act::Rename,
    Act::Create,
    Act::Link,
    Act::Unlink,
    Act::Write,
    Act::Truncate,
];

/// One whose moments can be gone back to.
fn world(order: Order, before: &[Act]) -> World {
    let World { tree, unsynced, backing, images, cuts, open, _dir } = World::new(order);
    let unsynced = unsynced.noting(Noting { before: before.to_vec(), output: None });
    World { tree, unsynced, backing, images, cuts, open, _dir }
}

fn noted(world: &World) -> Vec<(Moment, Option<Gap>)> {
    world.unsynced.moments(0, usize::MAX)
}

fn choices(seed: u64) -> [Choice; 4] {
    let keeping = [Keeping::None, Keeping::All, Keeping::Random, Keeping::Prefix(seed % 7)];
    keeping.map(|keeping| Choice { keeping, unit: Unit::Sector, seed })
}

fn run(order: Order, steps: &[Step]) -> Result<(), String> {
    let (mut world, mut model) = (world(order, &ALL), Model::new());
    let mut then = Vec::new();
    // Where a sync is lost the way back ends.
    let ends = |step: &&Step| matches!(step, Step::LostSync(..) | Step::LostWrite(..));
    let steps = steps.iter().filter(|step| !ends(step));
    for (n, step) in oracle::BEFORE.iter().chain(steps).enumerate() {
        let (moment, seq) = (noted(&world).len() + 1, world.unsynced.log.lock().seq());
        let images = choices(n as u64).map(|choice| (choice, world.cut_at(None, choice)));
        let _ = oracle::apply(&mut world, &mut model, n, step);
        // Of a step that comes to several requests the first may have no moment of its own.
        if noted(&world).get(moment - 1).is_some_and(|(first, _)| first.seq == seq) {
            then.push((moment, step.clone(), images));
        }
    }
    world.let_go();
    for (moment, step, images) in then {
        for (choice, image) in images {
            let back = world.cut_at(Some(moment), choice);
            if back != image {
                let other = |path: &&String| back.get(*path) != image.get(*path);
                let others: Vec<_> = image.keys().chain(back.keys()).filter(other).collect();
                return Err(format!("before {step:?} {choice:?}: {others:?} are others"));
            }
        }
    }
    Ok(())
}

#[test]
fn each_moment_is_found_as_it_was() {
    let long = std::env::var("SLOWFS_TESTS").is_ok_and(|how| how == "long");
    let (cases, most) = if long { (2_000, 30) } else { (25, 15) };
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let steps = proptest::collection::vec(oracle::step(), 1..=most);
    let ran = TestRunner::new(config).run(&steps, |steps| {
        let of = |order| run(order, &steps);
        let ran = of(Order::Linux).and_then(|()| of(Order::Posix));
        ran.map_err(proptest::test_runner::TestCaseError::fail)
    });
    ran.unwrap_or_else(|failed| panic!("{failed}"));
}

#[test]
fn only_what_is_asked_for_is_noted_and_nothing_twice() {
    let world = world(Order::Linux, &[Act::Rename, Act::Fsync]);
    world.create("a").unwrap();
    world.write("a", 0, b"some").unwrap();
    for _ in 0..3 {
        world.fsync("a").unwrap();
    }
    world.chmod("a", 0o600).unwrap();
    world.rename("a", "b", 0).unwrap();
    let path = |name: &str| world.backing.join(name);
    let noted = noted(&world);
    let told = noted.iter().map(|(moment, _)| (moment.act, moment.path.clone(), moment.to.clone()));
    // Before the second sync the first had made something durable; before the third nothing had changed.
    let fsync = || (Act::Fsync, path("a"), None);
    let rename = (Act::Rename, path("a"), Some(path("b")));
    assert_eq!(told.collect::<Vec<_>>(), [fsync(), fsync(), rename]);
}

#[test]
fn beyond_what_is_lost_nobody_goes_back() {
    let mut world = world(Order::Linux, &[Act::Fsync]);
    world.create("f").unwrap();
    world.fsync("f").unwrap();
    world.truncate("f", BULK + 2).unwrap();
    world.truncate("f", 0).unwrap();
    world.write("f", 0, b"new").unwrap();
    world.fsync("f").unwrap();
    let gaps: Vec<_> = noted(&world).into_iter().map(|(_, gap)| gap).collect();
    assert_eq!(gaps, [Some(Gap::Bulk), None]);
    let choice = Choice { keeping: Keeping::All, unit: Unit::Sector, seed: 0 };
    let refused = world.unsynced.cut(&world.tree, Some(1), ("one", None), choice);
    assert!(matches!(refused, Err(NoImage::Moment(1, NoWayBack::Beyond(Gap::Bulk)))));
    assert_eq!(world.cut_at(Some(2), choice)["f"].data, b"new");
    for none in [0, 3] {
        let refused = world.unsynced.cut(&world.tree, Some(none), ("none", None), choice);
        assert!(matches!(refused, Err(NoImage::Moment(_, NoWayBack::NoMoment))));
    }
}

#[test]
fn beyond_a_sync_that_was_lost_nobody_goes_back() {
    let world = world(Order::Linux, &[Act::Fsync]);
    world.create("f").unwrap();
    world.write("f", 0, b"one").unwrap();
    world.fsync("f").unwrap();
    world.write("f", 0, b"two").unwrap();
    world.lost_sync("f", true).unwrap();
    world.write("f", 4096, b"three").unwrap();
    let gaps = || noted(&world).into_iter().map(|(_, gap)| gap).collect::<Vec<_>>();
    assert_eq!(gaps(), [Some(Gap::Lost)]);
    // What is lost may be stored after all, with its page: nor beyond that.
    world.fsync("f").unwrap();
    assert_eq!(gaps(), [Some(Gap::Lost), Some(Gap::Lost)]);
}

/// It comes in two requests, and the power may go between them.
#[test]
fn a_write_that_syncs_itself_is_not_durable_before_its_sync() {
    let mut world = world(Order::Linux, &[Act::Fdatasync]);
    world.create("f").unwrap();
    world.write("f", 0, &[b'a'; 512]).unwrap();
    world.fsync("f").unwrap();
    world.write_synced("f", 0, &[b'b'; 512]).unwrap();
    let none = Choice { keeping: Keeping::None, unit: Unit::Sector, seed: 0 };
    assert_eq!(world.cut_at(Some(1), none)["f"].data, [b'a'; 512]);
    assert_eq!(world.cut_at(None, none)["f"].data, [b'b'; 512]);
}

/// Each moment is told what came after it, not what came later.
#[test]
fn why_nobody_goes_back_is_told_as_it_was() {
    let world = world(Order::Linux, &[Act::Fsync]);
    world.create("f").unwrap();
    world.write("f", 0, b"one").unwrap();
    world.fsync("f").unwrap();
    world.write("f", 0, b"two").unwrap();
    fs::write(world.backing.join("f"), "another's").unwrap();
    world.write("f", 0, b"three").unwrap();
    world.fsync("f").unwrap();
    world.write("f", 0, b"four").unwrap();
    world.lost_sync("f", true).unwrap();
    let gaps: Vec<_> = noted(&world).into_iter().map(|(_, gap)| gap).collect();
    assert_eq!(gaps, [Some(Gap::Foreign), Some(Gap::Lost)]);
}
