//! Times as somebody measured them. The command line reads the file and sends a table: the daemon opens
//! no path that a client names.

use super::length::MAX;
use super::{Form, Shape};
use crate::fault::words::ValueError;

const PREFIX: &str = "file:";

pub(super) const FORM: Form = Form {
    prefix: PREFIX,
    form: "file:FILE",
    about: "as measured, by method and size: FILE is one that `slowfs record` wrote, has lines \
            `QUANTILE=TIME`, or is CSV with the columns method,len,latency_ns; its content is sent",
    read,
};

fn read(_: &str) -> Result<Shape, ValueError> {
    Err("the command line reads such a file; send what is in it as table:0=T,...,100=T, or as recorded:METHOD:0=T,...,100=T;..."
        .into())
}

/// The file that a length as typed names, and what is typed behind it.
pub(crate) fn named(typed: &str) -> Option<(&str, &str)> {
    let named = typed.strip_prefix(PREFIX)?;
    Some(named.split_at(named.rfind(MAX).unwrap_or(named.len())))
}
