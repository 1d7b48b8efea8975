//! What is told of an operation when it is answered: to the log of `--log-ops`, and to whoever reads the
//! trace. While nobody is told, nothing is kept. No locks of its own.

use std::io;
use std::sync::Arc;

use super::Core;
use super::noted::{Noted, Told};
use super::op::{Op, Operands};
use super::oplog::Line;
use super::subject::TreeSubject;
use crate::fault::trace::Wanted;
use crate::fault::{Mask, Subject};

impl Core {
    /// What is kept of an operation that arrives, if somebody is to be told of it.
    pub(super) fn noted(
        &self,
        op: &mut Op,
        operands: Operands<'_>,
        mask: Mask,
    ) -> Option<Arc<Noted>> {
        if !mask.logs() && !mask.traces() {
            return None;
        }
        let subjects = op.targets.map(|target| self.subject(target?, operands));
        let wanted = mask.traces().then(|| self.gate.trace().wanted()).flatten();
        let wanted = wanted.filter(|wanted| is_wanted(wanted, op, &subjects));
        op.told = mask.logs() || wanted.is_some();
        if !op.told {
            return None;
        }
        let paths = subjects.map(|subject| subject.map(|subject| subject.path()));
        Some(Arc::new(Noted { paths, logged: mask.logs(), wanted }))
    }

    /// Tells of an operation that is about to be answered.
    #[cold]
    pub(super) fn tell(
        &self,
        op: &Op,
        operands: Operands<'_>,
        noted: &Noted,
        error: Option<&io::Error>,
        told: Told,
    ) {
        if noted.logged {
            Line { op, noted, error, told: &told }.write();
        }
        if let Some(wanted) = &noted.wanted {
            self.trace(op, operands, (noted, wanted), error, told);
        }
    }
}

/// Whether the reader of the trace wants to see it, as far as can be said at its arrival.
fn is_wanted(wanted: &Wanted, op: &Op, subjects: &[Option<TreeSubject<'_>>]) -> bool {
    if !wanted.methods.intersects(op.methods().union(op.call.methods())) {
        return false;
    }
    let matches = |subject: &TreeSubject<'_>| {
        let mut matches = false;
        subject.paths(&mut |path| matches |= wanted.pattern.matches(path));
        matches
    };
    wanted.pattern.as_str().is_empty() || subjects.iter().flatten().any(matches)
}
