//! Which times a request takes: those of its own method, else those of one that a disk serves alike. No locks.

use std::collections::{BTreeMap, BTreeSet};

use super::{Measured, Recording, Times};
use crate::fault::distributions::{Class, Part, Recorded, Table, own_method};
use crate::fault::words::ValueError;
use crate::ops::{Call, Method};

/// Requests that a disk serves alike, and among these those that are yet more so; those first that most are like.
const ALIKE: [&[&[Call]]; 4] = [
    &[&[Call::Fsync, Call::Fdatasync, Call::Fsyncdir]],
    &[
        &[
            Call::Create,
            Call::Rename,
            Call::Unlink,
            Call::Mkdir,
            Call::Rmdir,
            Call::Link,
            Call::Symlink,
            Call::Mknod,
        ],
        &[
            Call::SetattrSize,
            Call::SetattrSizeHandle,
            Call::SetattrMode,
            Call::SetattrOwner,
            Call::SetattrTimes,
            Call::Setxattr,
            Call::Removexattr,
            Call::Fallocate,
        ],
    ],
    &[&[Call::Getattr, Call::GetattrHandle, Call::Getxattr, Call::Listxattr, Call::Readlink]],
    &[&[Call::Open, Call::Opendir]],
];

/// What requests are to draw from.
#[derive(Debug)]
pub(crate) struct Drawn {
    times: From,
    /// Methods that were not measured, and by which they go.
    pub(crate) near: Vec<(Method, Method)>,
    /// Those that nothing was measured for.
    pub(crate) none: Vec<Method>,
}

#[derive(Debug)]
enum From {
    /// All of one table.
    Any(Table),
    Each(Recorded),
    Nothing,
}

impl Drawn {
    /// As it is typed; None if there is nothing for any of them.
    pub(crate) fn length(&self) -> Option<String> {
        match &self.times {
            From::Any(table) => Some(of_all(table)),
            From::Each(recorded) => Some(recorded.text()),
            From::Nothing => None,
        }
    }

    /// The same, as one table where there is but one for all of them.
    pub(crate) fn shortest(&self) -> Option<String> {
        match &self.times {
            From::Each(recorded) if self.none.is_empty() => {
                recorded.only().map(of_all).or_else(|| self.length())
            }
            _ => self.length(),
        }
    }
}

fn of_all(table: &Table) -> String {
    format!("table:{}", table.text())
}

impl Recording {
    /// What these requests are to draw from.
    ///
    /// # Errors
    /// The classes do not go together.
    pub(crate) fn drawn(&self, calls: impl Iterator<Item = Call>) -> Result<Drawn, ValueError> {
        let each = match &self.times {
            Times::Any(table) => {
                let times = From::Any(table.clone());
                return Ok(Drawn { times, near: Vec::new(), none: Vec::new() });
            }
            Times::Each(each) => each,
        };
        let (mut near, mut none) = (BTreeSet::new(), BTreeSet::new());
        let mut sources: BTreeMap<Method, BTreeSet<Method>> = BTreeMap::new();
        for call in calls {
            let Some(method) = own_method(call) else { continue };
            // Both sides of a copy are told by one name.
            if sources.values().any(|methods| methods.contains(&method)) {
                continue;
            }
            let own = self.own(call);
            match own.or_else(|| self.alike(call)) {
                None => none.extend([method]),
                Some(source) => {
                    sources.entry(source).or_default().extend([method]);
                    near.extend(own.is_none().then_some((method, source)));
                }
            }
        }
        none.retain(|method| !sources.values().any(|methods| methods.contains(method)));
        let part = |(class, measured): (&Class, &Measured)| {
            let methods = sources.get(&class.method)?.iter();
            let classes = methods.map(|method| Class { method: *method, size: class.size });
            Some(Part { classes: classes.collect(), table: measured.table.clone() })
        };
        let parts: Vec<_> = each.iter().filter_map(part).collect();
        let times = if parts.is_empty() { From::Nothing } else { From::Each(Recorded::of(parts)?) };
        Ok(Drawn { times, near: near.into_iter().collect(), none: none.into_iter().collect() })
    }

    /// The method whose times are those of such requests.
    fn own(&self, call: Call) -> Option<Method> {
        let measured = |method: Method| self.has(method).then_some(method);
        own_method(call).and_then(measured).or_else(|| {
            // As an fsync's are a fdatasync's, and a write's those of the copy that ends in it.
            call.methods().iter().map(Class::method).find_map(measured)
        })
    }

    fn alike(&self, call: Call) -> Option<Method> {
        let group = ALIKE.iter().find(|group| group.iter().any(|of| of.contains(&call)))?;
        let (own, others): (Vec<&[Call]>, Vec<&[Call]>) =
            group.iter().partition(|of| of.contains(&call));
        let calls = own.into_iter().chain(others).flat_map(|of| of.iter());
        calls.filter_map(|call| own_method(*call)).find(|method| self.has(*method))
    }

    fn has(&self, method: Method) -> bool {
        self.rows().any(|row| row.method == method)
    }
}
