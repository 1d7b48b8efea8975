//! The values of the control commands' arguments, read from what was typed.
//!
//! What does not parse is refused with the nearest thing that would.

use std::net::IpAddr;
use std::time::Duration;

use crate::fault::suggest::closest;
use crate::ops::Method;
use crate::rpc;

pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|e| format!("{e}; write it as in 300ms, 1us, 2s"))
}

pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        short if short < Duration::from_millis(10) => Err("too short; at least 10ms".into()),
        interval => Ok(interval),
    }
}

pub(super) fn parse_probability(text: &str) -> Result<f64, String> {
    let (number, scale) = match text.strip_suffix('%') {
        Some(number) => (number, 100.0),
        None => (text, 1.0),
    };
    match number.trim().parse::<f64>() {
        Ok(n) if (0.0..=scale).contains(&n) => Ok(n / scale),
        Ok(n) if scale == 1.0 && n > 1.0 && n <= 100.0 => {
            Err(format!("a fraction is at most 1; for a percentage write {n}%"))
        }
        Ok(_) => Err("it must be from 0 to 1, or from 0% to 100%".into()),
        Err(_) => Err("write a fraction or a percentage, as in 0.5 or 1%".into()),
    }
}

pub(super) fn parse_addr(text: &str) -> Result<String, String> {
    let fits = match text.rsplit_once(':') {
        _ if text.parse::<IpAddr>().is_ok() => true,
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok(),
        None => !text.is_empty(),
    };
    if fits { Ok(text.to_owned()) } else { Err("not HOST:PORT nor HOST".into()) }
}

pub(super) fn parse_method(text: &str) -> Result<String, String> {
    if text == "all" || Method::from_name(text).is_some() {
        return Ok(text.to_owned());
    }
    if text.parse::<u64>().is_ok() {
        return Err("a number is no method; one fault is cleared by `slowfs clear --id N`".into());
    }
    let names = Method::all().map(Method::name).chain(["all"]);
    Err(match closest(text, names) {
        Some(near) => format!("no such method; did you mean {near}?"),
        None => "no such method; `slowfs methods` lists them".into(),
    })
}

pub(super) fn parse_errno(text: &str) -> Result<String, String> {
    if text == "random" {
        return Ok(text.to_owned());
    }
    rpc::errno(text).map(|errno| errno.name().map_or_else(|| text.to_owned(), str::to_owned))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_judged_before_anything_is_sent() {
        for good in ["localhost", "db1:9090", "10.0.0.1:1", "::1", "[::1]:9090", "fe80::1"] {
            assert_eq!(parse_addr(good).as_deref(), Ok(good));
        }
        for bad in ["", ":99999", "127.0.0.1:65536", "db1:", ":9090", "[::1]"] {
            assert!(parse_addr(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn probabilities_are_fractions_or_percentages() {
        for (text, expected) in [("0", 0.0), ("1", 1.0), ("0.5", 0.5), ("1%", 0.01), ("100%", 1.0)]
        {
            assert_eq!(parse_probability(text), Ok(expected), "{text}");
        }
        for text in ["-1", "101%", "1.5", "", "%", "NaN", "inf", "half"] {
            assert!(parse_probability(text).is_err(), "{text}");
        }
    }
}
