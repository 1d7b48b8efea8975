//! Space that operations take and give back, for faults that count it: reserved before one runs, settled
//! once it has. No locks: a ledger has one, for memory work.

use std::ffi::OsStr;
use std::{io, iter};

use fuser::FileHandle;

use super::Core;
use super::caches::handle;
use super::counted::There;
use super::extents::File;
use super::injected::file_key;
use super::moved::Moved;
use super::op::{Op, Operands, Target};
use super::struck::Struck;
use crate::fault::ledger::Used;
use crate::fault::plan::Run;
use crate::fault::{Outcome, Shared};
use crate::mirror::{Caller, Ino};
use crate::ops::Call;

/// What an operation has reserved, to be settled.
pub(super) struct Charge<'a> {
    /// The file that it makes by that name in a directory, if it does.
    made: Option<(Ino, &'a OsStr)>,
    /// Those that were there.
    there: Vec<There>,
    /// What comes to be counted by its name, or ceases to be.
    moved: Moved,
    /// Of each ledger what it got.
    shares: Vec<(Shared<'a>, Used)>,
    /// So many of its bytes are let through, if not all are.
    bytes: Option<u64>,
}

impl Charge<'_> {
    /// How much of it runs then.
    pub(super) fn limited(&self, run: &Run) -> Option<Run> {
        let bytes = self.bytes?;
        Some(run.both(&Run::Part(iter::once(0..bytes).collect())))
    }

    /// It has not run.
    fn drop_all(self) {
        self.moved.drop_all(&self.shares);
        for (shared, reserved) in &self.shares {
            self.there.iter().for_each(|there| shared.ledger.end(there.key, 0, None));
            shared.ledger.release(*reserved);
        }
    }
}

impl Core {
    /// Reserves what an operation takes. None if nothing counts that.
    ///
    /// # Errors
    /// It does not fit: what it is answered.
    pub(super) fn charge<'a>(
        &self,
        op: &Op,
        operands: Operands<'a>,
        struck: &'a Struck,
    ) -> Result<Option<Charge<'a>>, io::Error> {
        let ledgers: Vec<Shared<'a>> = struck.hit.ledgers().collect();
        if ledgers.is_empty() {
            return Ok(None);
        }
        let (mut made, mut first, mut there) = (None, None, Vec::new());
        for (file, to) in self.counted(op, operands) {
            first = first.or(Some(file));
            match file {
                File::New(dir, name) => made = Some((dir, name)),
                File::Known(_) => there.extend(self.there(op, (file, to), &ledgers)),
            }
        }
        let Some(first) = first.filter(|_| made.is_some() || !there.is_empty()) else {
            return Ok(None);
        };
        let before = there.first().and_then(|there| there.attr.as_ref());
        let owner = before.map_or(op.caller.uid, |attr| attr.uid);
        let asked = self.asked(op, first, before);
        let moved = self.moved(&there, &ledgers);
        let mut charge = Charge { made, there, moved, shares: Vec::new(), bytes: None };
        let mut refused = None;
        for (place, shared) in ledgers.into_iter().enumerate() {
            let own = if shared.ledger.charges(owner) { asked.need() } else { Used::default() };
            let need =
                if shared.limits() { own.and(charge.moved.need(place)) } else { Used::default() };
            let got = shared.ledger.reserve(need);
            let reserved = got.map_or_else(Used::default, |blocks| Used { blocks, ..need });
            if refused.is_none() && reserved != need {
                let bytes = asked.fits(reserved.blocks).filter(|_| got.is_some());
                shared.acts(bytes.is_none());
                match bytes {
                    Some(bytes) => charge.bytes = Some(charge.bytes.unwrap_or(bytes).min(bytes)),
                    None => refused = Some(shared.ledger.errno()),
                }
            }
            charge.shares.push((shared, reserved));
        }
        match refused {
            None => Ok(Some(charge)),
            Some(errno) => {
                charge.drop_all();
                Err(io::Error::from_raw_os_error(errno.raw()))
            }
        }
    }

    /// Settles what an operation has come to take that has run, and made and moved what it does if it is
    /// done.
    pub(super) fn settle(&self, op: &Op, charge: Charge<'_>, done: bool) {
        let Charge { made, there, moved, shares, bytes: _ } = charge;
        let tickets: Vec<_> = shares.iter().map(|(shared, _)| shared.ledger.ticket()).collect();
        for There { node, key, .. } in &there {
            let after = self.attr_now(op, node);
            for ((shared, _), ticket) in shares.iter().zip(&tickets) {
                let now = after.as_ref().map(|after| self.used(shared, node, after.as_ref()));
                shared.ledger.end(*key, *ticket, now);
            }
        }
        let made = made.filter(|_| done).and_then(|(dir, name)| self.tree.known_at(dir, name));
        if let Some(node) = made {
            let now = self.attr_now(op, &node).flatten();
            for (shared, _) in &shares {
                let used = self.used(shared, &node, now.as_ref());
                shared.ledger.add(file_key(node.key()), used);
            }
        }
        match done {
            true => self.settle_moved(moved, &shares, &tickets),
            false => moved.drop_all(&shares),
        }
        shares.iter().for_each(|(shared, reserved)| shared.ledger.release(*reserved));
    }

    /// Closes what nobody was told of, and so nobody releases: those that count space are told of it, as of
    /// a release.
    pub(super) fn closed_untold(&self, fh: FileHandle) -> io::Result<()> {
        let known = handle(fh).0;
        let node = self.tree.handle(known)?.inode().clone();
        let call = if node.is_dir() { Call::Releasedir } else { Call::Release };
        if !self.gate.armed(call.methods()) {
            return self.closed(fh);
        }
        let op = Op::asked(0, Caller::default(), call, Target::Inode(node.ino()));
        let op = op.by(known).must_run();
        let subject = self.subject_of(&node, call.methods());
        let Some(hit) = self.gate.followers(&subject, &op.view(Operands::default())) else {
            return self.closed(fh);
        };
        let struck = Struck::after(hit, Outcome::Released, None);
        let charge = self.charge(&op, Operands::default(), &struck)?;
        let closed = self.closed(fh);
        if let Some(charge) = charge {
            self.settle(&op, charge, closed.is_ok());
        }
        closed
    }
}
