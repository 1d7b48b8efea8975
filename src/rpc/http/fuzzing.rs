//! What a fuzzer drives over HTTP: the bytes of one connection, without the connection. No locks.

use std::io;
use std::time::Instant;

use serde_json::Value;

use super::answer::{Answer, Refused};
use super::asked::Asked;
use super::guard::{self, Way};
use super::request::{Head, Requests, Source, Unread};
use super::routes;
use crate::rpc::handler::{Handler, Peer};

/// Bytes that have all come; then the peer has closed.
struct Whole<'a>(&'a [u8]);

impl Source for Whole<'_> {
    fn read_by(&mut self, _: Option<Instant>, out: &mut [u8]) -> io::Result<usize> {
        io::Read::read(&mut self.0, out)
    }
}

/// Serves them as those of the mount's socket. `refused` is asked before each request, and what it returned is called
/// with what was said if that was refused.
///
/// # Panics
/// Where an answer is none that a client can read.
pub(in crate::rpc) fn serve<F: FnOnce(&str)>(
    handler: &Handler,
    peer: Peer<'_>,
    bytes: &[u8],
    refused: impl Fn() -> F,
) {
    let mut requests = Requests::new(Whole(bytes));
    loop {
        let judge = refused();
        let (head, answered) = match requests.head() {
            Ok(head) => {
                let answered = answer(handler, peer, &head, &mut requests);
                (head, answered)
            }
            Err(unread) => (Head::default(), Err(unread)),
        };
        let (answer, goes_on) = match answered {
            Ok(Ok(answer)) => (answer, head.keeps),
            Ok(Err(refused)) => {
                judge(&refused.why);
                (Answer::from(&refused), head.keeps)
            }
            Err(Unread::Bad(refused)) => {
                judge(&refused.why);
                (Answer::from(&refused), false)
            }
            Err(Unread::Closed | Unread::Lost) => return,
        };
        look_at(&answer.bytes((true, goes_on)));
        if !goes_on {
            return;
        }
    }
}

fn answer(
    handler: &Handler,
    peer: Peer<'_>,
    head: &Head,
    requests: &mut Requests<Whole<'_>>,
) -> Result<Result<Answer, Refused>, Unread> {
    guard::admit(head, Way::Socket, routes::is_open(head)).map_err(Unread::Bad)?;
    let body = requests.body(head.length)?;
    Ok(routes::answer(Asked { handler, peer, head, about: "", body: &body }))
}

/// A client must be able to read it.
fn look_at(answer: &[u8]) {
    let mut fields = [httparse::EMPTY_HEADER; 32];
    let mut response = httparse::Response::new(&mut fields);
    let Ok(httparse::Status::Complete(length)) = response.parse(answer) else {
        panic!("no answer: {}", String::from_utf8_lossy(answer));
    };
    let body = answer.get(length..).unwrap_or_default();
    let field = |name: &str| {
        let found = response.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        found.and_then(|field| std::str::from_utf8(field.value).ok()).unwrap_or_default()
    };
    assert_eq!(field("content-length"), body.len().to_string());
    if field("content-type") == "application/json" {
        let object: Result<Value, _> = serde_json::from_slice(body);
        let done = object.ok().and_then(|object| object.get("ok")?.as_bool());
        assert_eq!(done, Some(response.code == Some(200)), "{}", String::from_utf8_lossy(body));
    }
}
