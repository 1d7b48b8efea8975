//! Many names of one file, which move and go in every order.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::common::long_or;
use super::{Rolls, create, errno, fstat, index, names, stat};

cases!(few_links_move_and_go_in_every_order, many_links_move_and_go_in_many_orders);

const CONTENT: &[u8] = b"one file";

/// Every order of the numbers below `count`.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let Some(last) = count.checked_sub(1) else { return vec![vec![]] };
    let shorter = orders(last);
    let with_last = |order: &Vec<usize>, place| {
        let mut order = order.clone();
        order.insert(place, last);
        order
    };
    shorter.iter().flat_map(|order| (0..count).map(|place| with_last(order, place))).collect()
}

/// Gives a file as many names as there are numbers, in four directories, moves each name to another
/// directory in one order and removes them in the other; after each step every way to the file must
/// tell the same of it.
fn move_and_remove(dir: &Path, moved: &[usize], removed: &[usize]) {
    let file = create(dir.join("first"));
    file.write_all_at(CONTENT, 0).unwrap();
    let mut paths: Vec<PathBuf> =
        (0..moved.len()).map(|n| dir.join(format!("d{}/link{n}", n % 4))).collect();
    paths.iter().for_each(|path| fs::hard_link(dir.join("first"), path).unwrap());
    fs::remove_file(dir.join("first")).unwrap();
    let number = fstat(&file).st_ino;
    let check = |path: &Path, links: usize| {
        for told in [stat(path), fstat(&file)] {
            assert_eq!((told.st_ino, told.st_nlink), (number, links as _), "{}", path.display());
        }
        assert_eq!(fs::read(path).unwrap(), CONTENT);
    };
    for n in moved {
        let to = dir.join(format!("d{}/moved{n}", (n + 1) % 4));
        let from = std::mem::replace(&mut paths[*n], to);
        fs::rename(&from, &paths[*n]).unwrap();
        assert_eq!(errno(rustix::fs::lstat(&from)), rustix::io::Errno::NOENT);
        check(&paths[*n], moved.len());
        check(&paths[(n + 1) % moved.len()], moved.len());
    }
    for (gone, n) in removed.iter().enumerate() {
        fs::remove_file(&paths[*n]).unwrap();
        if let Some(next) = removed.get(gone + 1) {
            check(&paths[*next], removed.len() - gone - 1);
        }
    }
    assert_eq!((fstat(&file).st_nlink, fstat(&file).st_size), (0, 8));
    (0..4).for_each(|d| assert_eq!(names(dir.join(format!("d{d}"))), [""; 0]));
}

fn directories(dir: &Path) {
    (0..4).for_each(|d| fs::create_dir(dir.join(format!("d{d}"))).unwrap());
}

fn few_links_move_and_go_in_every_order(dir: &Path) {
    directories(dir);
    for moved in orders(long_or(4, 3)) {
        for removed in orders(moved.len()) {
            move_and_remove(dir, &moved, &removed);
        }
    }
}

fn many_links_move_and_go_in_many_orders(dir: &Path) {
    directories(dir);
    let mut rolls = Rolls(64);
    let mut shuffled = || {
        let mut order: Vec<usize> = (0..64).collect();
        (1..64).rev().for_each(|n| order.swap(n, index(rolls.below(n as u64 + 1))));
        order
    };
    for _ in 0..long_or(100, 2) {
        move_and_remove(dir, &shuffled(), &shuffled());
    }
}
