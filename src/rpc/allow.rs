//! From where the ports may be reached (`--allow`). The mount's own socket is not concerned. No locks.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use thiserror::Error;

/// All addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The first of them; an address of IPv4 never as one of IPv6.
    first: IpAddr,
    bits: u32,
}

/// Why a text names no network.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadNetwork {
    /// What stands before the slash is none.
    #[error(
        "write a network, as in 10.0.0.0/8 or fd00::/8, or one address; names are not looked up"
    )]
    Address,
    /// What stands behind it is none.
    #[error("the number behind the slash is how many bits are fixed, {least} to {most}")]
    Bits {
        /// The least.
        least: u32,
        /// The most.
        most: u32,
    },
    /// It is an address within a network.
    #[error("it has bits beyond the first {bits}; write {network}")]
    Beyond {
        /// How many are fixed.
        bits: u32,
        /// The network that it is in.
        network: Network,
    },
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Network, BadNetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let typed: IpAddr = address.parse().map_err(|_| BadNetwork::Address)?;
        // One of IPv4 that is written as IPv6 has this many bits more.
        let more = width(typed) - width(typed.to_canonical());
        let (least, most) = (more, width(typed));
        let bits = match bits {
            None => Some(most),
            Some(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            Some(_) => None,
        };
        let bits = bits.filter(|bits| (least..=most).contains(bits));
        let bits = bits.ok_or(BadNetwork::Bits { least, most })?;
        let (address, bits) = (typed.to_canonical(), bits - more);
        let network = Network { first: first(address, bits), bits };
        if network.first == address {
            Ok(network)
        } else {
            Err(BadNetwork::Beyond { bits, network })
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bits == width(self.first) {
            true => self.first.fmt(f),
            false => write!(f, "{}/{}", self.first, self.bits),
        }
    }
}

impl Network {
    fn has(&self, address: IpAddr) -> bool {
        width(address) == width(self.first) && first(address, self.bits) == self.first
    }
}

fn width(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address with its bits beyond these at zero.
fn first(address: IpAddr, bits: u32) -> IpAddr {
    match address {
        IpAddr::V4(own) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            Ipv4Addr::from_bits(own.to_bits() & mask).into()
        }
        IpAddr::V6(own) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            Ipv6Addr::from_bits(own.to_bits() & mask).into()
        }
    }
}

/// The networks that are let in; none means every one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allow(Vec<Network>);

impl Allow {
    /// These, or every one where there is none.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Allow {
        Allow(networks)
    }

    /// They, as they are typed.
    #[must_use]
    pub(crate) fn networks(&self) -> Vec<String> {
        self.0.iter().map(Network::to_string).collect()
    }

    /// Whether who has that address is let in.
    #[must_use]
    pub fn lets_in(&self, address: IpAddr) -> bool {
        // A port of both protocols tells of IPv4 in the form of IPv6.
        let address = address.to_canonical();
        self.0.is_empty() || self.0.iter().any(|network| network.has(address))
    }

    /// Whether it leaves nobody out who could be told apart.
    #[must_use]
    pub(crate) fn is_everybody(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(|network| network.bits == 0)
    }
}

impl fmt::Display for Allow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "everywhere" } else { "" })?;
        f.write_str(&self.networks().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allow(networks: &[&str]) -> Allow {
        Allow::new(networks.iter().map(|text| text.parse().unwrap()).collect())
    }

    fn lets_in(allow: &Allow, address: &str) -> bool {
        allow.lets_in(address.parse().unwrap())
    }

    #[test]
    fn a_network_lets_in_what_begins_as_it_does() {
        let some = allow(&["10.1.0.0/16", "192.0.2.7", "fd00::/9", "::1"]);
        for (address, wanted) in [
            ("10.1.0.0", true),
            ("10.1.255.255", true),
            ("10.2.0.0", false),
            ("10.0.255.255", false),
            ("192.0.2.7", true),
            ("192.0.2.6", false),
            ("127.0.0.1", false),
            ("::ffff:10.1.2.3", true),
            ("::ffff:10.2.2.3", false),
            ("fd7f:ffff::1", true),
            ("fd80::", false),
            ("::1", true),
            ("::", false),
            // The same bits, but not the same protocol.
            ("a01::", false),
            ("::10.1.2.3", false),
        ] {
            assert_eq!(lets_in(&some, address), wanted, "{address}");
        }
        assert!(lets_in(&Allow::default(), "10.2.0.0"));
    }

    #[test]
    fn all_of_one_protocol_is_none_of_the_other() {
        let old = allow(&["0.0.0.0/0"]);
        assert!(lets_in(&old, "10.0.0.1") && lets_in(&old, "::ffff:10.0.0.1"));
        assert!(!lets_in(&old, "::1"));
        assert_eq!(allow(&["::ffff:0.0.0.0/96"]), old);
        let new = allow(&["::/0"]);
        assert!(lets_in(&new, "fd00::1") && !lets_in(&new, "::ffff:10.0.0.1"));
        assert_eq!(allow(&["::ffff:10.0.0.0/104"]), allow(&["10.0.0.0/8"]));
        for (networks, wanted) in [
            (&[][..], true),
            (&["10.0.0.0/8"], false),
            (&["::1", "0.0.0.0/0"], true),
            (&["::/0"], true),
        ] {
            assert_eq!(allow(networks).is_everybody(), wanted, "{networks:?}");
        }
    }

    #[test]
    fn what_names_no_network_is_refused() {
        let why = |text: &str| text.parse::<Network>().unwrap_err().to_string();
        for none in ["", "/8", "db1", "10.0.0/8", "10.0.0.256", "localhost/8", "fe80::1%eth0"] {
            assert!(why(none).starts_with("write a network"), "{none}: {}", why(none));
        }
        for none in ["10.0.0.0/", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/8/8", "10.0.0.0/-1"] {
            assert!(why(none).ends_with("0 to 32"), "{none}: {}", why(none));
        }
        assert!(why("fd00::/129").ends_with("0 to 128"));
        assert!(why("::ffff:10.0.0.0/8").ends_with("96 to 128"));
        assert_eq!(why("10.0.0.5/8"), "it has bits beyond the first 8; write 10.0.0.0/8");
        assert_eq!(why("fd00::1/64"), "it has bits beyond the first 64; write fd00::/64");
    }

    #[test]
    fn a_network_is_told_as_it_is_typed() {
        for text in ["10.0.0.0/8", "192.0.2.7", "fd00::/8", "::1", "0.0.0.0/0"] {
            assert_eq!(text.parse::<Network>().unwrap().to_string(), text);
        }
        assert_eq!(allow(&["10.0.0.0/8", "::1"]).to_string(), "10.0.0.0/8, ::1");
    }
}
