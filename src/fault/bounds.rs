//! What faults cannot do: on this mount, beside each other, or at all. Told to who sets them and who
//! lists them. No locks.

use std::collections::BTreeSet;

use super::called::FaultRef;
use super::id::FaultId;
use super::listed::Listed;
use super::reach::Reach;
use super::spec::Fault;
use super::table::FaultTable;
use super::words::{Pattern, visible};
use crate::ops::{Call, Method, MethodSet, Obstacle};

/// What faults cannot do on a mount.
#[derive(Clone, Debug, Default)]
pub struct Bounds {
    /// The obstacles in force: methods that have one of them cannot fire.
    pub obstacles: Vec<Obstacle>,
    /// The pattern of the files that the kernel does not serve by itself; None: it serves none.
    pub passthrough_except: Option<String>,
    /// Where it is, if that is known.
    pub reach: Option<Reach>,
    /// The kernel keeps the entries that it trusts, whatever it is told.
    pub keeps_entries: bool,
    /// The kernel keeps the sizes and times of files, whatever it is told (`--writeback-cache`).
    pub keeps_sizes: bool,
    /// What is not durable is remembered (`--track-unsynced`).
    pub tracks: bool,
}

/// What changes the size of a file or its time of modification.
const RESIZING: [Call; 6] = [
    Call::Write,
    Call::CopyTo,
    Call::Fallocate,
    Call::SetattrSize,
    Call::SetattrSizeHandle,
    Call::SetattrTimes,
];

impl Bounds {
    /// Why a fault cannot be set here, if so. Who is told that a name stands, and finds it in the cache
    /// though it is gone, would see what never was; and so would who finds a file's old size.
    #[must_use]
    pub(crate) fn refuses(&self, fault: &Fault) -> Option<String> {
        let effects = fault.effects();
        let among = |calls: &[Call]| {
            let all = calls.iter().fold(MethodSet::EMPTY, |all, call| all.union(call.methods()));
            let methods = fault.scope().methods;
            Some(methods.minus(methods.minus(all))).filter(|among| !among.is_empty())
        };
        let unseen = effects.iter().find_map(|effect| effect.needs_tracking());
        if let Some(unseen) = unseen.filter(|_| !self.tracks) {
            return Some(format!(
                "{unseen} needs a mount with --track-unsynced, which remembers what is lost"
            ));
        }
        let spares = effects.iter().find(|effect| effect.spares_the_kernel());
        if let Some(spares) = spares.filter(|_| self.keeps_sizes)
            && let Some(writing) = among(&[Call::Write])
        {
            let kind = spares.kind().name();
            return Some(format!(
                "{kind} on {writing} cannot be on a mount with --writeback-cache, where all writes are the \
                 kernel's own, which it leaves alone; leave {writing} out"
            ));
        }
        let late = effects.iter().find(|effect| effect.fails_late())?.kind().name();
        if self.keeps_sizes
            && let Some(resizing) = among(&RESIZING)
        {
            return Some(format!(
                "{late} --when after on {resizing} cannot be on a mount with --writeback-cache, as the kernel \
                 takes no size and no time of a file from there; leave {resizing} out"
            ));
        }
        let removing = [Call::Unlink, Call::Rmdir, Call::Rename];
        let stale = among(&removing).filter(|_| self.keeps_entries)?;
        Some(format!(
            "{late} --when after on {stale} needs Linux 6.16 or later, as only that drops what it \
             knows of names; leave {stale} out"
        ))
    }

    /// Why that method cannot fire, if it cannot.
    #[must_use]
    pub(crate) fn obstacle(&self, method: Method) -> Option<&'static str> {
        let obstacle = method.obstacle().filter(|o| self.obstacles.contains(o));
        obstacle.map(|obstacle| obstacle.reason())
    }

    /// The files that a fault on these methods does not reach, if there may be any: those that the
    /// kernel serves by itself. Whether another pattern fits some of them cannot be told.
    #[must_use]
    pub(crate) fn out_of_reach(&self, methods: MethodSet, pattern: &Pattern) -> Option<String> {
        let except = self.passthrough_except.as_ref()?;
        let data = Call::Read.methods().union(Call::Write.methods());
        let may_miss = methods.intersects(data) && pattern.as_str() != except;
        may_miss.then(|| {
            let except = visible(except);
            format!("files outside of \"{except}\", which the kernel reads and writes by itself")
        })
    }

    /// What else a fault cannot do, a line each; it stands behind that other, if one hides it.
    #[must_use]
    pub(crate) fn warnings(&self, fault: &Listed, behind: Option<FaultId>) -> Vec<String> {
        let behind = behind.map(|first| {
            format!("it cannot fire as long as fault {first} is set, which always fires first")
        });
        let unseen = (fault.unseen > 0).then(|| {
            format!(
                "--pid matched none of the requests ({}) of processes in a pid namespace that the \
                 daemon cannot see",
                fault.unseen
            )
        });
        let pattern = &fault.fault.scope().pattern;
        let missed = self.reach.as_ref().and_then(|reach| reach.missed_by(pattern));
        let own = fault.fault.futile();
        let cannot = self.cannot_fire(fault.methods).into_iter().chain(missed);
        cannot.chain(behind).chain(own).chain(unseen).collect()
    }

    /// What faults that were just put in force together cannot do, with their numbers: so many lines of it, and
    /// how many more there are.
    #[must_use]
    pub(crate) fn warnings_of_all(
        &self,
        table: &FaultTable,
        ids: &[FaultId],
        most: usize,
    ) -> Vec<String> {
        let (mut told, mut more) = (Vec::new(), 0);
        let together: BTreeSet<FaultId> = ids.iter().copied().collect();
        for id in ids {
            // What one of them hides of the others is told of those.
            let warnings = self.warnings_of(table, *id, &together);
            let left = warnings.len().min(most - told.len());
            more += warnings.len() - left;
            told.extend(warnings.iter().take(left).map(|why| format!("fault {id}: {why}")));
        }
        if more > 0 {
            told.push(format!("{more} more such warnings; `slowfs list` tells them"));
        }
        told
    }

    /// The same of one that was just put in force, and which others cannot fire because of it, but for those that
    /// came with it: of them that is told itself.
    #[must_use]
    pub(crate) fn warnings_of(
        &self,
        table: &FaultTable,
        id: FaultId,
        beside: &BTreeSet<FaultId>,
    ) -> Vec<String> {
        let fault = table.find(&FaultRef::Id(id));
        let own = fault.as_ref().map(|own| self.warnings(own, table.hider(id)));
        let own = own.unwrap_or_default();
        let others = table.hidden_by(id).into_iter().filter(|other| !beside.contains(other));
        let others = others.map(|other| {
            format!(
                "fault {other} cannot fire as long as this one is set, which always fires first"
            )
        });
        let unjudged = fault.and_then(|own| {
            let reach = self.reach.as_ref()?;
            reach.unjudged(&own.fault.scope().pattern)
        });
        own.into_iter().chain(unjudged).chain(others).collect()
    }

    /// That a fault on these methods never fires here, and why.
    fn cannot_fire(&self, methods: MethodSet) -> Option<String> {
        let reason = |method: Method| Some(format!("{method}: {}", self.obstacle(method)?));
        let among = Method::all().filter(|method| methods.intersects((*method).into()));
        let reasons: Option<Vec<String>> = among.map(reason).collect();
        reasons.map(|reasons| format!("it cannot fire on this mount ({})", reasons.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::testing::fault;

    #[test]
    fn names_that_the_kernel_keeps_are_not_to_change_unseen() {
        let old = Bounds { keeps_entries: true, ..Bounds::default() };
        let late = fault("error EIO --when after -m fsync,unlink,rename");
        let told = old.refuses(&late).unwrap();
        assert!(told.starts_with("error --when after on rename,unlink needs Linux 6.16"), "{told}");
        let sized = Bounds { keeps_sizes: true, ..Bounds::default() };
        for method in [
            "write",
            "write_buf",
            "copy_file_range",
            "fallocate",
            "truncate",
            "ftruncate",
            "utimens",
        ] {
            let told = sized.refuses(&fault(&format!("error EIO --when after -m fsync,{method}")));
            let told = told.unwrap();
            assert!(told.starts_with("error --when after on "), "{told}");
            assert!(told.contains(" cannot be on a mount with --writeback-cache"), "{told}");
            assert!(!told.contains("fsync"), "{told}");
        }
        for bounds in [Bounds::default(), sized] {
            assert_eq!(bounds.refuses(&late), None);
            assert_eq!(bounds.refuses(&fault("error EIO -m write,truncate")), None);
        }
        for line in
            ["error EIO --when after -m fsync,mkdir", "error EIO -m unlink", "delay 1s -m all"]
        {
            assert_eq!(old.refuses(&fault(line)), None, "{line}");
        }
    }

    #[test]
    fn what_spares_the_kernel_needs_writes_of_others() {
        let back = Bounds { keeps_sizes: true, ..Bounds::default() };
        let short = fault("short -m read,write");
        let told = back.refuses(&short).unwrap();
        assert!(told.starts_with("short on write cannot be on a mount"), "{told}");
        assert_eq!(back.refuses(&fault("short -m read")), None);
        assert_eq!(Bounds::default().refuses(&short), None);
    }
}
