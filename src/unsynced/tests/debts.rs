//! The sync that a write by O_DSYNC owes: it reaches that write only, and no other sync is taken for it.

use super::*;

/// A file with something durable, something not at its start, and a write that owes its sync further on.
fn owing(run: impl FnOnce(&World, (Ino, Fh))) -> Vec<u8> {
    let mut world = World::new(Order::Linux);
    world.create("f").unwrap();
    world.write("f", 0, &[b'o'; 4096]).unwrap();
    world.unsynced.checkpoint(&world.tree);
    world.write("f", 0, b"new").unwrap();
    let run = |ino, fh| {
        run(&world, (ino, fh));
        Ok(())
    };
    world.opened("f", run).unwrap();
    world.cut(Keeping::None, 512, 0)["f"].data.clone()
}

fn owe(world: &World, (ino, fh): (Ino, Fh), run: impl FnOnce() -> io::Result<usize>) {
    let about = About::Write { file: (ino, fh), at: 2048, len: 512, owes: Some((fh, TID)) };
    let _ = world.change(&about, run);
}

fn sync(world: &World, file: (Ino, Fh)) {
    world.sync_by(file, SyncOf::File { datasync: true }).unwrap();
}

fn write(world: &World, (_, fh): (Ino, Fh)) -> io::Result<usize> {
    world.tree.write(None, fh, 2048, &[b'n'; 512]).map(|written| written.bytes)
}

#[test]
fn a_sync_reaches_only_the_write_that_owes_it() {
    let left = owing(|world, file| {
        owe(world, file, || write(world, file));
        sync(world, file);
    });
    assert_eq!((left[0], left[2048]), (b'o', b'n'));
}

#[test]
fn a_write_that_failed_owes_none() {
    let left = owing(|world, file| {
        owe(world, file, || {
            // In part, as far as there was room.
            write(world, file)?;
            Err(io::Error::from_raw_os_error(libc::ENOSPC))
        });
        sync(world, file);
    });
    assert_eq!((left[0], left[2048]), (b'n', b'n'));
}

#[test]
fn the_sync_of_a_write_that_is_not_done_is_over() {
    let left = owing(|world, file| {
        owe(world, file, || write(world, file));
        world.unsynced.forgive(&world.tree, (file.0, (file.1, Some(TID))), 0);
        sync(world, file);
    });
    assert_eq!((left[0], left[2048]), (b'n', b'n'));
    // That of another thread is not.
    let left = owing(|world, file| {
        owe(world, file, || write(world, file));
        world.unsynced.forgive(&world.tree, (file.0, (file.1, Some(TID + 1))), 0);
        sync(world, file);
    });
    assert_eq!((left[0], left[2048]), (b'o', b'n'));
}

/// The kernel may have sent its first part well.
#[test]
fn of_a_write_whose_last_part_failed_the_first_owes_its_sync() {
    let left = owing(|world, file| {
        owe(world, file, || write(world, file));
        world.unsynced.forgive(&world.tree, (file.0, (file.1, Some(TID))), 2560);
        sync(world, file);
    });
    assert_eq!((left[0], left[2048]), (b'o', b'n'));
}

#[test]
fn what_a_handle_owes_goes_with_it_and_with_a_checkpoint() {
    let world = World::new(Order::Linux);
    world.create("f").unwrap();
    let is_idle = || world.unsynced.log.lock().files.is_empty();
    let owes = |end: &dyn Fn((Ino, Fh))| {
        world.opened("f", |ino, fh| {
            owe(&world, (ino, fh), || write(&world, (ino, fh)));
            end((ino, fh));
            Ok(())
        })
    };
    owes(&|(ino, fh)| world.unsynced.forgive(&world.tree, (ino, (fh, None)), 0)).unwrap();
    world.fsync("f").unwrap();
    assert!(is_idle());
    let checkpoint = |_| {
        assert_eq!(world.unsynced.checkpoint(&world.tree), 1);
        assert!(is_idle());
    };
    owes(&checkpoint).unwrap();
}
