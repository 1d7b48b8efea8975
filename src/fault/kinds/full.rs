//! `full`: a disk, or a quota, with so much left.

use std::sync::OnceLock;

use super::{Begun, Class, Effect, Kind, ReadPoint};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::ledger::Ledger;
use crate::fault::operation::Operation;
use crate::fault::plan::Plan;
use crate::fault::words::{Args, Errno, Param, ParamType};
use crate::ops::{Call, MethodSet};

pub(super) struct Full;

const FREE: &str = "free";
const INODES: &str = "inodes";
const OWNER: &str = "owner";
const ERRNO: &str = "errno";
const ENOSPC: &str = "ENOSPC";
const EDQUOT: &str = "EDQUOT";

static PARAMS: &[Param] = &[
    Param { required: true, ..Param::optional(FREE, ParamType::Size, "how many bytes are left") },
    Param::optional(INODES, ParamType::Count, "how many inodes are left [default: not counted]"),
    Param::optional(OWNER, ParamType::Count, "only files of this user (a number), as a quota does"),
    Param::optional(
        ERRNO,
        ParamType::Choice(&[ENOSPC, EDQUOT]),
        "the error when nothing is left [default: ENOSPC]",
    ),
];

impl Kind for Full {
    fn name(&self) -> &'static str {
        "full"
    }

    fn about(&self) -> &'static str {
        "Have only so much free space, and then none"
    }

    fn details(&self) -> &'static str {
        "The blocks that files occupy in the backing, of 4 KiB each, are taken from the space \
         that is left. They come back when they are truncated, punched or removed; for a removed \
         file that is open, at its last close. Overwriting existing blocks takes nothing, and \
         neither does a hole.\n\
         \n\
         If only a part of a write(2) or copy fits, it is short, and the next one fails. \
         Write-back of a mapping, fallocate(2), and what makes a file, a directory or a link is \
         done as a whole or fails. Concurrent writers never get more than there is. Space is \
         checked when the request runs, so after its delay.\n\
         \n\
         df(1) and statfs(2) show what is left, up to what the backing has. If the fault is for \
         some files only (`-r`, `--owner`), they show the space of the backing.\n\
         \n\
         With `-r`, a rename or link that brings files among the matching ones takes their space \
         as a whole, or fails; what it replaces counts. Files that leave give their space back. \
         The rename of a directory waits while everything in it is counted. A change of a file's \
         owner is never refused.\n\
         \n\
         Not counted are extended attributes, the growth of directories, and what the backing \
         allocates later by itself. What the backing frees by itself comes back when the file is \
         next truncated, or removed; if these are more than 65,536 files, not at all. In a file \
         with holes, blocks that were allocated ahead may count as new. That is so if the backing \
         does not show them: it has no FIEMAP, and is no tmpfs on Linux 6.5 or later.\n\
         \n    slowfs full --free 10MiB\
         \n    slowfs full --free 0 -r '.*/pg_wal/.*'\
         \n    slowfs full --free 1GiB --inodes 1000 --owner 999 --errno EDQUOT"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Condition
    }

    fn reach(&self) -> MethodSet {
        CHARGED.iter().fold(Call::Statfs.methods(), |set, call| set.union(call.methods()))
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Request
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let owner = args.whole(OWNER).map(|uid| {
            u32::try_from(uid).map_err(|_| SpecError::Value {
                of: self.name().to_owned(),
                param: OWNER.to_owned(),
                why: format!("{uid} is no user's number").into(),
            })
        });
        let owner = owner.transpose()?;
        let is_quota = args.text(ERRNO) == Some(EDQUOT);
        let errno = if is_quota { Errno::EDQUOT } else { Errno::ENOSPC };
        let left = (args.whole(FREE).unwrap_or_default(), args.whole(INODES));
        let ledger = Ledger::new(left, owner, errno);
        Ok(Box::new(Filling { args: args.clone(), owner, ledger, everywhere: OnceLock::new() }))
    }
}

/// What takes space or gives it back. A copy consults `write` on its target, and `copy_file_range` on its
/// source too.
const CHARGED: [Call; 14] = [
    Call::Write,
    Call::Fallocate,
    Call::SetattrSize,
    Call::SetattrSizeHandle,
    Call::SetattrOwner,
    Call::Create,
    Call::Mknod,
    Call::Mkdir,
    Call::Symlink,
    Call::Unlink,
    Call::Rmdir,
    Call::Rename,
    Call::Link,
    Call::Release,
];

/// What may be the last that has a file or a directory, or the first again: an open that races a removal
/// takes that once more, until the last close.
const OPENED: [Call; 3] = [Call::Open, Call::Opendir, Call::Releasedir];

#[derive(Debug)]
struct Filling {
    args: Args,
    owner: Option<u32>,
    ledger: Ledger,
    /// Whether it is for every path.
    everywhere: OnceLock<bool>,
}

impl Effect for Filling {
    fn kind(&self) -> &'static dyn Kind {
        &Full
    }

    fn args(&self) -> Args {
        self.args.clone()
    }

    fn begins(&self, begun: &Begun) {
        let _ = self.everywhere.set(begun.everywhere);
    }

    fn doubt(&self, everywhere: bool) -> Option<String> {
        let shown = everywhere && self.owner.is_none();
        (!shown).then(|| "df and statfs do not show it: it is for some files only".to_owned())
    }

    fn plan(&self, op: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        let shown = self.everywhere.get() == Some(&true) && self.owner.is_none();
        if op.call == Call::Statfs && shown {
            plan.changed().space = Some(self.ledger.space());
        }
    }

    /// Also what it is not set on: what is given back comes back.
    fn follows(&self) -> MethodSet {
        let all = CHARGED.iter().chain(&OPENED);
        all.fold(MethodSet::EMPTY, |set, call| set.union(call.methods()))
    }

    fn ledger(&self) -> Option<&Ledger> {
        Some(&self.ledger)
    }
}
