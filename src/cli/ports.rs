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
    /// Where Thrift clients are served over TCP; port 0 takes a free one and prints it, PORT alone is one
    /// of this machine, ADDR alone means port 9090; `none` leaves the mount's control socket
    #[arg(
        long,
        value_name = "ADDR:PORT|none",
        overrides_with = "listen",
        default_value = "127.0.0.1:9090"
    )]
    listen: Listen,
    #[command(flatten)]
    http: Http,
    /// Serve on these ports only who comes from that network, as 10.0.0.0/8, or address, and close what others
    /// open; may be repeated. This machine is 127.0.0.1 and ::1. The control socket is not concerned
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
