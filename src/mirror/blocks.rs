//! Which bytes of an open file have blocks, written to or only allocated. No locks.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::SeekFrom;

use super::{Fh, Mirror, stat_of};
use crate::sys::blocks;

impl<N: Default> Mirror<N> {
    /// The stretches of a range that have blocks, ascending; they may reach beyond it. Where the filesystem
    /// does not tell, what is allocated and was not written to counts as a hole, if the file has any.
    ///
    /// # Errors
    /// EBADF; those of the backing.
    pub(crate) fn blocks(&self, fh: Fh, range: &Range<u64>) -> io::Result<Vec<Range<u64>>> {
        let handle = self.handles.get(fh)?;
        match blocks::extents(&*handle, range) {
            Err(error) if is_untold(&error) => {}
            told => return told,
        }
        if rustix::fs::fstatfs(&*handle)?.f_type == libc::TMPFS_MAGIC
            && let Ok(found) = in_memory(&*handle, range)
        {
            return Ok(found);
        }
        let stat = stat_of(&*handle)?;
        let (has, size) = (stat.stx_blocks.saturating_mul(512), stat.stx_size);
        if has >= size {
            // Without holes what it has are its first ones, also ahead of its end.
            let first = 0..has;
            return Ok(vec![first]);
        }
        data(&*handle, range.start..range.end.min(size))
    }
}

fn is_untold(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOTTY))
}

/// Those of a file all of whose blocks are pages in memory: a part of the range that has some and not all
/// is looked at by halves.
fn in_memory(file: impl AsFd, range: &Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let page = rustix::param::page_size() as u64;
    let all = range.start / page..range.end.div_ceil(page);
    let mut parts = vec![all];
    let mut found: Vec<Range<u64>> = Vec::new();
    while let Some(part) = parts.pop() {
        let bytes = part.start.saturating_mul(page)..part.end.saturating_mul(page);
        let (has, all) = (blocks::pages(&file, &bytes)?, part.end - part.start);
        match has {
            0 => {}
            has if has >= all => found.push(bytes),
            _ => {
                let middle = part.start + all / 2;
                parts.extend([middle..part.end, part.start..middle]);
            }
        }
    }
    Ok(found)
}

/// What of a range is data, by lseek(2).
fn data(file: impl AsFd, range: Range<u64>) -> io::Result<Vec<Range<u64>>> {
    let mut found: Vec<Range<u64>> = Vec::new();
    let mut at = range.start;
    while at < range.end {
        let start = match rustix::fs::seek(&file, SeekFrom::Data(at)) {
            Ok(start) => start,
            // There is none behind.
            Err(rustix::io::Errno::NXIO) => break,
            Err(error) => return Err(error.into()),
        };
        let end = rustix::fs::seek(&file, SeekFrom::Hole(start))?;
        found.push(start..end);
        at = end.max(at + 1);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::FileExt;

    use rustix::fs::{FallocateFlags, fallocate};

    use super::*;

    const BLOCK: u64 = 4096;

    /// A file with data in each second of its first 200 blocks, and some allocated behind.
    fn sparse(file: File) -> File {
        file.set_len(1 << 20).unwrap();
        for block in (0..200).step_by(2) {
            file.write_all_at(b"x", block * BLOCK).unwrap();
        }
        fallocate(&file, FallocateFlags::empty(), 220 * BLOCK, 8 * BLOCK).unwrap();
        file
    }

    /// Which of the blocks of a range are among those found.
    fn has(found: &[Range<u64>], blocks: Range<u64>) -> Vec<u64> {
        let is_found = |block: &u64| found.iter().any(|range| range.contains(&(block * BLOCK)));
        blocks.filter(is_found).collect()
    }

    #[test]
    fn what_is_in_memory_is_found_by_halves() {
        let memory = rustix::fs::memfd_create("sparse", rustix::fs::MemfdFlags::CLOEXEC).unwrap();
        let file = sparse(memory.into());
        let found = in_memory(&file, &(0..1 << 20)).unwrap();
        let written = (0..200).step_by(2);
        assert_eq!(has(&found, 0..256), written.chain(220..228).collect::<Vec<_>>());
        let some = in_memory(&file, &(221 * BLOCK + 5..222 * BLOCK)).unwrap();
        assert_eq!(has(&some, 0..256), [221]);
        assert_eq!(in_memory(&file, &(230 * BLOCK..1 << 20)).unwrap(), []);
    }

    #[test]
    fn data_is_found_by_seeking() {
        let file = sparse(tempfile::tempfile().unwrap());
        let found = data(&file, 0..220 * BLOCK).unwrap();
        assert_eq!(has(&found, 0..220), (0..200).step_by(2).collect::<Vec<_>>());
        assert_eq!(data(&file, 201 * BLOCK..220 * BLOCK).unwrap(), []);
    }
}
