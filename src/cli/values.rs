//! The values of the control commands' arguments, read from what was typed.
//!
//! What does not parse is refused with the nearest thing that would.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use crate::fault::Pattern;
use crate::fault::kinds::{self, Kind};
use crate::fault::name::Name;
use crate::fault::words::{self, ValueError};
use crate::ops::Method;

pub(super) fn parse_time(text: &str) -> Result<Duration, ValueError> {
    words::time(text)
}

/// A whole number within these bounds.
pub(super) fn parse_number<N>(
    bounds: RangeInclusive<N>,
) -> impl Fn(&str) -> Result<N, String> + Clone
where
    N: FromStr + PartialOrd + fmt::Display + Clone,
{
    move |text| {
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let (least, most) = (bounds.start(), bounds.end());
        number.ok_or_else(|| format!("write a whole number from {least} to {most}"))
    }
}

pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_time(text).map_err(|e| e.to_string())? {
        short if short < Duration::from_millis(10) => Err("too short; at least 10ms".into()),
        interval => Ok(interval),
    }
}

/// An address as it was typed, but for a port alone, which is one of this machine, and the path of a
/// socket, which becomes absolute: no host has a slash in its name.
pub(super) fn parse_addr(text: &str) -> Result<String, String> {
    if text.contains('/') && !text.contains("://") {
        let path = std::path::absolute(text).map_err(|error| error.to_string())?;
        return Ok(path.display().to_string());
    }
    let port = text.strip_prefix(':').unwrap_or(text);
    if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) {
        let port: u16 = port.parse().map_err(|_| "a port is at most 65535".to_owned())?;
        return Ok(format!("127.0.0.1:{port}"));
    }
    let fits = match text.rsplit_once(':') {
        _ if text.parse::<IpAddr>().is_ok() => true,
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok(),
        None => !text.is_empty(),
    };
    if fits {
        Ok(text.to_owned())
    } else {
        Err("not HOST:PORT, HOST, PORT nor the path of a socket".into())
    }
}

/// A method's name in any case, or `all`, as the daemon knows it.
pub(super) fn parse_method(text: &str) -> Result<String, String> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("all") {
        return Ok("all".to_owned());
    }
    if let Some(method) = Method::from_word(text) {
        return Ok(method.name().to_owned());
    }
    if text.is_empty() {
        return Err("a method is missing".to_owned());
    }
    let instead = match text.contains(char::is_whitespace) {
        true => Some("several are parted by commas, as in fsync,write".to_owned()),
        false => words::instead_of_method(text),
    };
    let instead = instead.unwrap_or_else(|| "`slowfs methods` lists them".to_owned());
    Err(format!("no such method; {instead}"))
}

pub(super) fn parse_pattern(text: &str) -> Result<String, String> {
    Pattern::new(text).map(|pattern| pattern.as_str().to_owned()).map_err(|e| e.to_string())
}

/// The regular expression that a glob stands for.
pub(super) fn parse_glob(text: &str) -> Result<String, String> {
    let regex = words::glob(text).map_err(|e| e.to_string())?;
    parse_pattern(&regex)
}

/// What `slowfs clear` clears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Cleared {
    /// This method of every fault, or `all`.
    Method(String),
    /// The fault of that name or id.
    Fault(String),
}

impl Cleared {
    /// As it was typed.
    pub(super) fn word(&self) -> &str {
        match self {
            Cleared::Method(word) | Cleared::Fault(word) => word,
        }
    }
}

pub(super) fn parse_cleared(text: &str) -> Result<Cleared, String> {
    let text = text.trim();
    match parse_method(text) {
        Ok(method) => Ok(Cleared::Method(method)),
        Err(_) => parse_fault(text).map(Cleared::Fault),
    }
}

/// A size from 1.
pub(super) fn parse_size(text: &str) -> Result<i64, String> {
    let bytes = words::bytes(text).map_err(|e| e.to_string())?;
    let size = i64::try_from(bytes).ok().filter(|size| *size > 0);
    size.ok_or_else(|| "it must be at least 1".to_owned())
}

/// The name or the id of a fault.
pub(super) fn parse_fault(text: &str) -> Result<String, String> {
    if text.parse::<u64>().is_ok() {
        return Ok(text.to_owned());
    }
    Name::new(text).map(|name| name.to_string()).map_err(|e| e.to_string())
}

/// What stands in a file that a fault names: a few figures, or what was recorded. A path that was mistyped may
/// be one without an end.
pub(super) fn read_file(path: &str) -> Result<String, ValueError> {
    read_whole(|| File::open(path))
}

/// What comes from there, which may be without an end as well.
pub(super) fn read_whole<R: Read>(
    open: impl FnOnce() -> io::Result<R>,
) -> Result<String, ValueError> {
    const MOST: u64 = 64 << 20;
    let mut text = String::new();
    let read = open().and_then(|from| from.take(MOST + 1).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes as u64 > MOST => Err("it is longer than 64 MiB".into()),
        Ok(_) => Ok(text),
        Err(error) => Err(format!("cannot read it: {error}").into()),
    }
}

/// A kind of fault as an argument.
#[derive(Clone)]
pub(super) struct KindArg(pub(super) &'static dyn Kind);

impl fmt::Debug for KindArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

pub(super) fn parse_kind(text: &str) -> Result<KindArg, String> {
    kinds::find(text).map(KindArg).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_before_anything_is_sent() {
        for good in [
            "localhost",
            "db1:9090",
            "10.0.0.1:1",
            "::1",
            "[::1]:9090",
            "fe80::1",
            "/run/slowfs/mnt",
        ] {
            assert_eq!(parse_addr(good).as_deref(), Ok(good));
        }
        for bad in ["", ":", ":99999", "99999", "127.0.0.1:65536", "db1:", "[::1]"] {
            assert!(parse_addr(bad).is_err(), "{bad}");
        }
        let here = std::env::current_dir().unwrap().join("run/mnt");
        for path in ["run/mnt", "./run/mnt"] {
            assert_eq!(parse_addr(path).as_deref(), Ok(here.to_str().unwrap()));
        }
        for port in ["9191", ":9191"] {
            assert_eq!(parse_addr(port).as_deref(), Ok("127.0.0.1:9191"));
        }
    }

    #[test]
    fn methods_names_and_ids_are_told_apart() {
        let fault = |text: &str| Ok(Cleared::Fault(text.to_owned()));
        assert_eq!(parse_cleared("fsync"), Ok(Cleared::Method("fsync".to_owned())));
        assert_eq!(parse_cleared("all"), Ok(Cleared::Method("all".to_owned())));
        assert_eq!(parse_cleared("7"), fault("7"));
        assert_eq!(parse_cleared("slow-wal"), fault("slow-wal"));
        for none in ["", "-1", "Slow", "delay"] {
            assert!(parse_cleared(none).is_err(), "{none}");
        }
    }
}
