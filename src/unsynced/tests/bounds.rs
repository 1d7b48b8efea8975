//! What remembering and building images take, and what is left where an image cannot be built.

use std::sync::mpsc;
use std::thread;

use super::*;

/// Runs on another thread: what would take for ever fails.
fn ends(run: impl FnOnce() + Send + 'static) {
    let (done, ended) = mpsc::channel();
    thread::spawn(move || {
        run();
        done.send(()).unwrap();
    });
    ended.recv_timeout(Duration::from_secs(120)).expect("it does not end");
}

/// There are more ways from the last of such changes to the first than could ever be gone.
#[test]
fn a_sync_ends_however_changes_of_names_and_attributes_alternate() {
    ends(|| {
        let world = World::new(Order::Linux);
        world.create("f").unwrap();
        world.unsynced.checkpoint(&world.tree);
        for n in 0..100 {
            world.chmod("f", if n % 2 == 0 { 0o600 } else { 0o644 }).unwrap();
            world.link("f", &format!("g{n}")).unwrap();
        }
        world.fdatasync("f").unwrap();
        assert_eq!(world.unsynced.pending(&world.tree).entries, 200);
    });
}

/// What was written has as many units as could ever be counted one by one.
#[test]
fn an_image_takes_as_long_as_there_are_changes_however_much_they_cover() {
    ends(|| {
        let mut world = World::new(Order::Linux);
        world.create("f").unwrap();
        world.unsynced.checkpoint(&world.tree);
        let huge = 1 << 40;
        world
            .opened("f", |ino, fh| {
                let about = About::Write { file: (ino, fh), at: 0, len: huge, owes: None };
                let grow =
                    || fs::File::options().write(true).open(world.backing.join("f"))?.set_len(huge);
                world.change(&about, grow)
            })
            .unwrap();
        for keeping in [Keeping::None, Keeping::Prefix(0)] {
            assert_eq!(world.left(keeping), [("f".to_owned(), "0  ".to_owned())]);
        }
    });
}

#[test]
fn names_and_attributes_count_against_the_maximum() {
    let world = World::new(Order::Linux);
    let bytes = || world.unsynced.pending(&world.tree).bytes;
    let before = bytes();
    world.create(&"n".repeat(200)).unwrap();
    assert!(bytes() >= before + 600);
    world.create("f").unwrap();
    world.set_xattr("f", Some(&[b'x'; 3000])).unwrap();
    let before = bytes();
    world.set_xattr("f", None).unwrap();
    assert!(bytes() >= before + 3000);
    world.unsynced.checkpoint(&world.tree);
    assert_eq!(bytes(), 0);
}

#[test]
fn what_is_durable_does_not_stay_in_the_queue() {
    let world = World::new(Order::Linux);
    world.create("old").unwrap();
    world.create("f").unwrap();
    world
        .opened("f", |ino, fh| {
            for _ in 0..5000 {
                world.write_by((ino, fh), 0, b"some", false)?;
                world.sync_by((ino, fh), SyncOf::File { datasync: true })?;
            }
            Ok(())
        })
        .unwrap();
    let queued = world.unsynced.log.lock().queue.len();
    assert!(queued <= 2048, "{queued}");
    // And what is not stays.
    assert_eq!(world.unsynced.checkpoint(&world.tree), 1);
}

/// Else the name were refused from then on.
#[test]
fn an_image_that_cannot_get_its_name_leaves_nothing() {
    let mut world = World::new(Order::Linux);
    world.create("f").unwrap();
    let choice = Choice { keeping: Keeping::None, unit: Unit::Sector, seed: 0 };
    let told = world.unsynced.cut(&world.tree, None, ("one", None), choice).unwrap();
    let images = world.unsynced.limits.images.take().unwrap();
    let beside = Beside::make(&images, "two").unwrap();
    fs::create_dir(world.images.join("two")).unwrap();
    let refused = beside.finish("two", "two.json", &told).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::AlreadyExists);
    let mut left: Vec<_> =
        fs::read_dir(&world.images).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["one", "one.json", "two"]);
}

/// It is told before anything waits, and an image that shares its data takes no copying.
#[test]
fn an_image_that_would_take_too_long_is_refused() {
    let world = World::new(Order::Linux);
    world.create("f").unwrap();
    world.write("f", 0, &vec![b'x'; 3 << 20]).unwrap();
    world.link("f", "g").unwrap();
    let choice = Choice { keeping: Keeping::None, unit: Unit::Sector, seed: 0 };
    let refused =
        world.unsynced.cut(&world.tree, None, ("one", Some(Duration::from_nanos(1))), choice);
    let refused = refused.unwrap_err().to_string();
    assert!(
        refused.starts_with("the image would be of 2 entries and 3 MiB to be copied, some "),
        "{refused}"
    );
    assert_eq!(fs::read_dir(&world.images).unwrap().count(), 0);
    world.unsynced.cut(&world.tree, None, ("one", Some(Duration::from_secs(600))), choice).unwrap();
}
