//! Who may ask over HTTP, and what for.
//!
//! Against whoever gets a browser to ask: pages of others (Origin), names of others that lead here (Host),
//! forms (Content-Type). Over TCP, against all others: a token. On the socket the kernel has seen to that:
//! only the mount's owner may connect. No locks.

use std::net::IpAddr;

use sha2::{Digest as _, Sha256};

use super::answer::{Refused, Status};
use super::request::Head;

/// Who may ask over TCP.
#[derive(Clone)]
pub struct Access {
    /// Of the token; what takes its time with it tells nothing of the token itself.
    digest: [u8; 32],
    /// The name that the address was given by, if it was one.
    name: Option<String>,
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Access")
    }
}

impl Access {
    /// Who has this token, by an address of this machine or by that name of it.
    #[must_use]
    pub fn new(token: &str, name: Option<&str>) -> Access {
        let name = name.map(str::to_ascii_lowercase);
        Access { digest: Sha256::digest(token).into(), name }
    }

    fn knows(&self, authorization: &str) -> bool {
        let (scheme, token) = authorization.split_once(' ').unwrap_or_default();
        let digest: [u8; 32] = Sha256::digest(token.trim()).into();
        scheme.eq_ignore_ascii_case("bearer") && digest == self.digest
    }
}

/// Which way a connection has come.
#[derive(Clone, Copy, Debug)]
pub(super) enum Way<'a> {
    /// Over the mount's socket.
    Socket,
    /// Over TCP, to that address of this machine.
    Net(&'a Access, Option<IpAddr>),
}

/// Names of this machine that nobody else can have.
const OWN_NAMES: [&str; 2] = ["localhost", "slowfs"];

/// Whether the request is to be served; at a path that is open to anybody who comes by a name of ours.
pub(super) fn admit(head: &Head, way: Way<'_>, is_open: bool) -> Result<(), Refused> {
    own_host(head, way)?;
    own_origin(head)?;
    if let Way::Net(access, _) = way
        && !is_open
        && !head.authorization.as_ref().is_some_and(|given| access.knows(given))
    {
        let why = "give the token of --http-token: Authorization: Bearer TOKEN";
        return Err(Refused::new(Status::NoToken, why));
    }
    let changes = !matches!(head.method.as_str(), "GET" | "HEAD");
    if changes && !head.content_type.as_deref().is_some_and(is_json) {
        let why = "a change needs the field Content-Type: application/json";
        return Err(Refused::new(Status::NotJson, why));
    }
    Ok(())
}

/// Whether the peer came by a name or an address of this mount. One who has led a name of his own here, in
/// order to have a browser ask, has another one.
fn own_host(head: &Head, way: Way<'_>) -> Result<(), Refused> {
    // Only HTTP/1.0 goes without, which browsers do not speak.
    let Some(host) = &head.host else { return Ok(()) };
    let name = host_name(host).to_ascii_lowercase();
    let ip = name.trim_matches(['[', ']']).parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
    let is_own = OWN_NAMES.contains(&name.as_str())
        || ip.is_some_and(|ip| ip.is_loopback())
        || match way {
            Way::Socket => false,
            Way::Net(access, own) => {
                access.name.as_ref() == Some(&name) || ip.is_some() && ip == own
            }
        };
    if is_own {
        return Ok(());
    }
    let why = format!(
        "Host is {host}, which is not this mount's: write localhost, an address of this machine, or the name \
         that --http was given"
    );
    Err(Refused::new(Status::Foreign, why))
}

/// Without the port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    }
}

/// Whether it is our own page that asks, if a page does.
fn own_origin(head: &Head) -> Result<(), Refused> {
    let Some(origin) = &head.origin else { return Ok(()) };
    let host = head.host.as_deref().unwrap_or_default();
    let of = origin.split_once("://").filter(|(scheme, _)| scheme.eq_ignore_ascii_case("http"));
    if of.is_some_and(|(_, of)| of.eq_ignore_ascii_case(host)) {
        return Ok(());
    }
    let why = format!("a page of {origin} may not ask here");
    Err(Refused::new(Status::Foreign, why))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access() -> Access {
        Access::new("secret", Some("DB-1"))
    }

    fn head(fields: &[(&str, &str)]) -> Head {
        let given = |name| {
            let field = fields.iter().find(|(own, _)| *own == name);
            field.map(|(_, value)| (*value).to_owned())
        };
        Head {
            method: given("method").unwrap_or_else(|| "GET".to_owned()),
            path: vec!["v1".to_owned(), "faults".to_owned()],
            host: given("host"),
            origin: given("origin"),
            authorization: given("authorization"),
            content_type: given("type"),
            ..Head::default()
        }
    }

    fn status(result: Result<(), Refused>) -> u16 {
        result.map_or_else(|refused| refused.status.code(), |()| 200)
    }

    #[test]
    fn only_names_of_this_mount_are_hosts() {
        let access = access();
        let own = "10.0.0.7".parse().ok();
        for (host, socket, net) in [
            ("localhost", 200, 200),
            ("LocalHost:9464", 200, 200),
            ("slowfs", 200, 200),
            ("127.0.0.1:80", 200, 200),
            ("[::1]:80", 200, 200),
            ("[::ffff:127.0.0.1]", 200, 200),
            ("10.0.0.7:9464", 403, 200),
            ("[::ffff:10.0.0.7]", 403, 200),
            ("db-1:9464", 403, 200),
            ("10.0.0.8", 403, 403),
            ("evil.example", 403, 403),
            ("localhost.evil.example", 403, 403),
            ("127.0.0.1.evil.example", 403, 403),
            ("evil.example:127", 403, 403),
            ("", 403, 403),
        ] {
            let asked = head(&[("host", host), ("authorization", "Bearer secret")]);
            assert_eq!(status(admit(&asked, Way::Socket, false)), socket, "{host}");
            let over_net = admit(&asked, Way::Net(&access, own), false);
            assert_eq!(status(over_net), net, "{host}");
        }
        assert_eq!(status(admit(&head(&[]), Way::Socket, false)), 200);
    }

    #[test]
    fn only_our_own_page_asks() {
        for (origin, wanted) in [
            ("http://localhost:80", 200),
            ("HTTP://LOCALHOST:80", 200),
            ("http://localhost", 403),
            ("http://localhost:3000", 403),
            ("https://localhost:80", 403),
            ("http://evil.example", 403),
            ("null", 403),
            ("", 403),
        ] {
            let asked = head(&[("host", "localhost:80"), ("origin", origin)]);
            assert_eq!(status(admit(&asked, Way::Socket, true)), wanted, "{origin}");
        }
    }

    #[test]
    fn over_tcp_a_token_is_needed_and_the_page_and_the_health_are_open() {
        let access = access();
        let way = Way::Net(&access, None);
        for (given, wanted) in [
            ("Bearer secret", 200),
            ("bearer  secret ", 200),
            ("Bearer secre", 401),
            ("Bearer secrett", 401),
            ("Bearer ", 401),
            ("Basic secret", 401),
            ("secret", 401),
        ] {
            let asked = head(&[("host", "localhost"), ("authorization", given)]);
            assert_eq!(status(admit(&asked, way, false)), wanted, "{given}");
        }
        let asked = head(&[("host", "localhost")]);
        assert_eq!(status(admit(&asked, way, false)), 401);
        assert_eq!(status(admit(&asked, way, true)), 200);
    }

    #[test]
    fn changes_are_json() {
        for method in ["PUT", "POST", "DELETE", "PATCH"] {
            for (content_type, wanted) in [
                ("application/json", 200),
                ("Application/JSON; charset=utf-8", 200),
                ("text/plain", 415),
                ("application/jsonp", 415),
                ("application/x-www-form-urlencoded", 415),
            ] {
                let asked = head(&[("method", method), ("type", content_type)]);
                assert_eq!(
                    status(admit(&asked, Way::Socket, false)),
                    wanted,
                    "{method} {content_type}"
                );
            }
            let bare = head(&[("method", method)]);
            assert_eq!(status(admit(&bare, Way::Socket, false)), 415, "{method}");
        }
    }
}
