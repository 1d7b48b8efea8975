//! What goes back over HTTP: a status, a few fields, a body. No locks.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::fault::words::visible;
use crate::rpc::objects;
use crate::rpc::socket::Stream;

/// How long a peer may take to accept an answer.
const WHOLE: Duration = Duration::from_secs(10);

/// How it went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Done,
    Bad,
    NoToken,
    Foreign,
    Missing,
    OtherMethod,
    TooSlow,
    /// What was waited for has not come.
    NotYet,
    NoLength,
    TooMuch,
    NotJson,
    NoExpectation,
    TooLongAHead,
    Unwell,
    OtherVersion,
}

impl Status {
    pub(super) fn code(self) -> u16 {
        self.told().0
    }

    /// Its number and name in RFC 9110 and RFC 6585.
    fn told(self) -> (u16, &'static str) {
        match self {
            Status::Done => (200, "OK"),
            Status::Bad => (400, "Bad Request"),
            Status::NoToken => (401, "Unauthorized"),
            Status::Foreign => (403, "Forbidden"),
            Status::Missing => (404, "Not Found"),
            Status::OtherMethod => (405, "Method Not Allowed"),
            Status::TooSlow => (408, "Request Timeout"),
            Status::NotYet => (409, "Conflict"),
            Status::NoLength => (411, "Length Required"),
            Status::TooMuch => (413, "Content Too Large"),
            Status::NotJson => (415, "Unsupported Media Type"),
            Status::NoExpectation => (417, "Expectation Failed"),
            Status::TooLongAHead => (431, "Request Header Fields Too Large"),
            Status::Unwell => (503, "Service Unavailable"),
            Status::OtherVersion => (505, "HTTP Version Not Supported"),
        }
    }
}

/// Why nothing was done. One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    pub(super) status: Status,
    pub(super) why: String,
    /// The methods that there are instead.
    pub(super) allowed: Option<String>,
}

impl Refused {
    pub(super) fn new(status: Status, why: impl Into<String>) -> Refused {
        Refused { status, why: visible(&why.into()), allowed: None }
    }

    pub(super) fn bad(why: impl Into<String>) -> Refused {
        Refused::new(Status::Bad, why)
    }

    /// The path is there, and takes these methods.
    pub(super) fn method(method: &str, allowed: String) -> Refused {
        let why = format!("{method} is not for that path, which takes {allowed}");
        Refused { allowed: Some(allowed), ..Refused::new(Status::OtherMethod, why) }
    }
}

/// What is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: Status,
    content_type: &'static str,
    /// Fields beside the usual ones, each a whole line.
    fields: Vec<String>,
    body: Vec<u8>,
}

impl Answer {
    /// The object of `--json`, and what is to be said of it.
    pub(super) fn object(object: Value, warnings: &[String]) -> Answer {
        let object = objects::closed(object, true, Some(warnings));
        Answer::new(Status::Done, "application/json", Value::Object(object).to_string() + "\n")
    }

    /// Text of that kind.
    pub(super) fn new(
        status: Status,
        content_type: &'static str,
        body: impl Into<String>,
    ) -> Answer {
        Answer { status, content_type, fields: Vec::new(), body: body.into().into_bytes() }
    }

    pub(super) fn with(mut self, name: &str, value: &str) -> Answer {
        self.fields.push(format!("{name}: {value}\r\n"));
        self
    }

    /// Sends it; the peer may take it slowly, but not for ever.
    pub(super) fn send(&self, stream: &Stream, how: (bool, bool)) -> io::Result<()> {
        send(stream, &self.bytes(how))
    }

    /// As it is sent: whole or, of a HEAD, without the body; and whether another request may follow.
    pub(super) fn bytes(&self, (with_body, keeps): (bool, bool)) -> Vec<u8> {
        let (code, name) = self.status.told();
        let mut bytes = format!(
            "HTTP/1.1 {code} {name}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n\
             X-Content-Type-Options: nosniff\r\nConnection: {}\r\n{}\r\n",
            self.content_type,
            self.body.len(),
            if keeps { "keep-alive" } else { "close" },
            self.fields.concat(),
        )
        .into_bytes();
        if with_body {
            bytes.extend(&self.body);
        }
        bytes
    }
}

impl From<&Refused> for Answer {
    fn from(refused: &Refused) -> Answer {
        let object = objects::closed(objects::failed(&refused.why), false, None);
        let body = Value::Object(object).to_string() + "\n";
        let answer = Answer::new(refused.status, "application/json", body);
        let answer = match &refused.allowed {
            Some(allowed) => answer.with("Allow", allowed),
            None => answer,
        };
        match refused.status {
            Status::NoToken => answer.with("WWW-Authenticate", "Bearer realm=\"slowfs\""),
            _ => answer,
        }
    }
}

/// That the peer may send its body.
pub(super) fn go_on(stream: &Stream) -> io::Result<()> {
    send(stream, b"HTTP/1.1 100 Continue\r\n\r\n")
}

fn send(mut stream: &Stream, bytes: &[u8]) -> io::Result<()> {
    let until = Instant::now() + WHOLE;
    let mut left = bytes;
    while !left.is_empty() {
        let time = until.saturating_duration_since(Instant::now());
        if time.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.let_write_take(time)?;
        match stream.write(left) {
            Ok(sent) => left = left.get(sent..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}
