//! `--log-ops`: one line per operation, in the words of the commands: methods as `-m` takes them, errors
//! by name, faults by number.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::noted::{Noted, Told};
use super::op::Op;
use crate::fault::{Errno, words};
use crate::ops::MethodSet;
use crate::sys::process;

/// What is known of an operation when it is answered.
pub(super) struct Line<'a> {
    pub(super) op: &'a Op,
    pub(super) noted: &'a Noted,
    pub(super) error: Option<&'a io::Error>,
    pub(super) told: &'a Told,
}

impl Line<'_> {
    /// Writes it: methods, backing paths, bytes, caller, outcome, time on the mirror, fault.
    pub(super) fn write(&self) {
        let paths: Vec<_> = self.paths().collect();
        let mut line = format!("{} {}", self.methods(), paths.join(" -> "));
        if let Some(span) = self.op.span {
            let _ = write!(line, ", {} bytes at {}", span.len, span.offset);
        }
        let _ = write!(line, ", by {}: {}", self.caller(), self.outcome());
        let _ = match self.told.took {
            Some(took) => write!(line, ", {} us", took.as_micros()),
            None => write!(line, ", not run"),
        };
        for hit in &self.told.hits {
            let _ = write!(line, ", {} by fault {}", hit.action.replace('+', " and "), hit.id);
        }
        tracing::info!("{line}");
    }

    /// Those that a fault on the operation may name.
    fn methods(&self) -> String {
        match self.op.methods() {
            MethodSet::EMPTY => format!("({} of the kernel's own)", self.op.call.methods()),
            methods => methods.to_string(),
        }
    }

    /// Those of its targets.
    fn paths(&self) -> impl Iterator<Item = String> {
        let paths = self.op.targets.iter().zip(&self.noted.paths);
        paths.filter(|(target, _)| target.is_some()).map(|(_, path)| match path {
            Some(path) => shown(path),
            None => "(gone)".to_owned(),
        })
    }

    fn caller(&self) -> String {
        let caller = self.op.caller;
        let (tid, uid, gid) = (caller.tid, caller.uid, caller.gid);
        match process::described(tid) {
            Some((pid, command)) if pid == tid => {
                format!("{command} (pid {pid}, uid {uid}, gid {gid})")
            }
            Some((pid, command)) => {
                format!("{command} (pid {pid}, thread {tid}, uid {uid}, gid {gid})")
            }
            None if self.op.kernel => "the kernel".to_owned(),
            None => format!("nobody visible (thread {tid}, uid {uid}, gid {gid})"),
        }
    }

    fn outcome(&self) -> String {
        match self.error.map(|error| error.raw_os_error().unwrap_or(libc::EIO)) {
            None => "ok".to_owned(),
            Some(number) => {
                Errno::new(number).map_or_else(|_| format!("errno {number}"), |e| e.to_string())
            }
        }
    }
}

/// A path as all else that is told shows it, as a word of a command where it could be taken for more than
/// itself.
fn shown(path: &[u8]) -> String {
    if path.iter().any(u8::is_ascii_control) {
        return words::escaped_path(path);
    }
    let text = words::shown_path(Path::new(OsStr::from_bytes(path)));
    let is_plain = text.starts_with("$'") || !text.contains([' ', '\'']) && !text.contains("->");
    if is_plain { text } else { words::quoted(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_shown_as_elsewhere_and_ends_where_it_ends() {
        for (path, told) in [
            (&b"/data/wal/0.wal"[..], "/data/wal/0.wal"),
            ("/data/\u{e4}".as_bytes(), "/data/\u{e4}"),
            (br#"/data/a"b\c"#, r#"/data/a"b\c"#),
            (b"/data/a\nb\xff", r"$'/data/a\nb\xff'"),
            (br"/data/a\nb", r"/data/a\nb"),
            (b"/data/a\nb", r"$'/data/a\nb'"),
            (b"/data/a b, 4096 bytes at 0", "'/data/a b, 4096 bytes at 0'"),
            (b"/data/a->b", "'/data/a->b'"),
            (b"/data/it's", r#"'/data/it'"'"'s'"#),
        ] {
            assert_eq!(shown(path), told);
        }
    }
}
