//! What the oracle does not reach: bounds, others, images that cannot be, two who write at once.

use std::sync::Barrier;
use std::thread;

use super::*;

fn bytes(world: &mut World, keeping: Keeping) -> Vec<u8> {
    world.cut(keeping, 512, 0)["f"].data.clone()
}

fn durable_file(world: &World, len: usize) {
    world.create("f").unwrap();
    world.write("f", 0, &vec![b'o'; len]).unwrap();
    world.unsynced.checkpoint(&world.tree);
}

#[test]
fn under_posix_a_new_file_takes_its_directory_to_be_durable() {
    let mut world = World::new(Order::Posix);
    world.create("f").unwrap();
    world.write("f", 0, b"new").unwrap();
    world.fsync("f").unwrap();
    assert_eq!(world.left(Keeping::None), []);
    world.fsync_dir("").unwrap();
    assert_eq!(world.left(Keeping::None), [("f".to_owned(), "3 n".to_owned())]);
}

#[test]
fn under_posix_changes_have_no_order() {
    let mut world = World::new(Order::Posix);
    world.create("a").unwrap();
    world.create("b").unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..100 {
        let items = world.cut(Keeping::Random, 512, seed);
        seen.insert((items.contains_key("a"), items.contains_key("b")));
    }
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[test]
fn what_is_old_counts_as_written_back() {
    let mut world = World::new(Order::Linux);
    durable_file(&world, 100);
    world.write("f", 0, b"new").unwrap();
    // From now on it is old, and what comes then is not.
    world.unsynced.limits.age = Duration::ZERO;
    assert_eq!(world.unsynced.pending(&world.tree).written_back, 1);
    world.unsynced.limits.age = Duration::from_secs(3600);
    world.write("f", 50, b"new").unwrap();
    let left = bytes(&mut world, Keeping::None);
    assert_eq!((&left[..3], &left[50..53]), (&b"new"[..], &b"ooo"[..]));
    assert_eq!(world.unsynced.pending(&world.tree).written_back, 1);
}

#[test]
fn the_oldest_of_too_much_counts_as_written_back() {
    let mut world = World::with(Order::Linux, 100_000, Duration::from_secs(3600));
    durable_file(&world, 400_000);
    for at in 0..8 {
        world.write("f", at * 40_000, &[b'n'; 40_000]).unwrap();
    }
    let pending = world.unsynced.pending(&world.tree);
    assert!(pending.bytes <= 100_000 && pending.written_back == 6, "{pending:?}");
    let left = bytes(&mut world, Keeping::None);
    assert!(
        left[..240_000].iter().all(|b| *b == b'n') && left[240_000..].iter().all(|b| *b == b'o')
    );
}

/// So that memory is bounded by what may be in it, not by what is remembered.
#[test]
fn what_is_remembered_goes_to_a_file() {
    let mut world = World::new(Order::Linux);
    let dir = tempfile::tempdir().unwrap();
    let keep = Keep::new(("a test keeps", "--dir"), 100_000, dir.path()).unwrap();
    world.unsynced.keep = Arc::new(keep);
    durable_file(&world, 400_000);
    for at in 0..8 {
        world.write("f", at * 40_000, &[b'n'; 40_000]).unwrap();
    }
    let [in_memory, in_file] = world.unsynced.keep.bytes();
    assert!(in_memory <= 100_000 && in_memory + in_file == 320_000, "{in_memory} {in_file}");
    assert!(bytes(&mut world, Keeping::None) == [b'o'; 400_000]);
    world.fsync("f").unwrap();
    assert_eq!(world.unsynced.keep.bytes(), [0, 0]);
}

#[test]
fn what_others_change_counts_as_durable() {
    let mut world = World::new(Order::Linux);
    durable_file(&world, 100);
    world.write("f", 0, b"new").unwrap();
    fs::write(world.backing.join("f"), "others").unwrap();
    assert_eq!(bytes(&mut world, Keeping::None), b"others");
    let pending = world.unsynced.pending(&world.tree);
    assert_eq!(pending.foreign, [world.backing.join("f")]);
    assert_eq!(pending.entries, 0);
}

#[test]
fn a_link_or_a_rename_does_not_make_a_file_others() {
    let mut world = World::new(Order::Linux);
    durable_file(&world, 100);
    world.write("f", 0, b"new").unwrap();
    world.link("f", "g").unwrap();
    world.rename("g", "h", 0).unwrap();
    world.remove("h", false).unwrap();
    world.chmod("f", 0o600).unwrap();
    world.write("f", 50, b"new").unwrap();
    assert!(bytes(&mut world, Keeping::None) == [b'o'; 100]);
    assert!(world.unsynced.pending(&world.tree).foreign.is_empty());
}

/// A sync that is asked for by itself reaches the whole file again.
#[test]
fn a_write_by_o_dsync_makes_its_range_durable_only() {
    let mut world = World::new(Order::Linux);
    durable_file(&world, 4096);
    world.write("f", 0, &[b'n'; 512]).unwrap();
    world.write_synced("f", 1024, &[b'n'; 512]).unwrap();
    let left = bytes(&mut world, Keeping::None);
    assert_eq!((left[0], left[1024], left[1536]), (b'o', b'n', b'o'));
    world.fdatasync("f").unwrap();
    assert_eq!(bytes(&mut world, Keeping::None)[0], b'n');
}

#[test]
fn what_comes_while_a_sync_is_under_way_is_not_durable_by_it() {
    let mut world = World::new(Order::Linux);
    durable_file(&world, 100);
    world.write("f", 0, b"new").unwrap();
    world
        .opened("f", |ino, fh| {
            let of = SyncOf::File { datasync: false };
            let meanwhile = || world.write("f", 50, b"new");
            world.unsynced.sync(&world.tree, (ino, (fh, TID)), of, meanwhile)
        })
        .unwrap();
    let left = bytes(&mut world, Keeping::None);
    assert_eq!((&left[..3], &left[50..53]), (&b"new"[..], &b"ooo"[..]));
}

/// Else both would take the same bytes for those from before, and no image had the first of them.
#[test]
fn two_writes_of_one_file_come_one_after_the_other() {
    let world = World::new(Order::Linux);
    durable_file(&world, 512);
    let both = Barrier::new(2);
    let inside = std::sync::atomic::AtomicU32::new(0);
    world
        .opened("f", |ino, fh| {
            thread::scope(|scope| {
                for byte in [b'1', b'2'] {
                    let (world, both, inside) = (&world, &both, &inside);
                    scope.spawn(move || {
                        both.wait();
                        let about = About::Write { file: (ino, fh), at: 0, len: 512, owes: None };
                        world.change(&about, || {
                            assert_eq!(
                                inside.fetch_add(1, Ordering::SeqCst),
                                0,
                                "both run at once"
                            );
                            thread::sleep(Duration::from_millis(50));
                            let done = world.tree.write(None, fh, 0, &[byte; 512]);
                            inside.fetch_sub(1, Ordering::SeqCst);
                            done
                        })
                    });
                }
            });
            Ok(())
        })
        .unwrap();
    let mut world = world;
    let first = bytes(&mut world, Keeping::Prefix(1));
    assert!(first == [b'1'; 512] || first == [b'2'; 512], "{:?}", first[0]);
    assert_ne!(first, bytes(&mut world, Keeping::All));
}

#[test]
fn an_image_is_refused_by_a_name_that_is_none_or_taken() {
    let mut world = World::new(Order::Linux);
    let choice = Choice { keeping: Keeping::None, unit: Unit::Sector, seed: 0 };
    for name in ["", ".x", "a/b", "..", "a\nb"] {
        let refused = world.unsynced.cut(&world.tree, None, (name, None), choice);
        assert!(matches!(refused, Err(NoImage::Name(_))), "{name:?}");
    }
    world.unsynced.cut(&world.tree, None, ("one", None), choice).unwrap();
    let again = world.unsynced.cut(&world.tree, None, ("one", None), choice);
    assert!(matches!(again, Err(NoImage::There(_))));
    world.unsynced.limits.images = None;
    let nowhere = world.unsynced.cut(&world.tree, None, ("two", None), choice);
    assert!(matches!(nowhere, Err(NoImage::Nowhere)));
    assert_eq!(fs::read_dir(&world.images).unwrap().count(), 2);
}

/// Numbers that are held for the log alone go with it.
#[test]
fn nothing_is_held_once_all_is_durable() {
    let world = World::new(Order::Linux);
    let known = || {
        let mut known = 0;
        world.tree.known(&mut |_| known += 1);
        known
    };
    let before = known();
    world.mkdir("d").unwrap();
    world.create("d/f").unwrap();
    world.write("d/f", 0, b"some").unwrap();
    world.link("d/f", "g").unwrap();
    world.rename("g", "h", 0).unwrap();
    world.chmod("h", 0o600).unwrap();
    world.set_xattr("h", Some(b"value")).unwrap();
    world.truncate("h", 1).unwrap();
    world.remove("d/f", false).unwrap();
    world.remove("d", true).unwrap();
    assert!(known() > before);
    world.unsynced.checkpoint(&world.tree);
    assert_eq!(known(), before);
    assert_eq!(world.unsynced.pending(&world.tree).bytes, 0);
    assert!(world.unsynced.log.lock().files.is_empty());
}
