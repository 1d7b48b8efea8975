//! `--log-ops`: one line per operation.

use std::io;
use std::time::Instant;

use super::Core;
use super::op::{Args, On, Op};

/// What is known of an operation when it is answered.
pub(super) struct Entry<'a> {
    pub(super) core: &'a Core,
    pub(super) op: &'a Op,
    pub(super) args: Args<'a>,
    pub(super) error: Option<&'a io::Error>,
    /// None when a fault answered and nothing ran.
    pub(super) started: Option<Instant>,
}

impl Entry<'_> {
    /// Writes the line: request, backing paths, caller, outcome, time on the mirror.
    pub(super) fn write(&self) {
        let caller = self.op.caller;
        let paths: Vec<_> = self.op.targets.iter().flatten().map(|t| self.path(*t)).collect();
        let outcome = match self.error.map(io::Error::raw_os_error) {
            None => "ok".to_owned(),
            Some(errno) => format!("errno {}", errno.unwrap_or(libc::EIO)),
        };
        let took = match self.started {
            Some(at) => format!("{} us", at.elapsed().as_micros()),
            None => "not run".to_owned(),
        };
        let (call, uid, gid, tid) = (self.op.call, caller.uid, caller.gid, caller.tid);
        let paths = paths.join(" -> ");
        tracing::info!("{call:?} {paths} tid={tid} uid={uid} gid={gid} {outcome}, {took}");
    }

    fn path(&self, target: (On, crate::ops::MethodSet)) -> String {
        match self.core.path_of(target, self.args) {
            Some(path) => path.escape_ascii().to_string(),
            None => "(gone)".to_owned(),
        }
    }
}
