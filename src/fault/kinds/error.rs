//! `error`: a request fails.

use super::{Class, Effect, Kind, when};
use crate::fault::chance::{Draw, Purpose};
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{Plan, Reply, When};
use crate::fault::words::{Args, Errno, Param, ParamType, Value};
use crate::ops::{Call, MethodSet};

pub(super) struct Error;

const ERRNOS: &str = "errnos";
const RANDOM: &str = "random";

/// What may be done and reported as failed: what changes something and what is to last. Of the others
/// nobody could tell whether they were done, or the kernel would go on with what it was not given.
const LATE: [Call; 20] = [
    Call::SetattrMode,
    Call::SetattrOwner,
    Call::SetattrSize,
    Call::SetattrSizeHandle,
    Call::SetattrTimes,
    Call::Mknod,
    Call::Mkdir,
    Call::Unlink,
    Call::Rmdir,
    Call::Symlink,
    Call::Rename,
    Call::Link,
    Call::Write,
    Call::Fsync,
    Call::Fdatasync,
    Call::Fsyncdir,
    Call::Setxattr,
    Call::Removexattr,
    Call::Fallocate,
    Call::CopyTo,
];

const PARAMS: &[Param] = &[
    Param {
        name: ERRNOS,
        of: ParamType::Errnos,
        first: true,
        required: true,
        about: "names or numbers of errors, of which one is drawn each time; or `random`",
    },
    when::param("fail in place of the operation, or after it is done [default: before]"),
];

impl Kind for Error {
    fn name(&self) -> &'static str {
        "error"
    }

    fn about(&self) -> &'static str {
        "Fail matching operations"
    }

    fn details(&self) -> &'static str {
        "The operation is not done, and fails with one of these errors, each equally likely. \
         `random` draws any error from E2BIG to EXFULL.\n\
         \n\
         With `--when after` the operation is done, but fails all the same. That is for \
         operations that change something, and for syncs. On unlink, rmdir and rename it needs \
         Linux 6.16, and may detach filesystems that are mounted within the mirror. With \
         `--writeback-cache` it is refused on what changes the size or the modification time of a \
         file.\n\
         \n    slowfs error EIO -m fsync -p 1%\
         \n    slowfs error ENOSPC,EDQUOT -m write,fallocate --for 1m\
         \n    slowfs error EIO --when after -m fsync,rename --count 1"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Answer
    }

    fn answers(&self) -> bool {
        true
    }

    fn idle_on(&self) -> (MethodSet, &'static str) {
        let unheard = Call::Release.methods().union(Call::Releasedir.methods());
        (unheard, "no program learns how it ended; close(2) reports flush")
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let errnos = match args.texts(ERRNOS) {
            [word] if word == RANDOM => Errnos::Random,
            words => {
                let errno = |word: &String| Errno::from_word(word);
                Errnos::OneOf(words.iter().map(errno).collect::<Result<_, _>>()?)
            }
        };
        Ok(Box::new(Failing { errnos, when: when::read(args).unwrap_or_default() }))
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Errnos {
    /// One of these, each equally likely.
    OneOf(Box<[Errno]>),
    /// One of the contract's range (charybdefs-contract, section 2).
    Random,
}

impl Errnos {
    /// One of them, by a draw where there are several: that costs more than all else of a plan.
    fn pick(&self, draw: impl FnOnce() -> u64) -> Option<Errno> {
        match self {
            Errnos::OneOf(list) if list.len() == 1 => list.first().copied(),
            Errnos::OneOf(list) => {
                let place = (u128::from(draw()) * list.len() as u128) >> 64;
                list.get(usize::try_from(place).ok()?).copied()
            }
            Errnos::Random => Some(Errno::from_draw(draw())),
        }
    }
}

#[derive(Debug)]
struct Failing {
    errnos: Errnos,
    when: When,
}

impl Effect for Failing {
    fn kind(&self) -> &'static dyn Kind {
        &Error
    }

    fn args(&self) -> Args {
        let texts = match &self.errnos {
            Errnos::OneOf(list) => list.iter().map(Errno::to_string).collect(),
            Errnos::Random => vec![RANDOM.to_owned()],
        };
        when::told(Args::new().with(ERRNOS, Value::Texts(texts)), self.when)
    }

    fn reach(&self) -> MethodSet {
        match self.when {
            When::Before => MethodSet::ALL,
            When::After => {
                LATE.iter().fold(MethodSet::EMPTY, |set, call| set.union(call.methods()))
            }
        }
    }

    fn fails_late(&self) -> bool {
        self.when == When::After
    }

    fn plan(&self, _: &Operation<'_>, draw: &Draw, plan: &mut Plan) {
        if let Some(errno) = self.errnos.pick(|| draw.bits(Purpose::Errno)) {
            plan.reply = Reply::Errno(errno, self.when);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn list_is_drawn_evenly_and_wholly() {
        let list: Box<[Errno]> = [5, 28, 122].into_iter().map(|n| Errno::new(n).unwrap()).collect();
        let errnos = Errnos::OneOf(list.clone());
        for (place, errno) in list.iter().enumerate() {
            let third = u64::MAX / 3;
            assert_eq!(errnos.pick(|| place as u64 * third + third / 2), Some(*errno));
        }
        assert_eq!(errnos.pick(|| u64::MAX).unwrap().raw(), 122);
    }

    proptest! {
        #[test]
        fn pick_never_leaves_the_list(draw in any::<u64>(), n in 1usize..20) {
            let list = (1..=n as i32).map(|n| Errno::new(n).unwrap()).collect();
            prop_assert!(Errnos::OneOf(list).pick(|| draw).is_some());
        }
    }
}
