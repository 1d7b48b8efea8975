//! WRITE, FALLOCATE and COPY_FILE_RANGE: what changes the content of an open file.

use std::io;
use std::time::Duration;

use fuser::{OpenFlags, ReplyEmpty, ReplyWrite, Request};

use super::op::{Op, Operands, Target};
use super::tracked::written;
use super::{Core, SlowFs};
use crate::mirror::{Caller, Fh, Ino, Written};
use crate::ops::Call;
use crate::sys::syscall;
use crate::unsynced::About;

/// What one COPY_FILE_RANGE copies at most, bytes: a caller that wants more asks again, and others
/// get their turn.
const MOST_COPIED: u64 = 16 << 20;

/// How long to look for a caller that waits, and so has the kernel send the sync of its write.
const PATIENCE: Duration = Duration::from_millis(20);

/// The sync that a write includes: of a file opened with O_SYNC or O_DSYNC, or by RWF_SYNC or
/// RWF_DSYNC, which the kernel adds to the flags of the open. After a write through the page cache
/// the kernel sends it as a request of its own; past it, it does so only on a handle that was not
/// opened so (O_DIRECT by fcntl(2)) and only for a caller that waits: not for Linux AIO or io_uring.
fn sync_of(flags: OpenFlags, direct: bool, tid: u32) -> Option<Call> {
    let sync = match flags.0 {
        flags if flags & libc::O_SYNC == libc::O_SYNC => Call::Fsync,
        flags if flags & libc::O_DSYNC != 0 => Call::Fdatasync,
        _ => return None,
    };
    let waits = || syscall::waited_in(tid, PATIENCE).is_some_and(|call| call.is_write());
    let ours = direct || flags.0 & libc::O_DIRECT != 0 && !waits();
    ours.then_some(sync)
}

/// A WRITE, but for its data.
pub(super) struct Write {
    pub(super) ino: Ino,
    pub(super) fh: Fh,
    /// Whether it goes past the page cache.
    pub(super) direct: bool,
    pub(super) offset: u64,
    /// Whether setuid and setgid bits must go.
    pub(super) kill: bool,
    /// How the file was opened.
    pub(super) flags: OpenFlags,
    /// Whether the kernel writes back what it has in its cache: it waits for the answer
    /// before anything else of these pages goes on.
    pub(super) stored: bool,
}

/// One side of a copy.
pub(super) struct Side {
    pub(super) ino: Ino,
    pub(super) fh: Fh,
    pub(super) offset: u64,
}

impl SlowFs {
    /// Serves a WRITE, with the sync that it includes.
    pub(super) fn serve_write(&self, req: &Request, write: Write, data: &[u8], reply: ReplyWrite) {
        let (fh, direct) = (write.fh, write.direct);
        let op = Op::new(req, Call::Write, Target::Inode(write.ino));
        let mut op = op.bytes(fh, write.offset, data.len() as u64);
        op = op.opened(write.flags.0, write.stored).direct(direct);
        let sync = sync_of(write.flags, direct, req.pid());
        if let Some(request) = sync {
            op = op.consulting(Call::Write.methods().union(request.methods())).slow();
        }
        let past_cache = !write.stored && (direct || write.flags.0 & libc::O_DIRECT != 0);
        let paged = past_cache && self.core.is_paged(fh);
        if paged {
            op = op.slow();
        }
        self.serve(op, Operands::data(data), reply, move |core, caller, operands| {
            if write.stored {
                core.pages_in(fh);
            }
            let appends = core.appends(&write, caller.tid)?;
            let written = match &core.unsynced {
                None => core.write(&write, appends, caller, operands)?,
                Some(_) => core.write_tracked(&write, appends, caller, operands)?,
            };
            if write.stored && operands.parts().is_some_and(|parts| !parts.hidden) {
                // After what it writes back itself the kernel goes on trusting the time that it knows.
                core.changed_unseen(write.ino);
            }
            if let Some(request) = sync {
                core.sync(caller.tid, (fh, request == Call::Fdatasync), operands)?;
            }
            match (past_cache && core.is_paged(fh), paged) {
                (true, true) if appends => core.outdate_pages(write.ino, &(0..u64::MAX)),
                (true, true) => {
                    // Parts lie anywhere within what was to be written.
                    let reach = operands.parts().map_or(written.bytes, |_| operands.data.len());
                    let end = write.offset.saturating_add(reach as u64);
                    core.outdate_pages(write.ino, &(write.offset..end));
                }
                // It came to have pages since this arrived, on a thread that others may need: the
                // next read(2) is told of another time of modification, and drops them.
                (true, false) => core.changed_unseen(write.ino),
                (false, _) if written.mode_changed => core.changed_unseen(write.ino),
                (false, _) => {}
            }
            Ok(u32::try_from(written.bytes).unwrap_or(u32::MAX))
        });
    }

    /// Serves a FALLOCATE with the mode of fallocate(2), an offset and a length.
    pub(super) fn serve_fallocate(
        &self,
        req: &Request,
        (ino, fh): (Ino, Fh),
        (mode, at, len): (i32, u64, u64),
        reply: ReplyEmpty,
    ) {
        let op = Op::new(req, Call::Fallocate, Target::Inode(ino)).slow().bytes(fh, at, len);
        let op = op.freeing(mode & libc::FALLOC_FL_PUNCH_HOLE != 0);
        self.serve(op, Operands::default(), reply, move |core, caller, operands| {
            let allocate = || core.tree.fallocate(caller, fh, mode, at, len);
            core.tracked(|| About::Allocate { ino, mode, at, len }, allocate)?;
            let empties = mode & (libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE) != 0;
            if operands.guarded && empties {
                core.written_over(ino, at..at.saturating_add(len));
            }
            Ok(())
        });
    }

    /// Serves a COPY_FILE_RANGE of so many bytes with the flags of copy_file_range(2).
    pub(super) fn serve_copy(
        &self,
        req: &Request,
        from: Side,
        to: Side,
        (len, flags): (u64, u64),
        reply: ReplyWrite,
    ) {
        let op = Op::new(req, Call::CopyTo, Target::Inode(to.ino))
            .from((Target::Inode(from.ino), from.offset), Call::CopyFrom.methods())
            .bytes(to.fh, to.offset, len.min(MOST_COPIED))
            .slow();
        self.serve(op, Operands::default(), reply, move |core, caller, operands| {
            let (source, ino) = (from.ino, to.ino);
            core.catch_up(source);
            let from = (from.fh, from.offset);
            let to = (to.fh, to.offset);
            let len = len.min(MOST_COPIED);
            core.read_replaced(operands, to, len);
            let torn = operands.altered.filter(|of| flags == 0 && of.parts().is_some());
            let about = || About::Write { file: (ino, to.0), at: to.1, len, owes: None };
            let copied = core.tracked(about, || match torn {
                None => core.tree.copy_file_range(caller, from, to, len, flags),
                Some(altered) => core.copy_torn((from, (source, ino), to), caller, len, altered),
            });
            if operands.parts().is_some() {
                // When it is told to have failed, the kernel goes on trusting its cache.
                core.changed_unseen(ino);
            }
            let copied = copied?;
            if operands.guarded && torn.is_none() {
                core.written_over(ino, to.1..to.1.saturating_add(copied as u64));
            }
            // It was read, which moves its time of access.
            core.changed_unseen(source);
            Ok(u32::try_from(copied).unwrap_or(u32::MAX))
        });
    }
}

impl Core {
    /// Writes what is to be written of the data.
    #[inline(always)]
    pub(super) fn write(
        &self,
        write: &Write,
        appends: bool,
        caller: &Caller,
        operands: &Operands<'_>,
    ) -> io::Result<Written> {
        let ordinary = write.kill.then_some(caller);
        if !appends {
            self.read_replaced(operands, (write.fh, write.offset), operands.data.len() as u64);
        }
        let torn = operands.altered.and_then(|altered| Some((altered, altered.parts()?)));
        if let Some((altered, parts)) = torn {
            return self.write_torn(write, appends, caller, (operands.data, parts, altered));
        }
        let written = match appends {
            true => self.tree.append(ordinary, write.fh, operands.data)?,
            false => self.write_at(write, ordinary, write.offset, operands.data)?,
        };
        if operands.guarded {
            let len = written.bytes as u64;
            match appends {
                true => self.appended_over(write.ino, write.fh, len),
                false => self.written_over(write.ino, write.offset..write.offset + len),
            }
        }
        Ok(written)
    }

    /// The same for the log of what is not durable. Apart, as what it needs is not to be laid out for
    /// every write.
    #[cold]
    fn write_tracked(
        &self,
        write: &Write,
        appends: bool,
        caller: &Caller,
        operands: &Operands<'_>,
    ) -> io::Result<Written> {
        let bytes = (write.offset, operands.data.len());
        let about = || written((write.ino, write.fh), write.flags.0, caller.tid, bytes);
        self.tracked(about, || self.write(write, appends, caller, operands))
    }

    /// Writes these bytes of it where the kernel says.
    pub(super) fn write_at(
        &self,
        write: &Write,
        ordinary: Option<&Caller>,
        at: u64,
        data: &[u8],
    ) -> io::Result<Written> {
        match write.stored {
            true => self.tree.write_back(ordinary, write.fh, at, data),
            false => self.tree.write(ordinary, write.fh, at, data),
        }
    }

    /// Whether a write goes to the end of the file. The kernel appends where it took the end to be
    /// when it last asked, and others may have moved it in the backing since: that they keep what
    /// they wrote takes an append there, too.
    fn appends(&self, write: &Write, tid: u32) -> io::Result<bool> {
        // What the kernel has yet to write back may lie before that end.
        let knows = write.stored || self.options.writeback_cache;
        if knows || write.flags.0 & libc::O_APPEND == 0 {
            return Ok(false);
        }
        let moved = self.tree.ends_elsewhere(write.fh, write.offset)?;
        let in_place = || {
            let call = syscall::waited_in(tid, PATIENCE);
            call.is_some_and(|call| call.writes_in_place())
        };
        Ok(!moved || !in_place())
    }
}
