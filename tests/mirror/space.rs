//! Allocation, holes, and copies that the filesystem makes.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::fs::{FallocateFlags as F, OFlags, SeekFrom};
use rustix::io::Errno;

use super::{
    create, elsewhere, errno, fstat, kernel_writes_back, on_fuse, open, open_rw, plain_directory,
    stat, wait_for,
};

cases!(
    fallocate_reserves_space_and_grows_the_file,
    fallocate_can_keep_the_size,
    fallocate_punches_holes,
    fallocate_zeroes_ranges_as_the_backing_does,
    fallocate_collapses_and_inserts_as_the_backing_does,
    fallocate_refuses_what_it_must,
    fallocate_on_an_unlinked_file,
    sparse_files_go_beyond_four_gibibytes,
    holes_and_copies_go_beyond_four_gibibytes,
    files_go_to_the_largest_size_of_the_backing,
    holes_and_data_are_found,
    seek_refuses_what_it_must,
    copy_between_files_moves_the_range,
    copy_within_a_file_moves_the_range,
    copy_refuses_overlap_and_the_wrong_access,
    copy_ends_at_the_end_of_the_source,
    copy_follows_the_offsets_of_its_handles,
    copy_is_seen_through_cached_pages,
    copy_to_another_filesystem_is_refused,
);

const PAGE: u64 = 4096;

fn written(path: impl AsRef<Path>, pages: u64) -> File {
    let file = create(path);
    for page in 0..pages {
        file.write_all_at(&[page as u8 + 1; PAGE as usize], page * PAGE).unwrap();
    }
    file
}

/// What each page is filled with.
#[track_caller]
fn pages(file: &File) -> Vec<u8> {
    let mut content = vec![0; usize::try_from(fstat(file).st_size).unwrap()];
    file.read_exact_at(&mut content, 0).unwrap();
    let page = |chunk: &[u8]| {
        assert!(chunk.iter().all(|b| *b == chunk[0]));
        chunk[0]
    };
    content.chunks(PAGE as usize).map(page).collect()
}

fn fallocate_reserves_space_and_grows_the_file(dir: &Path) {
    let file = written(dir.join("f"), 1);
    rustix::fs::fallocate(&file, F::empty(), 0, 256 * PAGE).unwrap();
    assert_eq!(fstat(&file).st_size, 1 << 20);
    assert!(fstat(&file).st_blocks >= (1 << 20) / 512);
    assert_eq!(stat(dir.join("f")).st_size, 1 << 20);
    let content = pages(&file);
    assert_eq!((content.len(), content[0], content[1], content[255]), (256, 1, 0, 0));
    rustix::fs::fallocate(&file, F::empty(), 100, 10).unwrap();
    assert_eq!(fstat(&file).st_size, 1 << 20);
}

fn fallocate_can_keep_the_size(dir: &Path) {
    let file = written(dir.join("f"), 1);
    rustix::fs::fallocate(&file, F::KEEP_SIZE, 0, 256 * PAGE).unwrap();
    assert_eq!(fstat(&file).st_size, 4096);
    assert!(stat(dir.join("f")).st_blocks >= (1 << 20) / 512);
}

fn fallocate_punches_holes(dir: &Path) {
    let file = written(dir.join("f"), 8);
    assert_eq!(pages(&file), [1, 2, 3, 4, 5, 6, 7, 8]);
    file.sync_all().unwrap();
    if kernel_writes_back() {
        // What is allocated it asks for after a while only, as it keeps the size itself.
        wait_for("the blocks to be told", || (fstat(&file).st_blocks > 0).then_some(()));
    }
    let before = fstat(&file).st_blocks;
    let punch = F::PUNCH_HOLE | F::KEEP_SIZE;
    rustix::fs::fallocate(&file, punch, 2 * PAGE, 3 * PAGE).unwrap();
    assert_eq!(pages(&file), [1, 2, 0, 0, 0, 6, 7, 8]);
    rustix::fs::fallocate(&file, punch, 7 * PAGE, 100 * PAGE).unwrap();
    assert_eq!(pages(&file), [1, 2, 0, 0, 0, 6, 7, 0]);
    file.sync_all().unwrap();
    let fewer = || fstat(&file).st_blocks < before;
    if kernel_writes_back() {
        wait_for("fewer blocks", || fewer().then_some(()));
    }
    assert!(fewer());
}

/// The outcome of fallocate(2) on eight pages.
fn outcome(dir: &Path, name: &str, mode: F, (page, count): (u64, u64)) -> Result<Vec<u8>, Errno> {
    let file = written(dir.join(name), 8);
    rustix::fs::fallocate(&file, mode, page * PAGE, count * PAGE)?;
    Ok(pages(&file))
}

fn fallocate_zeroes_ranges_as_the_backing_does(dir: &Path) {
    let plain = plain_directory();
    for (name, mode) in [("zero", F::ZERO_RANGE), ("keep", F::ZERO_RANGE | F::KEEP_SIZE)] {
        let here = outcome(dir, name, mode, (6, 4));
        assert_eq!(here, outcome(plain.path(), name, mode, (6, 4)), "{name}");
    }
}

fn fallocate_collapses_and_inserts_as_the_backing_does(dir: &Path) {
    let plain = plain_directory();
    for (name, mode) in [("collapse", F::COLLAPSE_RANGE), ("insert", F::INSERT_RANGE)] {
        let here = outcome(dir, name, mode, (2, 3));
        if on_fuse(dir) {
            // The kernel lets these modes through to no FUSE filesystem.
            assert_eq!(here, Err(Errno::OPNOTSUPP), "{name}");
        } else {
            assert_eq!(here, outcome(plain.path(), name, mode, (2, 3)), "{name}");
        }
    }
}

fn fallocate_refuses_what_it_must(dir: &Path) {
    let file = written(dir.join("f"), 1);
    let reader = open(dir.join("f"), OFlags::RDONLY).unwrap();
    assert_eq!(errno(rustix::fs::fallocate(&reader, F::empty(), 0, 10)), Errno::BADF);
    assert_eq!(errno(rustix::fs::fallocate(&file, F::empty(), 0, 0)), Errno::INVAL);
    assert_eq!(errno(rustix::fs::fallocate(&file, F::PUNCH_HOLE, 0, 10)), Errno::OPNOTSUPP);
    let beyond = i64::MAX as u64 - 10;
    assert_eq!(errno(rustix::fs::fallocate(&file, F::empty(), beyond, 100)), Errno::FBIG);
    assert_eq!(fstat(&file).st_size, 4096);
}

fn fallocate_on_an_unlinked_file(dir: &Path) {
    let file = written(dir.join("f"), 2);
    fs::remove_file(dir.join("f")).unwrap();
    rustix::fs::fallocate(&file, F::empty(), 0, 4 * PAGE).unwrap();
    assert_eq!(pages(&file), [1, 2, 0, 0]);
}

fn sparse_files_go_beyond_four_gibibytes(dir: &Path) {
    let file = create(dir.join("f"));
    let far = (5 << 30) + 12_345;
    file.write_all_at(b"far away", far).unwrap();
    file.write_all_at(b"here", 0).unwrap();
    assert_eq!(fstat(&file).st_size, i64::try_from(far + 8).unwrap());
    let mut buffer = [1; 8];
    file.read_exact_at(&mut buffer, far).unwrap();
    assert_eq!(&buffer, b"far away");
    file.read_exact_at(&mut buffer, 1 << 32).unwrap();
    assert_eq!(buffer, [0; 8]);
    file.sync_all().unwrap();
    assert!(fstat(&file).st_blocks < 1000);
    file.set_len((6 << 30) + 1).unwrap();
    assert_eq!(stat(dir.join("f")).st_size, (6 << 30) + 1);
    assert_eq!(rustix::fs::seek(&file, SeekFrom::End(-1)).unwrap(), 6 << 30);
}

fn holes_and_copies_go_beyond_four_gibibytes(dir: &Path) {
    let (from, to) = (create(dir.join("from")), create(dir.join("to")));
    // Beyond 32 bits, of which the low ones would point elsewhere.
    let (data, copied) = ((4 << 30) + 3 * PAGE, (9 << 30) + PAGE);
    from.write_all_at(&[1; 2 * 4096], data).unwrap();
    from.write_all_at(&[2; 4096], 3 * PAGE).unwrap();
    from.set_len(5 << 30).unwrap();
    let seek = |file, to| rustix::fs::seek(file, to).unwrap();
    assert_eq!(seek(&from, SeekFrom::Data(4 * PAGE)), data);
    assert_eq!(seek(&from, SeekFrom::Hole(data)), data + 2 * PAGE);
    copy_all((&from, data - PAGE), (&to, copied), 4 * PAGE);
    assert_eq!(fstat(&to).st_size, i64::try_from(copied + 4 * PAGE).unwrap());
    let mut pages = [9; 4 * 4096];
    to.read_exact_at(&mut pages, copied).unwrap();
    assert_eq!([0, 4096, 2 * 4096, 3 * 4096].map(|at| pages[at]), [0, 1, 1, 0]);
    rustix::fs::fallocate(&from, F::PUNCH_HOLE | F::KEEP_SIZE, data, PAGE).unwrap();
    assert_eq!(seek(&from, SeekFrom::Data(4 * PAGE)), data + PAGE);
    rustix::fs::fallocate(&from, F::empty(), 6 << 30, PAGE).unwrap();
    assert_eq!(fstat(&from).st_size, (6 << 30) + 4096);
    assert_eq!(from.read_at(&mut pages[..1], 3 * PAGE).unwrap(), 1);
    assert_eq!(pages[0], 2, "the low half of the file is as it was");
    assert!(fstat(&from).st_blocks + fstat(&to).st_blocks < 1000);
}

fn files_go_to_the_largest_size_of_the_backing(dir: &Path) {
    let plain = plain_directory();
    let outcome = |dir: &Path, size: u64| {
        let file = open(dir.join("f"), OFlags::RDWR | OFlags::CREATE).unwrap();
        let truncated = rustix::fs::ftruncate(&file, size);
        let mut written = rustix::io::pwrite(&file, b"x", size);
        if kernel_writes_back() {
            // It asks nobody how large a file may be: the error comes with the data.
            written = written.and_then(|n| rustix::fs::fsync(&file).map(|()| n));
        }
        rustix::fs::ftruncate(&file, 0).unwrap();
        (truncated, written)
    };
    for size in [1 << 43, (1 << 44) - 1, (1 << 44) + 4096, 1 << 50, i64::MAX as u64 - 1] {
        assert_eq!(outcome(dir, size), outcome(plain.path(), size), "{size}");
    }
}

fn holes_and_data_are_found(dir: &Path) {
    let file = create(dir.join("f"));
    let mib = 1 << 20;
    file.write_all_at(&[1; 4096], mib).unwrap();
    file.write_all_at(&[1; 4096], 3 * mib).unwrap();
    file.set_len(4 * mib).unwrap();
    let seek = |to| rustix::fs::seek(&file, to).unwrap();
    assert_eq!(seek(SeekFrom::Data(0)), mib);
    assert_eq!(seek(SeekFrom::Data(mib + 10)), mib + 10);
    assert_eq!(seek(SeekFrom::Hole(mib)), mib + 4096);
    assert_eq!(seek(SeekFrom::Data(mib + 4096)), 3 * mib);
    assert_eq!(seek(SeekFrom::Hole(0)), 0);
    assert_eq!(seek(SeekFrom::Hole(3 * mib)), 3 * mib + 4096);
    assert_eq!(errno(rustix::fs::seek(&file, SeekFrom::Data(3 * mib + 4096))), Errno::NXIO);
    assert_eq!(errno(rustix::fs::seek(&file, SeekFrom::Hole(4 * mib))), Errno::NXIO);
    let empty = create(dir.join("empty"));
    assert_eq!(errno(rustix::fs::seek(&empty, SeekFrom::Data(0))), Errno::NXIO);
    let full = written(dir.join("full"), 3);
    assert_eq!(rustix::fs::seek(&full, SeekFrom::Hole(0)).unwrap(), 3 * PAGE);
}

fn seek_refuses_what_it_must(dir: &Path) {
    let file = written(dir.join("f"), 1);
    assert_eq!(errno(rustix::fs::seek(&file, SeekFrom::End(-4097))), Errno::INVAL);
    assert_eq!(rustix::fs::seek(&file, SeekFrom::End(10)).unwrap(), 4106);
    assert_eq!(rustix::fs::seek(&file, SeekFrom::Current(-6)).unwrap(), 4100);
    // Another handle's write moves the end.
    open_rw(dir.join("f")).write_all_at(b"x", 9_999).unwrap();
    assert_eq!(rustix::fs::seek(&file, SeekFrom::End(0)).unwrap(), 10_000);
}

fn copy(
    (from, mut at): (&File, u64),
    (to, mut into): (&File, u64),
    len: u64,
) -> rustix::io::Result<usize> {
    let len = usize::try_from(len).unwrap();
    rustix::fs::copy_file_range(from, Some(&mut at), to, Some(&mut into), len)
}

/// Copies until all of it is copied, as a caller must.
fn copy_all(from: (&File, u64), to: (&File, u64), len: u64) {
    let mut done = 0;
    while done < len {
        let copied = copy((from.0, from.1 + done), (to.0, to.1 + done), len - done).unwrap();
        assert!(copied > 0);
        done += copied as u64;
    }
}

fn copy_between_files_moves_the_range(dir: &Path) {
    let from = written(dir.join("from"), 200);
    let to = written(dir.join("to"), 3);
    copy_all((&from, 2 * PAGE), (&to, PAGE), 150 * PAGE);
    let copied = pages(&to);
    assert_eq!((copied.len(), copied[0], copied[1], copied[150]), (151, 1, 3, 152));
    assert_eq!(stat(dir.join("to")).st_size, 151 * 4096);
    copy_all((&from, 100), (&to, 4000), 5);
    let mut bytes = [0; 7];
    to.read_exact_at(&mut bytes, 3999).unwrap();
    assert_eq!(bytes, [1, 1, 1, 1, 1, 1, 1]);
}

fn copy_within_a_file_moves_the_range(dir: &Path) {
    let file = written(dir.join("f"), 4);
    copy_all((&file, 0), (&file, 6 * PAGE), 2 * PAGE);
    assert_eq!(pages(&file), [1, 2, 3, 4, 0, 0, 1, 2]);
    let again = open_rw(dir.join("f"));
    copy_all((&file, 3 * PAGE), (&again, 0), PAGE);
    assert_eq!(pages(&file), [4, 2, 3, 4, 0, 0, 1, 2]);
}

fn copy_refuses_overlap_and_the_wrong_access(dir: &Path) {
    let file = written(dir.join("f"), 4);
    let other = written(dir.join("other"), 1);
    assert_eq!(errno(copy((&file, 0), (&file, PAGE), 2 * PAGE)), Errno::INVAL);
    let reader = open(dir.join("f"), OFlags::RDONLY).unwrap();
    let writer = open(dir.join("f"), OFlags::WRONLY).unwrap();
    let appender = open(dir.join("f"), OFlags::WRONLY | OFlags::APPEND).unwrap();
    assert_eq!(errno(copy((&other, 0), (&reader, 0), 10)), Errno::BADF);
    assert_eq!(errno(copy((&writer, 0), (&other, 0), 10)), Errno::BADF);
    assert_eq!(errno(copy((&other, 0), (&appender, 0), 10)), Errno::BADF);
    let directory = open(dir, OFlags::RDONLY | OFlags::DIRECTORY).unwrap();
    assert_eq!(errno(copy((&directory, 0), (&other, 0), 10)), Errno::ISDIR);
    assert_eq!(pages(&file), [1, 2, 3, 4]);
}

fn copy_ends_at_the_end_of_the_source(dir: &Path) {
    let from = written(dir.join("from"), 1);
    let to = create(dir.join("to"));
    assert_eq!(copy((&from, 4000), (&to, 0), 1000).unwrap(), 96);
    assert_eq!(copy((&from, 4096), (&to, 0), 1000).unwrap(), 0);
    assert_eq!(copy((&from, 0), (&to, 0), 0).unwrap(), 0);
    assert_eq!(fstat(&to).st_size, 96);
}

fn copy_follows_the_offsets_of_its_handles(dir: &Path) {
    let from = written(dir.join("from"), 2);
    let to = create(dir.join("to"));
    rustix::fs::seek(&from, SeekFrom::Start(PAGE)).unwrap();
    assert_eq!(rustix::fs::copy_file_range(&from, None, &to, None, 100).unwrap(), 100);
    assert_eq!(rustix::fs::tell(&from).unwrap(), PAGE + 100);
    assert_eq!(rustix::fs::tell(&to).unwrap(), 100);
    assert_eq!(fs::read(dir.join("to")).unwrap(), [2; 100]);
}

fn copy_is_seen_through_cached_pages(dir: &Path) {
    let from = written(dir.join("from"), 4);
    let to = written(dir.join("to"), 4);
    assert_eq!(pages(&to), [1, 2, 3, 4]);
    copy_all((&from, 0), (&to, 2 * PAGE), 2 * PAGE);
    assert_eq!(pages(&to), [1, 2, 1, 2]);
    from.write_all_at(&[9; 4096], 0).unwrap();
    copy_all((&from, 0), (&to, PAGE), PAGE);
    assert_eq!(pages(&to), [1, 9, 1, 2]);
}

fn copy_to_another_filesystem_is_refused(dir: &Path) {
    let from = written(dir.join("from"), 1);
    let elsewhere = elsewhere(dir);
    let to = create(elsewhere.path().join("to"));
    assert_eq!(errno(copy((&from, 0), (&to, 0), 10)), Errno::XDEV);
    // std::fs::copy then reads and writes.
    fs::copy(dir.join("from"), elsewhere.path().join("copy")).unwrap();
    assert_eq!(fs::read(elsewhere.path().join("copy")).unwrap(), [1; 4096]);
}
