//! How clients reach mounts: the usual port, and the control sockets.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::finding::Finding;
use super::scene::{Scene, counted};
use crate::sys::process::{self, Openers};
use crate::sys::text_of;

/// The usual one of charybdefs's clients.
const PORT: u16 = 9090;

/// How long the search for who listens may take.
const SEARCHING: Duration = Duration::from_secs(2);

pub(super) fn port(scene: &Scene) -> Finding {
    let error = match bind() {
        Ok(()) => return Finding::ok("it is free", "the next mount serves clients there"),
        Err(error) => error,
    };
    let another = "for a further mount name another port: `slowfs mount --listen 127.0.0.1:0`, or none by \
                   `--listen none`";
    let found = listeners();
    if let Some(own) = own(scene, found.as_ref()) {
        return Finding::note(
            format!("{own} listens there"),
            "it is reached as charybdefs is; a further mount needs a port of its own",
            another,
        );
    }
    let is = match error.kind() {
        io::ErrorKind::AddrInUse => format!("{} listens there", named(found.as_ref())),
        _ => format!("it cannot be bound: {}", text_of(&error)),
    };
    let means = "`slowfs mount` is refused unless another port is named";
    Finding::to_do(is, means, format!("end that, or {another}"))
}

/// Whether a mount could listen there. Nobody can connect meanwhile, as nobody listens; and the port is bound
/// only where somebody listens at that port, perhaps of another address.
fn bind() -> io::Result<()> {
    let is_seen = |table: &io::Result<String>| {
        table.as_ref().map_or(true, |table| socket_of(table).is_some())
    };
    // Port 0 is any that nobody has.
    let port = if tables().iter().any(is_seen) { PORT } else { 0 };
    let flags = SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    set_socket_reuseaddr(&socket, true)?;
    Ok(rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, port))?)
}

/// The tables of sockets; without IPv6 there is no second.
fn tables() -> Vec<io::Result<String>> {
    let mut tables = vec![fs::read_to_string("/proc/net/tcp")];
    tables.extend(fs::read_to_string("/proc/net/tcp6").ok().map(Ok));
    tables
}

/// The mount that has the port. One of another network says so too; another user's may say anything.
fn own(scene: &Scene, found: Option<&Openers>) -> Option<String> {
    let ending = format!(":{PORT}");
    let seen = found.map_or(&[][..], |found| &found.found);
    let has_port = |asked: &&crate::cli::mounts::Asked| {
        let listen = asked.answer.as_ref().ok().and_then(|answer| answer.info.listen.as_ref());
        listen.is_some_and(|listen| listen.ends_with(&ending))
            && match asked.door.line {
                None if seen.is_empty() => true,
                _ => seen.iter().any(|it| it.pid == asked.door.pid),
            }
    };
    scene.asked.iter().find(has_port).map(|asked| format!("the mount {}", asked.name()))
}

/// Who listens, as far as that can be seen; none if no socket does.
fn listeners() -> Option<Openers> {
    let socket = tables().iter().flatten().find_map(|table| socket_of(table));
    let link = format!("socket:[{}]", socket?);
    Some(process::openers(SEARCHING, move |path| path == Path::new(&link), |_| true))
}

fn named(found: Option<&Openers>) -> String {
    let Some(found) = found else { return "somebody".to_owned() };
    let named: Vec<_> =
        found.found.iter().map(|it| format!("process {} ({})", it.pid, it.program)).collect();
    if named.is_empty() { "a process that cannot be seen".to_owned() } else { named.join(", ") }
}

/// The number of the socket that listens on the port, by a table of /proc/net:
/// `0: 0100007F:2382 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 4711 ...`.
fn socket_of(table: &str) -> Option<u64> {
    let port = format!(":{PORT:04X}");
    table.lines().find_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let listens = fields.get(1)?.ends_with(&port) && *fields.get(3)? == "0A";
        if listens { fields.get(9)?.parse().ok() } else { None }
    })
}

pub(super) fn sockets(scene: &Scene) -> Finding {
    let sockets = &scene.sockets;
    if !sockets.unusable.is_empty() {
        return Finding::to_do(
            sockets.unusable.join("; "),
            "mounts have no control socket there, and none is looked for",
            "make it a directory of its owner's that nobody else may write to, or remove it",
        );
    }
    let answered = scene.asked.iter().filter(|asked| asked.answer.is_ok()).count();
    let mut is = format!("{} answered to", counted(answered, "socket"));
    match scene.asked.len() - answered {
        0 => {}
        silent => is.push_str(&format!(", {silent} silent")),
    }
    match sockets.dead.len() {
        0 => Finding::ok(is, "commands find mounts by their paths"),
        n => Finding::ok(
            format!("{is}, {n} without a daemon"),
            "what a killed daemon left is taken away by the next look of its owner, as this one",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_is_read_from_the_table_of_sockets() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2382 0100007F:A3E2 01 00000000:00000000 00:00000000 00000000     0        0 11 1
   1: 0100007F:2382 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1
   2: 0100007F:2383 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1";
        assert_eq!(socket_of(table), Some(4711));
        assert_eq!(socket_of(""), None);
    }
}
