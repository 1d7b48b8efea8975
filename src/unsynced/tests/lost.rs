//! Syncs that fail or lie: what they were to store, and who learns of it.

use super::*;

const SYNC: SyncOf = SyncOf::File { datasync: false };

/// A file of two pages, all durable but what was written to its begin.
fn world() -> World {
    let world = World::new(Order::Linux);
    world.create("f").unwrap();
    world.write("f", 0, &[b'o'; 8192]).unwrap();
    world.unsynced.checkpoint(&world.tree);
    world.write("f", 0, &[b'n'; 600]).unwrap();
    world
}

/// The bytes at these places of what is left if only what is durable is, and if everything is.
fn left(world: &mut World) -> [String; 2] {
    [Keeping::None, Keeping::All].map(|keeping| {
        let data = &world.cut(keeping, 512, 0)["f"].data;
        [0, 1024, 4096].iter().map(|at| char::from(data[*at])).collect()
    })
}

fn lost(world: &World) -> u64 {
    world.unsynced.pending(&world.tree).files.iter().map(|file| file.lost).sum()
}

fn errno(synced: io::Result<()>) -> Option<i32> {
    synced.err().and_then(|error| error.raw_os_error())
}

#[test]
fn what_a_failed_sync_loses_is_not_stored_by_the_next() {
    let mut world = world();
    world.lost_sync("f", true).unwrap();
    assert_eq!(lost(&world), 600);
    world.fsync("f").unwrap();
    assert_eq!(left(&mut world), ["ooo", "ooo"]);
    assert_eq!(fs::read(world.backing.join("f")).unwrap()[..600], [b'n'; 600]);
    assert_eq!((lost(&world), world.unsynced.pending(&world.tree).entries), (600, 0));
    // Another page does not bring it back.
    world.write("f", 4096, b"n").unwrap();
    world.fsync("f").unwrap();
    assert_eq!(left(&mut world), ["oon", "oon"]);
}

#[test]
fn what_is_written_again_is_stored_with_the_rest_of_its_page() {
    let mut world = world();
    world.lost_sync("f", true).unwrap();
    world.write("f", 1024, b"n").unwrap();
    assert_eq!(left(&mut world), ["ooo", "nno"]);
    world.fsync("f").unwrap();
    assert_eq!(left(&mut world), ["nno", "nno"]);
    assert_eq!(lost(&world), 0);
    assert!(world.unsynced.log.lock().files.is_empty());
}

#[test]
fn a_write_that_syncs_itself_loses_its_own_pages_only() {
    let mut world = world();
    world.write_lost("f", 4096, b"n").unwrap();
    assert_eq!(lost(&world), 1);
    world.fsync("f").unwrap();
    assert_eq!(left(&mut world), ["noo", "noo"]);
}

/// It has its size from the journal, and zeros where the data never came.
#[test]
fn a_file_that_has_grown_has_zeros_where_it_was_lost() {
    let mut world = World::new(Order::Linux);
    world.create("f").unwrap();
    world.append("f", &[b'n'; 5000]).unwrap();
    world.lost_sync("f", true).unwrap();
    assert_eq!(world.left(Keeping::None), []);
    world.fsync("f").unwrap();
    assert!(world.cut(Keeping::None, 512, 0)["f"].data == [0; 5000]);
}

#[test]
fn a_truncation_takes_what_was_lost_along() {
    let mut world = world();
    world.lost_sync("f", false).unwrap();
    world.truncate("f", 0).unwrap();
    world.write("f", 4096, b"n").unwrap();
    world.fsync("f").unwrap();
    assert!(world.cut(Keeping::None, 512, 0)["f"].data[..4096] == [0; 4096]);
    assert_eq!(lost(&world), 0);
}

/// A page comes along only with what was written into it.
#[test]
fn what_writes_nothing_brings_nothing_along() {
    let mut world = world();
    world.create("empty").unwrap();
    world.fsync("empty").unwrap();
    world.lost_sync("f", false).unwrap();
    let overlapping = world.copy("f", "f", 600).unwrap_err();
    assert_eq!(overlapping.raw_os_error(), Some(libc::EINVAL));
    world.copy("empty", "f", 600).unwrap();
    assert_eq!(left(&mut world), ["ooo", "ooo"]);
    assert_eq!(world.unsynced.pending(&world.tree).entries, 0);
}

#[test]
fn each_that_is_open_learns_once_that_a_sync_has_failed() {
    let mut world = world();
    world
        .at("f", |ino| {
            let (one, other) = (world.open_file(ino)?, world.open_file(ino)?);
            world.lose_by((ino, one), true);
            let later = world.open_file(ino)?;
            let sync = |fh| errno(world.sync_by((ino, fh), SYNC));
            assert_eq!(sync(later), None, "one has learnt it before it was opened");
            assert_eq!([sync(one), sync(one)], [None, None], "it was told when it failed");
            world.write_by((ino, one), 0, &[b'n'; 600], false)?;
            assert_eq!(sync(other), Some(libc::EIO));
            assert_eq!(world.unsynced.pending(&world.tree).entries, 1, "nothing is durable by it");
            assert_eq!([sync(other), sync(other)], [None, None]);
            for fh in [one, other, later] {
                world.close((ino, fh))?;
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(left(&mut world), ["noo", "noo"], "it was written again");
    assert!(world.unsynced.log.lock().files.is_empty());
}

/// Whoever asked is killed before the answer, and has nothing open any more.
#[test]
fn where_nobody_has_learnt_it_who_opens_the_file_next_does() {
    let world = world();
    world
        .opened("f", |ino, fh| {
            world.lose_by((ino, fh), true);
            world.unsynced.told_nobody(&world.tree, ino, fh);
            Ok(())
        })
        .unwrap();
    let sync = || errno(world.fsync("f"));
    assert_eq!([sync(), sync()], [Some(libc::EIO), None]);
}

#[test]
fn a_sync_that_lies_is_made_up_for_by_one_that_does_not() {
    let mut world = world();
    world.lying_sync("f").unwrap();
    assert_eq!(left(&mut world), ["ooo", "noo"]);
    world.fsync("f").unwrap();
    assert_eq!(left(&mut world), ["noo", "noo"]);
}

/// What is behind it and durable by now is not taken for something that is not.
#[test]
fn beside_what_is_lost_the_queue_stays_as_short() {
    let mut world = world();
    world.lost_sync("f", false).unwrap();
    world
        .opened("f", |ino, fh| {
            for _ in 0..3000 {
                world.write_by((ino, fh), 4096, b"n", false)?;
                world.sync_by((ino, fh), SYNC)?;
            }
            Ok(())
        })
        .unwrap();
    let queued = world.unsynced.log.lock().queue.len();
    assert!(queued <= 2048, "{queued}");
    world.unsynced.limits.age = Duration::ZERO;
    assert_eq!(left(&mut world), ["oon", "oon"]);
    assert_eq!(world.unsynced.pending(&world.tree).written_back, 0);
}

/// It is clean by then: nothing is left to be written back.
#[test]
fn what_is_lost_does_not_become_durable_with_time() {
    let mut world = world();
    world.lost_sync("f", false).unwrap();
    world.write("f", 4096, b"n").unwrap();
    world.unsynced.limits.age = Duration::ZERO;
    assert_eq!(left(&mut world), ["oon", "oon"]);
}

#[test]
fn what_is_lost_is_remembered_within_the_maximum_and_not_of_what_is_gone() {
    let mut world = world();
    world.lost_sync("f", false).unwrap();
    let bytes = || world.unsynced.pending(&world.tree).bytes;
    assert!(bytes() >= 600);
    world.remove("f", false).unwrap();
    world.fsync_dir("").unwrap();
    assert_eq!(bytes(), 0);
    world.create("f").unwrap();
    world.write("f", 0, &[b'o'; 8192]).unwrap();
    world.unsynced.checkpoint(&world.tree);
    world.write("f", 0, &[b'n'; 600]).unwrap();
    world.lost_sync("f", false).unwrap();
    world.unsynced.limits.most = 100;
    assert_eq!(left(&mut world), ["noo", "noo"]);
    assert_eq!(world.unsynced.pending(&world.tree).bytes, 0);
}
