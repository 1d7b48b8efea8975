//! One connection over HTTP, from its first request to its end. No locks.

use std::io;
use std::time::Instant;

use tracing::{debug, warn};

use super::answer::{Answer, Refused, go_on};
use super::asked::Asked;
use super::guard::{self, Access, Way};
use super::request::{Head, Requests, Unread};
use super::routes;
use crate::fault::Origin;
use crate::rpc::handler::{Handler, Peer};
use crate::rpc::socket::Stream;

/// What serves a connection.
pub(in crate::rpc) struct Service<'a> {
    pub(in crate::rpc) handler: &'a Handler,
    pub(in crate::rpc) stream: &'a Stream,
    pub(in crate::rpc) peer: Origin,
    /// Who may ask over TCP; none on the mount's socket.
    pub(in crate::rpc) access: Option<&'a Access>,
    /// Whether the peer still waits for an answer.
    pub(in crate::rpc) waits: &'a dyn Fn() -> bool,
    /// Told when it made its last request; none once it is given up.
    pub(in crate::rpc) touch: &'a dyn Fn(Option<Instant>),
}

impl Service<'_> {
    /// Serves it until either side ends it.
    pub(in crate::rpc) fn serve(&self) {
        let mut requests = Requests::new(self.stream);
        while let Ok(true) = self.serve_one(&mut requests) {}
    }

    /// Serves one request; whether another may follow.
    fn serve_one(&self, requests: &mut Requests<&Stream>) -> io::Result<bool> {
        let head = match requests.head() {
            Ok(head) => head,
            Err(unread) => return self.give_up(unread, "a request"),
        };
        (self.touch)(Some(Instant::now()));
        let way = match self.access {
            Some(access) => Way::Net(access, self.stream.own_ip()),
            None => Way::Socket,
        };
        if let Err(refused) = guard::admit(&head, way, routes::is_open(&head)) {
            return self.give_up(Unread::Bad(refused), &head.method);
        }
        if head.asks_first && !requests.has(head.length) {
            go_on(self.stream)?;
        }
        let body = match requests.body(head.length) {
            Ok(body) => body,
            Err(unread) => return self.give_up(unread, &head.method),
        };
        let answer = self.answer(&head, &body);
        let sent = answer.send(self.stream, (head.method != "HEAD", head.keeps));
        sent.inspect_err(|e| debug!(peer = %self.peer, "answer not taken: {e}"))?;
        Ok(head.keeps)
    }

    fn answer(&self, head: &Head, body: &[u8]) -> Answer {
        let peer = Peer { addr: self.peer, waits: self.waits };
        let asked = Asked { handler: self.handler, peer, head, about: "", body };
        routes::answer(asked).unwrap_or_else(|refused| {
            let Refused { status, why, .. } = &refused;
            let (peer, path) = (self.peer, head.path.join("/"));
            warn!(%peer, "{} /{} refused ({}): {why}", head.method, path.escape_debug(), status.code());
            Answer::from(&refused)
        })
    }

    /// Answers what is not served, if the peer is there, and ends the connection.
    fn give_up(&self, unread: Unread, what: &str) -> io::Result<bool> {
        if let Unread::Bad(refused) = unread {
            (self.touch)(None);
            let why = format_args!("{what} over HTTP is not taken: {}", refused.why);
            self.handler.dropped.count(Some(self.peer), why);
            Answer::from(&refused).send(self.stream, (what != "HEAD", false))?;
        }
        Ok(false)
    }
}
