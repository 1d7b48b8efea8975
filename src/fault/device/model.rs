//! When a request is due. No locks.
//!
//! A read or write is admitted when there are credits for it, takes the channel that is free first, and there
//! its own time, a seek if it does not go on where the last one ended, and its bytes' time. All bytes share
//! one line. A write with a cache is due when it is in the cache, which drains behind it. A sync waits for the
//! drain, then flushes, beside whatever else goes on. tests/kinds/device.py says the same in Python.

use super::bytes::{Byte, transfer};
use super::cache::{Cache, Content};
use super::channels::Channels;
use super::credits::Spent;
use super::figures::{Figures, Work};
use crate::fault::chance::{Draw, Purpose};
use crate::fault::distributions::{Length, Of};
use crate::ops::Call;

/// What is asked of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::fault) enum What {
    Read,
    Write,
    /// A read of bytes that lie elsewhere, then a write.
    Copy,
    Metadata,
    Sync,
}

impl What {
    /// What a request asks of a disk, if it asks anything: the rest a filesystem has in memory.
    pub(in crate::fault) fn of(call: Call) -> Option<What> {
        match call {
            Call::Read => Some(What::Read),
            Call::Write => Some(What::Write),
            Call::CopyFrom | Call::CopyTo => Some(What::Copy),
            Call::Fsync | Call::Fdatasync | Call::Fsyncdir => Some(What::Sync),
            Call::Create
            | Call::Fallocate
            | Call::Link
            | Call::Mkdir
            | Call::Mknod
            | Call::Removexattr
            | Call::Rename
            | Call::Rmdir
            | Call::SetattrMode
            | Call::SetattrOwner
            | Call::SetattrSize
            | Call::SetattrSizeHandle
            | Call::SetattrTimes
            | Call::Setxattr
            | Call::Symlink
            | Call::Unlink => Some(What::Metadata),
            _ => None,
        }
    }
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(in crate::fault) struct Asked {
    pub(in crate::fault) call: Call,
    pub(in crate::fault) inode: u64,
    pub(in crate::fault) offset: u64,
    pub(in crate::fault) len: u64,
}

/// A device in use. Moments are nanoseconds since its first request.
#[derive(Debug, Default)]
pub(in crate::fault) struct Model {
    spent: Spent,
    channels: Channels,
    cache: Content,
    /// From when on the line that all bytes share is free.
    line: u64,
}

/// The times of one request: the k-th draw of the purpose, from 0.
struct Times<'a> {
    figures: &'a Figures,
    draw: &'a Draw,
    /// When it came.
    came: u64,
}

impl Times<'_> {
    fn nth(&self, k: u64, length: &Length, of: Of) -> u64 {
        let time = length.of(of, || self.draw.each_unit(Purpose::Delay, k)).unwrap_or_default();
        u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
    }

    fn of(&self, work: &Work, bytes: &Bytes) -> u64 {
        let own = self.nth(bytes.first, &work.time, bytes.of());
        own.saturating_add(transfer(bytes.len, work.bandwidth))
    }

    fn seek(&self, bytes: &Bytes) -> u64 {
        self.nth(bytes.first + 1, &self.figures.seek, bytes.of())
    }
}

/// Bytes that are moved.
struct Bytes {
    /// How: a copy reads, then writes.
    call: Call,
    inode: u64,
    /// Where they begin, if that is known.
    begin: Option<Byte>,
    len: u64,
    /// The number of its first time.
    first: u64,
}

impl Bytes {
    fn new(asked: &Asked) -> Bytes {
        let Asked { call, inode, offset, len, .. } = *asked;
        Bytes { call, inode, begin: Some((inode, offset)), len, first: 0 }
    }

    fn of(&self) -> Of {
        Of { call: self.call, len: self.len }
    }

    fn end(&self) -> Option<Byte> {
        self.begin.map(|(inode, offset)| (inode, offset.saturating_add(self.len)))
    }

    /// Whether they lie elsewhere than where the last ended.
    fn is_apart(&self, head: Option<Byte>) -> bool {
        self.begin.is_none() || self.begin != head
    }
}

impl Model {
    /// When it is due, if it comes at `now`.
    pub(in crate::fault) fn due(
        &mut self,
        figures: &Figures,
        asked: &Asked,
        now: u64,
        draw: &Draw,
    ) -> u64 {
        let (bytes, times) = (Bytes::new(asked), Times { figures, draw, came: now });
        let Some(what) = What::of(asked.call) else { return now };
        match what {
            What::Read => self.read(&bytes, now, &times),
            What::Write => self.write(&bytes, now, &times),
            What::Copy => {
                let from = Bytes { call: Call::Read, begin: None, ..Bytes::new(asked) };
                let read = self.read(&from, now, &times);
                self.write(&Bytes { call: Call::Write, first: 2, ..bytes }, read, &times)
            }
            What::Metadata if figures.metadata.is_zero() => now,
            What::Metadata => {
                let channel = self.channels.next(figures.channels, now);
                let took = times.nth(0, &figures.metadata, bytes.of());
                channel.free = channel.free.max(now).saturating_add(took);
                channel.free
            }
            What::Sync => {
                let clean = self.cache.clean(asked.inode, figures.waits).max(now);
                clean.saturating_add(times.nth(0, &figures.flush, bytes.of()))
            }
        }
    }

    fn read(&mut self, bytes: &Bytes, now: u64, times: &Times<'_>) -> u64 {
        let at = self.admit(bytes, now, times);
        self.move_on_medium(&times.figures.read, bytes, at, times)
    }

    fn write(&mut self, bytes: &Bytes, now: u64, times: &Times<'_>) -> u64 {
        let at = self.admit(bytes, now, times);
        match times.figures.cache {
            Some(cache) => self.move_to_cache(cache, bytes, at, times),
            None => self.move_on_medium(&times.figures.write, bytes, at, times),
        }
    }

    fn admit(&mut self, bytes: &Bytes, now: u64, times: &Times<'_>) -> u64 {
        let credits = times.figures.credits;
        credits.map_or(now, |credits| credits.admit(&mut self.spent, now, bytes.len))
    }

    fn move_on_medium(&mut self, work: &Work, bytes: &Bytes, at: u64, times: &Times<'_>) -> u64 {
        let channel = self.channels.next(times.figures.channels, at);
        let begins = channel.free.max(at);
        let seek = if bytes.is_apart(channel.head) { times.seek(bytes) } else { 0 };
        let ends = begins.saturating_add(seek).saturating_add(times.of(work, bytes));
        let due = pass(&mut self.line, begins, ends, transfer(bytes.len, times.figures.line));
        (channel.free, channel.head) = (due, bytes.end());
        due
    }

    fn move_to_cache(&mut self, cache: Cache, bytes: &Bytes, at: u64, times: &Times<'_>) -> u64 {
        let seek = if bytes.is_apart(self.cache.head) { times.seek(bytes) } else { 0 };
        let drains = seek.saturating_add(transfer(bytes.len, Some(cache.drain)));
        let channel = self.channels.next(times.figures.channels, at);
        let begins = cache.room(&self.cache, channel.free.max(at), drains);
        let ends = begins.saturating_add(times.of(&times.figures.write, bytes));
        let due = pass(&mut self.line, begins, ends, transfer(bytes.len, times.figures.line));
        channel.free = due;
        self.cache.put(bytes.inode, (times.came, due), drains);
        self.cache.head = bytes.end();
        due
    }
}

/// When what begins and would end then has passed the line that all share.
fn pass(line: &mut u64, begins: u64, ends: u64, takes: u64) -> u64 {
    *line = begins.max(*line).saturating_add(takes);
    ends.max(*line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::chance::Dice;
    use crate::fault::words::{Args, Value};

    const MS: u64 = 1_000_000;

    struct Disk(Model, Figures);

    impl Disk {
        /// Of figures as typed, without their dashes.
        fn new(typed: &str) -> Disk {
            let mut args = Args::new();
            for (name, value) in typed.split_whitespace().map(|word| word.split_once('=').unwrap())
            {
                let param = super::super::PARAMS.iter().find(|param| param.name == name).unwrap();
                args.insert(name, param.of.straighten(&Value::Text(value.into())).unwrap());
            }
            Disk(Model::default(), Figures::of(&args).unwrap())
        }

        /// When a request that comes at `ms` is due, in milliseconds.
        fn due(&mut self, ms: u64, what: What, inode: u64, offset: u64, len: u64) -> u64 {
            let call = match what {
                What::Read => Call::Read,
                What::Write => Call::Write,
                What::Copy => Call::CopyTo,
                What::Metadata => Call::Create,
                What::Sync => Call::Fsync,
            };
            let asked = Asked { call, inode, offset, len };
            let draw = Draw::new(Dice::new(1, 1), 0);
            let due = self.0.due(&self.1, &asked, ms * MS, &draw);
            assert_eq!(due % MS, 0, "{due}");
            due / MS
        }
    }

    #[test]
    fn what_goes_on_where_the_last_ended_does_not_seek() {
        let mut disk = Disk::new("read=1ms seek=10ms read_bw=1MB");
        assert_eq!(disk.due(0, What::Read, 1, 0, 1000), 12);
        assert_eq!(disk.due(0, What::Read, 1, 1000, 1000), 14, "behind it");
        assert_eq!(disk.due(100, What::Read, 1, 2000, 1000), 102);
        assert_eq!(disk.due(200, What::Read, 2, 3000, 1000), 212, "of another file");
    }

    #[test]
    fn channels_serve_at_once_and_share_the_line() {
        let mut disk = Disk::new("channels=2 read=10ms");
        assert_eq!([0; 5].map(|at| disk.due(at, What::Read, 1, 0, 1)), [10, 10, 20, 20, 30]);
        let mut disk = Disk::new("channels=9 read=1ms total_bw=1MB");
        assert_eq!([0; 3].map(|at| disk.due(at, What::Read, 1, 0, 10_000)), [10, 20, 30]);
    }

    #[test]
    fn a_sync_waits_for_what_it_is_about() {
        for (waits, own, other) in [("all", 305, 305), ("file", 105, 305), ("nothing", 5, 5)] {
            let typed = format!("cache=1MB drain=1MB flush=5ms sync_waits={waits}");
            let mut disk = Disk::new(&typed);
            assert_eq!(disk.due(0, What::Write, 1, 0, 100_000), 0);
            assert_eq!(disk.due(0, What::Write, 2, 0, 200_000), 0);
            assert_eq!(disk.due(0, What::Sync, 1, 0, 0), own, "{waits}");
            assert_eq!(disk.due(0, What::Sync, 2, 0, 0), other, "{waits}");
            assert_eq!(disk.due(400, What::Sync, 2, 0, 0), 405, "{waits}");
        }
    }

    /// Files are swept after 1,024 new ones, by a write that waits for room until most of them have drained.
    #[test]
    fn a_sync_waits_for_its_file_among_thousands_that_are_written_at_once() {
        let mut disk = Disk::new("channels=1000 cache=1MB drain=1MB sync_waits=file");
        for inode in 1..=3_000 {
            assert_eq!(disk.due(0, What::Write, inode, 0, 10_000), (10 * inode).max(1_000) - 1_000);
        }
        // A copy reads first, for as long.
        disk.due(0, What::Copy, 3_001, 0, 10_000);
        for inode in (1..=3_000).rev() {
            assert_eq!(disk.due(0, What::Sync, inode, 0, 0), 10 * inode, "{inode}");
        }
    }

    #[test]
    fn a_copy_reads_then_writes_and_metadata_take_a_channel() {
        let mut disk = Disk::new("read=1ms write=2ms seek=10ms metadata=3ms");
        assert_eq!(disk.due(0, What::Copy, 1, 0, 10), 23);
        assert_eq!(disk.due(0, What::Metadata, 1, 0, 0), 26);
        assert_eq!(Disk::new("read=1ms").due(7, What::Metadata, 1, 0, 0), 7);
    }

    #[test]
    fn what_no_clock_can_add_up_is_never_due() {
        let mut disk = Disk::new("write=400years write_bw=1");
        for _ in 0..4 {
            let (call, offset, len) = (Call::Write, u64::MAX, u64::MAX);
            let asked = Asked { call, inode: 1, offset, len };
            disk.0.due(&disk.1, &asked, u64::MAX, &Draw::new(Dice::new(1, 1), 0));
        }
        let asked = Asked { call: Call::Read, inode: 1, offset: 0, len: 1 };
        assert_eq!(disk.0.due(&disk.1, &asked, 0, &Draw::new(Dice::new(1, 1), 0)), u64::MAX);
    }
}
