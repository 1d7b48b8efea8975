//! The power of a mount that remembers what is not durable: each request asks for it before it runs, and it can
//! be cut.
//!
//! A cut has everything end that is under way, and has what comes meanwhile wait. Then all that waits or is held
//! fails; the kernel drops its pages, and what it has yet to write back is lost with them; open files are cut
//! off; the backing is taken back. With each cut the generation of every entry grows, so that the kernel
//! takes the same node id for another inode: what was mapped or cached of the old one is of no use to anybody. Which
//! node ids have been looked up since is noted with the inodes. What the kernel waits for in any case, a
//! release, always runs. Lock rule: none of its own. To be inside is no lock, and ends once the operation has run: its
//! answer may come after a cut, but says nothing that was not settled inside.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::op::Op;
use super::struck::Struck;
use super::{Core, Node, victims};
use crate::fault::FaultId;
use crate::fault::plan::CutPower;
use crate::mirror::{self, Ino, ROOT};
use crate::sys::process::{self, Process};
use crate::unsynced::{Choice, Inside, NoCut, NotTaken, Outside, PATIENCE, Power, TakenBack};

/// How much the kernel keeps of a generation, without a sign.
const GENERATION: u64 = 0x7fff_ffff;

/// Why an operation does not run now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Barred {
    /// It has to wait; so often the power was cut when it came.
    Waits(u32),
    /// With this error.
    Fails(i32),
}

/// An operation runs while it has this; none where nobody asks.
pub(super) type Powered<'a> = Option<Inside<'a>>;

impl Core {
    /// Has an operation run now, if it may.
    #[inline(always)]
    pub(super) fn powered(&self, op: &Op) -> Result<Powered<'_>, Barred> {
        match &self.unsynced {
            None => Ok(None),
            Some(unsynced) => self.powered_by(&unsynced.power, op),
        }
    }

    fn powered_by<'a>(&self, power: &'a Power, op: &Op) -> Result<Powered<'a>, Barred> {
        if op.must_run || self.spared.is(op.caller.tid) {
            return Ok(None);
        }
        match power.enter() {
            Ok(inside) => match self.outlives(op, power.cuts()) {
                Ok(()) => Ok(Some(inside)),
                Err(errno) => Err(Barred::Fails(errno)),
            },
            Err(Outside::Waits(cuts)) => Err(Barred::Waits(cuts)),
            Err(Outside::Off) => Err(Barred::Fails(libc::EIO)),
        }
    }

    /// The same for one that may wait for it, and came when there had been so many cuts.
    pub(super) fn powered_later(&self, op: &Op, cuts: u32) -> Result<Powered<'_>, i32> {
        let Some(unsynced) = self.unsynced.as_ref().filter(|_| !op.must_run) else {
            return Ok(None);
        };
        let inside = unsynced.power.wait(cuts).ok_or(libc::EIO)?;
        self.outlives(op, cuts).map(|()| Some(inside))
    }

    /// How often the power was cut.
    pub(super) fn cuts(&self) -> u32 {
        self.unsynced.as_ref().map_or(0, |unsynced| unsynced.power.cuts())
    }

    /// Whether what it is about is known since the last cut: its open file, or else its inodes.
    fn outlives(&self, op: &Op, cuts: u32) -> Result<(), i32> {
        if cuts == 0 {
            return Ok(());
        }
        if let Some(fh) = op.fh {
            let known = self.tree.handle(fh).map(drop);
            return known.map_err(|error| error.raw_os_error().unwrap_or(libc::EIO));
        }
        let inodes = op.targets.into_iter().flatten().map(|(target, _)| target.ino());
        for ino in inodes.filter(|ino| *ino != ROOT) {
            let is_known = |inode: Arc<Node>| inode.note.since.load(Ordering::Acquire) == cuts;
            if self.tree.inode(ino).is_ok_and(|inode| !is_known(inode)) {
                return Err(libc::ESTALE);
            }
        }
        Ok(())
    }

    /// The generation of an entry that the kernel is told of, and so knows since the last cut.
    pub(super) fn generation(&self, entry: &mirror::Entry) -> u64 {
        match self.cuts() {
            0 => entry.generation,
            cuts => {
                if let Ok(inode) = self.tree.inode(entry.ino) {
                    inode.note.since.store(cuts, Ordering::Release);
                }
                entry.generation.wrapping_add(u64::from(cuts)) & GENERATION
            }
        }
    }

    /// Has the kernel forget what it has cached, but for pages of that inode. It is answered meanwhile, if only
    /// by an error.
    fn drop_caches(&self, but: Option<Ino>) {
        let mut inodes = Vec::new();
        self.tree.known(&mut |inode| inodes.push((inode.ino(), inode.is_dir())));
        for (ino, is_dir) in inodes.into_iter().filter(|(ino, _)| Some(*ino) != but) {
            match is_dir {
                true => self.changed_unseen(ino),
                false => self.outdate_pages(ino, &(0..u64::MAX)),
            }
        }
    }

    /// Cuts the power.
    ///
    /// # Errors
    /// It is not cut; or it is, and the backing is not what it should be: then it stays off.
    fn cut(&self, ticket: u64, how: &How) -> Result<Cut, CutFailed> {
        let unsynced = self.unsynced.as_ref().ok_or(CutFailed::Unremembered)?;
        if !unsynced.power.keeps(ticket) {
            return Err(NoCut::Late.into());
        }
        // While they wait, so that nothing of theirs is done any more.
        let device = self.line.device().filter(|_| how.kills);
        let killed = device.map(|device| victims::kill(device, how.client)).unwrap_or_default();
        let ending = killed.iter().copied().filter(|process| Some(*process) != how.asks);
        let cutting = unsynced.power.commit(ticket)?;
        self.line.let_all_go();
        self.drop_caches(how.answers);
        self.tree.cut_handles();
        victims::wait(ending);
        let taken = unsynced.take_back(&self.tree, how.choice);
        self.entries_changed_unseen();
        let taken = taken?;
        for file in &taken.put_back {
            for (offset, len) in &file.ranges {
                self.written_over(file.ino, *offset..offset.saturating_add(*len));
            }
            self.written_over(file.ino, file.size..u64::MAX);
        }
        if !how.stays_off {
            cutting.end();
        }
        Ok(Cut { taken, killed: killed.into_iter().map(Process::pid).collect() })
    }

    /// A fault would have the power cut at a call that has not run: it is over.
    pub(super) fn cut_missed(&self, op: &Op, struck: &Struck) {
        for fault in struck.cut().into_iter().flat_map(|(_, faults)| faults) {
            self.gate.spend(fault);
            let call = op.call.name();
            tracing::warn!(
                "fault {fault} has not cut the power at {call}, which was not done itself"
            );
        }
    }

    /// Faults have the power cut at a call, which is answered then. Until it is the kernel may hold pages of
    /// its file, which it could not drop; only who had that open before finds them there.
    #[cold]
    pub(super) fn cut_at(
        &self,
        op: &Op,
        (cut, faults): (CutPower, Vec<FaultId>),
        answer: impl FnOnce(),
    ) {
        faults.iter().for_each(|fault| self.gate.spend(*fault));
        if let Some(fault) = faults.first() {
            self.cut_by(op, cut, *fault);
        }
        answer();
        if let Some(ino) = op.inode() {
            self.outdate_pages(ino, &(0..u64::MAX));
        }
    }

    fn cut_by(&self, op: &Op, cut: CutPower, fault: FaultId) {
        let CutPower { keep, unit, seed, kills, stays_off } = cut;
        let seed = seed.unwrap_or_else(rand::random);
        let choice = Choice { keeping: keep, unit, seed };
        let asks = process::arrival(op.caller.tid).map(|arrival| arrival.process);
        let answers = op.inode();
        let how = How { choice, stays_off, kills, client: None, asks, answers };
        let power = self.unsynced.as_ref().map(|unsynced| &unsynced.power);
        let ticket = power.ok_or(CutFailed::Unremembered);
        let ticket = ticket.and_then(|power| Ok(power.prepare(PATIENCE, PATIENCE)?));
        match ticket.and_then(|ticket| self.cut(ticket, &how)) {
            Ok(Cut { taken, killed }) => tracing::warn!(
                "fault {fault} has cut the power at {}: keeps {keep}, seed {seed}; {} changes dropped, {} files \
                 with other content; killed {killed:?}",
                op.call.name(),
                taken.dropped,
                taken.put_back.len()
            ),
            Err(why) => {
                tracing::error!("fault {fault} cannot cut the power at {}: {why}", op.call.name())
            }
        }
    }
}

/// Cuts the power, for use beside the running session.
pub(crate) struct Plug {
    core: Arc<Core>,
}

/// How the power is cut.
#[derive(Clone, Debug)]
pub(crate) struct How {
    /// What is left of what was not durable.
    pub(crate) choice: Choice,
    pub(crate) stays_off: bool,
    /// Whether every process that has files of the mount open or mapped dies.
    pub(crate) kills: bool,
    /// The one that asks for it by a control call, and does not.
    pub(crate) client: Option<u32>,
    /// Who asks for it by an operation, and cannot end before that is answered.
    pub(crate) asks: Option<Process>,
    /// The file that this operation is about.
    pub(crate) answers: Option<Ino>,
}

/// It was cut.
#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) taken: TakenBack,
    pub(crate) killed: Vec<u32>,
}

/// Why the power was not cut as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CutFailed {
    #[error(transparent)]
    No(#[from] NoCut),
    #[error("{0}. The power stays off: `slowfs power-on` goes on with what is there")]
    Not(#[from] NotTaken),
    #[error("nothing is remembered")]
    Unremembered,
}

impl Plug {
    pub(super) fn new(core: Arc<Core>) -> Plug {
        Plug { core }
    }

    fn power(&self) -> Result<&Power, CutFailed> {
        let unsynced = self.core.unsynced.as_ref().ok_or(CutFailed::Unremembered)?;
        Ok(&unsynced.power)
    }

    /// Has all that is under way end, and what comes wait, for that long: a ticket to cut the power within it.
    ///
    /// # Errors
    /// It cannot be cut now; all goes on.
    pub(crate) fn prepare(&self, stays: Duration) -> Result<u64, CutFailed> {
        Ok(self.power()?.prepare(PATIENCE, stays)?)
    }

    /// All goes on as if no cut had been prepared; false if it does so already.
    pub(crate) fn abort(&self, ticket: u64) -> bool {
        self.power().is_ok_and(|power| power.abort(ticket))
    }

    /// Cuts the power, which was prepared.
    ///
    /// # Errors
    /// It is not cut; or it is, and the backing is not what it should be: then it stays off.
    pub(crate) fn commit(&self, ticket: u64, how: &How) -> Result<Cut, CutFailed> {
        self.core.cut(ticket, how)
    }

    /// Has the power on again; whether it was off.
    ///
    /// # Errors
    /// It is being cut.
    pub(crate) fn on(&self) -> Result<bool, CutFailed> {
        Ok(self.power()?.on()?)
    }

    /// How often it was cut, and whether it is off.
    pub(crate) fn cuts(&self) -> (u32, bool) {
        self.power().map_or((0, false), |power| (power.cuts(), power.is_off()))
    }
}
