//! The backing is taken back in place: what the oracle meets too rarely.

use super::*;

/// Directories in each other, all of it durable.
fn nested() -> World {
    let world = World::new(Order::Linux);
    for path in ["a", "a/b", "a/b/c"] {
        world.mkdir(path).unwrap();
    }
    for path in ["a/f", "a/b/f", "a/b/c/f"] {
        world.create(path).unwrap();
        world.write(path, 0, path.as_bytes()).unwrap();
    }
    world.link("a/f", "hard").unwrap();
    world.symlink("soft").unwrap();
    world.mknod("fifo").unwrap();
    world.unsynced.checkpoint(&world.tree);
    world
}

#[test]
fn directories_that_came_to_lie_in_each_other_lie_as_before() {
    let mut world = nested();
    world.rename("a/b/c", "c", 0).unwrap();
    world.rename("a/b", "c/b", 0).unwrap();
    world.rename("a", "c/b/a", 0).unwrap();
    world.rename("c", "a", 0).unwrap();
    world.take_back(Keeping::None, 512, 0).unwrap();
    assert_eq!(fs::read_to_string(world.backing.join("a/b/c/f")).unwrap(), "a/b/c/f");
}

#[test]
fn a_removed_tree_comes_back_whole() {
    let mut world = nested();
    for path in ["a/b/c/f", "a/b/f", "a/f", "hard", "soft", "fifo"] {
        world.remove(path, false).unwrap();
    }
    for path in ["a/b/c", "a/b", "a"] {
        world.remove(path, true).unwrap();
    }
    world.create("a").unwrap();
    world.take_back(Keeping::None, 512, 0).unwrap();
    assert_eq!(fs::read_to_string(world.backing.join("a/b/c/f")).unwrap(), "a/b/c/f");
    assert_eq!(fs::read_dir(&world.backing).unwrap().count(), 4, "nothing lies aside");
}

#[test]
fn what_took_the_place_of_another_gives_it_back() {
    let mut world = nested();
    world.rename("a/f", "a/b/f", 0).unwrap();
    world.rename("hard", "a/b/c/f", 2).unwrap();
    world.truncate("hard", 1).unwrap();
    world.remove("a/b/c/f", false).unwrap();
    world.mkdir("a/b/c/f").unwrap();
    world.create("a/b/c/f/new").unwrap();
    world.take_back(Keeping::None, 512, 0).unwrap();
    assert_eq!(fs::read_to_string(world.backing.join("a/b/c/f")).unwrap(), "a/b/c/f");
}

/// Only what is otherwise is touched: a database's other files are not written over.
#[test]
fn what_is_durable_is_not_touched() {
    use std::os::unix::fs::MetadataExt;

    let mut world = nested();
    let seen = |path: &str| {
        let meta = fs::metadata(world.backing.join(path)).unwrap();
        (meta.ino(), meta.ctime(), meta.ctime_nsec())
    };
    let before = ["a/b/f", "a/b/c", "a/b/c/f"].map(seen);
    let modified = fs::metadata(world.backing.join("a/f")).unwrap().modified().unwrap();
    world.write("a/f", 0, b"new").unwrap();
    let last = fs::metadata(world.backing.join("a/f")).unwrap().modified().unwrap();
    assert_ne!(modified, last);
    world.take_back(Keeping::None, 512, 0).unwrap();
    let seen = |path: &str| {
        let meta = fs::metadata(world.backing.join(path)).unwrap();
        (meta.ino(), meta.ctime(), meta.ctime_nsec())
    };
    assert_eq!(before, ["a/b/f", "a/b/c", "a/b/c/f"].map(seen));
    assert_eq!(fs::metadata(world.backing.join("a/f")).unwrap().modified().unwrap(), last);
}
