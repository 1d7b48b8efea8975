//! Where `slowfs mount` serves HTTP, and to whom.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;

use super::values::parse_addr;
use crate::daemon::HttpConfig;
use crate::rpc;

/// What `slowfs mount` is told of it.
#[derive(Args, Clone, Debug)]
pub(super) struct Http {
    /// Also serve HTTP there, to clients that have the token: JSON, /metrics and a page. Port 0 takes a free
    /// port and prints it, PORT alone means this machine
    #[arg(long, value_name = "ADDR:PORT", requires = "http_token")]
    http: Option<Place>,
    /// The file with the token, one line. Nobody else may read it (mode 0600)
    #[arg(long, value_name = "FILE", requires = "http")]
    http_token: Option<PathBuf>,
}

#[derive(Clone, Debug)]
struct Place {
    listen: SocketAddr,
    /// The name that it was given by, if it was one.
    name: Option<String>,
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |e: &dyn std::fmt::Display| format!("not ADDR:PORT nor PORT ({e})");
        let addr = parse_addr(text).map_err(|e| wrong(&e))?;
        let without = || wrong(&"the port is missing");
        let (host, port) = addr.rsplit_once(':').ok_or_else(without)?;
        port.parse::<u16>().map_err(|_| without())?;
        let name =
            host.trim_matches(['[', ']']).parse::<IpAddr>().is_err().then(|| host.to_owned());
        // An address of IPv6 alone ends in what could be a port.
        if addr.parse::<IpAddr>().is_ok() {
            return Err(without());
        }
        let listen = rpc::resolve(&addr).map_err(|e| wrong(&e))?.next();
        Ok(Place { listen: listen.ok_or_else(|| "no such address".to_owned())?, name })
    }
}

impl Http {
    /// # Errors
    /// A path cannot be made absolute.
    pub(super) fn config(
        &self,
        absolute: impl Fn(&Path) -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<Option<HttpConfig>> {
        let Some((Place { listen, name }, token)) =
            self.http.as_ref().zip(self.http_token.as_ref())
        else {
            return Ok(None);
        };
        Ok(Some(HttpConfig { listen: *listen, name: name.clone(), token: absolute(token)? }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_a_port_and_maybe_a_name() {
        let place = |text: &str| {
            let place = text.parse::<Place>();
            place.map(|Place { listen, name }| (listen.to_string(), name))
        };
        let at =
            |listen: &str, name: Option<&str>| Ok((listen.to_owned(), name.map(str::to_owned)));
        assert_eq!(place("127.0.0.1:9464"), at("127.0.0.1:9464", None));
        assert_eq!(place("9464"), at("127.0.0.1:9464", None));
        assert_eq!(place("[::]:0"), at("[::]:0", None));
        assert_eq!(place("localhost:80").unwrap().1.as_deref(), Some("localhost"));
        for wrong in ["127.0.0.1", "::1", "none", "/run/socket", ""] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
