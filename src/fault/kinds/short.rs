//! `short`: a read or a write moves fewer bytes than it was asked for, and says so.

use std::iter;

use super::{Class, Effect, Kind, ReadPoint};
use crate::fault::chance::Draw;
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::{Plan, Run};
use crate::fault::words::{self, Args, Param, ParamType, Value, ValueError};
use crate::ops::{Call, MethodSet};

pub(super) struct Short;

const AMOUNT: &str = "amount";

impl Kind for Short {
    fn name(&self) -> &'static str {
        "short"
    }

    fn about(&self) -> &'static str {
        "Make matching reads and writes move fewer bytes than they ask for"
    }

    fn details(&self) -> &'static str {
        "A write stores only its first bytes, and answers their number: at least 1, and less than \
         all. A read(2) returns only the first of its bytes. POSIX allows both, but many programs \
         do not expect it.\n\
         \n\
         Some requests cannot be short, and are skipped. When the kernel writes back stores of a \
         mapping, the rest would be lost silently. When a read fills the page cache, the kernel \
         would take the short answer for the end of the file; so only read(2) past the page cache \
         is short. The kernel turns a short asynchronous write past the cache (Linux AIO, \
         io_uring with O_DIRECT) into EIO.\n\
         \n\
         Reads of files that are opened while the fault is set bypass the page cache. Files that \
         were open before are out of its reach until they are opened again; `slowfs list` counts \
         them.\n\
         \n    slowfs short -m write -r '.*/wal/.*'\
         \n    slowfs short 1 -m read -p 10%\
         \n    slowfs short 512 -m read,write"
    }

    fn params(&self) -> &'static [Param] {
        &[Param {
            name: AMOUNT,
            of: ParamType::Form("SIZE|50%"),
            first: true,
            required: false,
            about: "how much is moved: a number of bytes, or a share [default: 50%]",
        }]
    }

    fn class(&self) -> Class {
        Class::Data
    }

    fn reach(&self) -> MethodSet {
        Call::Read.methods().union(Call::CopyTo.methods())
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Request
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let amount = args.text(AMOUNT).map(|text| {
            Amount::read(text).map_err(|why| SpecError::Value {
                of: self.name().to_owned(),
                param: AMOUNT.to_owned(),
                why,
            })
        });
        Ok(Box::new(Shortening { amount: amount.transpose()? }))
    }
}

/// How much of a request is moved.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Amount {
    Bytes(u64),
    Share(f64),
}

impl Amount {
    fn read(text: &str) -> Result<Amount, ValueError> {
        let none = || "write a size from 1, or a share between 0% and 100%, as in 50%".into();
        if text.contains(['%', '.']) {
            let share = words::share(text)?;
            return if share > 0.0 && share < 1.0 { Ok(Amount::Share(share)) } else { Err(none()) };
        }
        match words::bytes(text)? {
            0 => Err(none()),
            bytes => Ok(Amount::Bytes(bytes)),
        }
    }

    fn write(self) -> String {
        match self {
            Amount::Bytes(bytes) => words::bytes_text(bytes),
            Amount::Share(share) => words::percent(share),
        }
    }

    /// How many of so many bytes that is, at least 1; perhaps all.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "a request has fewer bytes than a float counts"
    )]
    fn of(self, len: u64) -> u64 {
        match self {
            Amount::Bytes(bytes) => bytes,
            Amount::Share(share) => ((len as f64 * share) as u64).max(1),
        }
    }
}

#[derive(Debug)]
struct Shortening {
    amount: Option<Amount>,
}

impl Shortening {
    /// How many bytes of the request are moved, if that are fewer than all.
    fn moved(&self, op: &Operation<'_>) -> Option<u64> {
        let len = op.span?.len;
        Some(self.amount.unwrap_or(Amount::Share(0.5)).of(len)).filter(|moved| *moved < len)
    }
}

impl Effect for Shortening {
    fn kind(&self) -> &'static dyn Kind {
        &Short
    }

    fn args(&self) -> Args {
        match self.amount {
            Some(amount) => Args::new().with(AMOUNT, Value::Text(amount.write())),
            None => Args::new(),
        }
    }

    fn applies(&self, op: &Operation<'_>) -> bool {
        !op.writeback && !op.is_paged && self.moved(op).is_some()
    }

    fn spares_the_kernel(&self) -> bool {
        true
    }

    fn skips(&self) -> &'static str {
        "of the kernel's own page cache, and those that ask for no more"
    }

    fn plan(&self, op: &Operation<'_>, _: &Draw, plan: &mut Plan) {
        let Some(moved) = self.moved(op) else { return };
        plan.changed().run = Run::Part(iter::once(0..moved).collect());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::operation::Span;
    use crate::fault::testing::request;

    #[test]
    fn at_least_a_byte_is_moved_and_never_all() {
        let moved = |amount: &str, len| {
            let amount = Some(Amount::read(amount).unwrap());
            let mut op = request(Call::Write, 1);
            op.span = Some(Span { offset: 7, len });
            let shortening = Shortening { amount };
            shortening.applies(&op).then(|| shortening.moved(&op)).flatten()
        };
        for (amount, len, expected) in [
            ("50%", 4096, Some(2048)),
            ("50%", 3, Some(1)),
            ("1%", 2, Some(1)),
            ("99%", 1, None),
            ("512", 513, Some(512)),
            ("4KiB", 4096, None),
            ("1", 0, None),
        ] {
            assert_eq!(moved(amount, len), expected, "{amount} of {len}");
        }
        for text in ["0", "0%", "100%", "1.0", "half", "", "-1"] {
            assert!(Amount::read(text).is_err(), "{text}");
        }
        assert_eq!(Amount::read("0.25").unwrap().write(), "25%");
    }
}
