//! Which ports `slowfs mount` opens, and from where they may be reached.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use clap::Args;

use super::http::Http;
use super::values::parse_addr;
use crate::daemon::PortsConfig;
use crate::rpc::{self, Allow, Network};

/// What `slowfs mount` is told of them.
#[derive(Args, Clone, Debug)]
pub(super) struct Ports {
    /// Where to serve Thrift clients over TCP. Port 0 takes a free port and prints it. PORT alone means
    /// this machine, ADDR alone port 9090. With `none` there is only the control socket
    #[arg(
        long,
        value_name = "ADDR:PORT|none",
        overrides_with = "listen",
        default_value = "127.0.0.1:9090"
    )]
    listen: Listen,
    #[command(flatten)]
    http: Http,
    /// On these ports, serve only clients from this network, such as 10.0.0.0/8, or from this address. Other
    /// connections are closed. May be repeated. This machine is 127.0.0.1 and ::1
    #[arg(long, value_name = "NETWORK")]
    allow: Vec<Network>,
}

#[derive(Clone, Debug)]
struct Listen(Option<SocketAddr>);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "none" {
            return Ok(Listen(None));
        }
        let wrong = |e: &dyn std::fmt::Display| format!("not ADDR:PORT, ADDR, PORT nor none ({e})");
        let addr = parse_addr(text).map_err(|e| wrong(&e))?;
        let mut found = rpc::resolve(&addr).map_err(|e| wrong(&e))?;
        found.next().map(|a| Listen(Some(a))).ok_or_else(|| "no such address".to_owned())
    }
}

impl Ports {
    /// # Errors
    /// A path cannot be made absolute; or there is no port that could be reached from anywhere.
    pub(super) fn config(
        &self,
        absolute: impl Fn(&Path) -> anyhow::Result<PathBuf>,
    ) -> anyhow::Result<PortsConfig> {
        let (listen, http) = (self.listen.0, self.http.config(absolute)?);
        if !self.allow.is_empty() && listen.is_none() && http.is_none() {
            bail!(
                "--allow is about ports, and with --listen none and without --http there is none"
            );
        }
        Ok(PortsConfig { listen, http, allow: Allow::new(self.allow.clone()) })
    }
}
