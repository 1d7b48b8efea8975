//! Requests from a stream of bytes, as HTTP/1.1 has them (RFC 9112), within limits of size and time.
//!
//! Invariant: who sends slowly, or too much, is answered and done with: a request that has begun is whole
//! within [`WHOLE`], and nothing is kept of it beyond [`HEAD`] and [`BODY`]. No locks.

use std::io;
use std::time::{Duration, Instant};

use super::answer::{Refused, Status};
use super::query::{Query, decoded};
use crate::rpc::socket::Stream;

/// How long a request may take to come, once it has begun.
pub(super) const WHOLE: Duration = Duration::from_secs(5);

/// Bytes of the request line and the header fields together, and how many of these there may be.
const HEAD: usize = 16 * 1024;
const FIELDS: usize = 64;

/// Bytes of a body.
pub(super) const BODY: usize = 256 * 1024;

/// What bytes are read from.
pub(super) trait Source {
    /// Reads what has come; waits until then at most, or as long as it takes.
    fn read_by(&mut self, until: Option<Instant>, out: &mut [u8]) -> io::Result<usize>;
}

impl Source for &Stream {
    fn read_by(&mut self, until: Option<Instant>, out: &mut [u8]) -> io::Result<usize> {
        Stream::read_by(self, until, out)
    }
}

/// What a request says before its body.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) method: String,
    /// The parts of its path, decoded.
    pub(super) path: Vec<String>,
    pub(super) query: Query,
    pub(super) host: Option<String>,
    pub(super) origin: Option<String>,
    pub(super) authorization: Option<String>,
    pub(super) content_type: Option<String>,
    /// Whether the peer may go on over this connection.
    pub(super) keeps: bool,
    /// Bytes of the body that follows.
    pub(super) length: usize,
    /// Whether the peer waits for a word before it sends that.
    pub(super) asks_first: bool,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum Unread {
    /// The peer has closed between two of them.
    Closed,
    /// The connection is gone, or was closed within one.
    Lost,
    /// It is none, or none that is taken.
    Bad(Refused),
}

/// Requests, one after the other.
pub(super) struct Requests<S> {
    source: S,
    /// What has come and is not used up.
    bytes: Vec<u8>,
    /// When the current one must have come whole.
    until: Option<Instant>,
}

impl<S: Source> Requests<S> {
    pub(super) fn new(source: S) -> Requests<S> {
        Requests { source, bytes: Vec::new(), until: None }
    }

    /// The next one's head. Waits for its beginning as long as it takes.
    pub(super) fn head(&mut self) -> Result<Head, Unread> {
        self.until = None;
        if self.bytes.is_empty() && self.more()? == 0 {
            return Err(Unread::Closed);
        }
        self.until = Some(Instant::now() + WHOLE);
        loop {
            if let Some((head, length)) = parsed(&self.bytes).map_err(Unread::Bad)? {
                self.bytes.drain(..length);
                return Ok(head);
            }
            if self.bytes.len() >= HEAD {
                let why = format!("the head of the request is longer than {HEAD} bytes");
                return Err(Unread::Bad(Refused::new(Status::TooLongAHead, why)));
            }
            if self.more()? == 0 {
                return Err(Unread::Lost);
            }
        }
    }

    /// Whether all of the body is here already.
    pub(super) fn has(&self, length: usize) -> bool {
        self.bytes.len() >= length
    }

    /// The body of the head that was read last.
    pub(super) fn body(&mut self, length: usize) -> Result<Vec<u8>, Unread> {
        while self.bytes.len() < length {
            if self.more()? == 0 {
                return Err(Unread::Lost);
            }
        }
        let rest = self.bytes.split_off(length);
        Ok(std::mem::replace(&mut self.bytes, rest))
    }

    fn more(&mut self) -> Result<usize, Unread> {
        let mut some = [0; 4096];
        let read = self.source.read_by(self.until, &mut some).map_err(|e| match e.kind() {
            io::ErrorKind::TimedOut => {
                let why = format!("the request has not come whole within {WHOLE:?}");
                Unread::Bad(Refused::new(Status::TooSlow, why))
            }
            _ => Unread::Lost,
        })?;
        self.bytes.extend(some.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// The head at the beginning of these bytes and how long it is, once it is there.
fn parsed(bytes: &[u8]) -> Result<Option<(Head, usize)>, Refused> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => Ok(None),
        Ok(httparse::Status::Complete(length)) if length <= HEAD => {
            read(&request).map(|head| Some((head, length)))
        }
        Ok(httparse::Status::Complete(_)) | Err(httparse::Error::TooManyHeaders) => {
            let why = format!("the head has more than {FIELDS} fields, or {HEAD} bytes");
            Err(Refused::new(Status::TooLongAHead, why))
        }
        Err(httparse::Error::Version) => {
            let why = "only HTTP/1.1 and HTTP/1.0 are spoken here";
            Err(Refused::new(Status::OtherVersion, why))
        }
        Err(error) => Err(Refused::bad(format!("that is no HTTP request: {error}"))),
    }
}

fn read(request: &httparse::Request<'_, '_>) -> Result<Head, Refused> {
    let mut head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        keeps: request.version == Some(1),
        ..Head::default()
    };
    target(request.path.unwrap_or_default(), &mut head)?;
    let mut length = None;
    for field in request.headers.iter() {
        let name = field.name.to_ascii_lowercase();
        let text = || {
            let text = std::str::from_utf8(field.value);
            text.map(|text| text.trim().to_owned())
                .map_err(|_| Refused::bad(format!("the field {name} is no text")))
        };
        // Of two that differ it could not be told which is meant.
        let once = |place: &mut Option<String>| match place.replace(text()?) {
            Some(_) => Err(Refused::bad(format!("the field {name} stands there twice"))),
            None => Ok(()),
        };
        match name.as_str() {
            "host" => once(&mut head.host)?,
            "origin" => once(&mut head.origin)?,
            "authorization" => once(&mut head.authorization)?,
            "content-type" => once(&mut head.content_type)?,
            "content-length" => once(&mut length)?,
            "transfer-encoding" => {
                let why = "send the body whole, with a Content-Length";
                return Err(Refused::new(Status::NoLength, why));
            }
            "connection" => {
                let said = text()?.to_ascii_lowercase();
                let says = |word: &str| said.split(',').any(|part| part.trim() == word);
                head.keeps = !says("close") && (head.keeps || says("keep-alive"));
            }
            "expect" => match text()?.eq_ignore_ascii_case("100-continue") {
                true => head.asks_first = true,
                false => return Err(Refused::new(Status::NoExpectation, "cannot do that")),
            },
            _ => {}
        }
    }
    head.length = length.as_deref().map(body_length).transpose()?.unwrap_or_default();
    match (&head.host, request.version) {
        (None, Some(1)) => Err(Refused::bad("the field Host is missing")),
        _ => Ok(head),
    }
}

fn body_length(text: &str) -> Result<usize, Refused> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits {
        return Err(Refused::bad("Content-Length is no number"));
    }
    match text.parse() {
        Ok(length) if length <= BODY => Ok(length),
        _ => {
            let why = format!("the body is larger than {BODY} bytes");
            Err(Refused::new(Status::TooMuch, why))
        }
    }
}

/// `/v1/faults/wal?add=1`; a proxy's form with the whole address is none for a server itself.
fn target(target: &str, head: &mut Head) -> Result<(), Refused> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let wrong = || Refused::bad("the path is none");
    let path = path.strip_prefix('/').ok_or_else(wrong)?;
    let parts = path.split('/').map(|part| decoded(part, false).ok_or_else(wrong));
    head.path = parts.collect::<Result<_, _>>()?;
    head.query = Query::read(query).ok_or_else(|| Refused::bad("the query is none"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Bytes that come in pieces; then the peer has closed.
    struct Pieces(Vec<Vec<u8>>);

    impl Source for Pieces {
        fn read_by(&mut self, _: Option<Instant>, out: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            let (now, later) = piece.split_at(piece.len().min(out.len()));
            out[..now.len()].copy_from_slice(now);
            if !later.is_empty() {
                self.0.insert(0, later.to_vec());
            }
            Ok(now.len())
        }
    }

    fn requests(bytes: &[u8]) -> Requests<Pieces> {
        Requests::new(Pieces(vec![bytes.to_vec()]))
    }

    fn refused(bytes: &str) -> u16 {
        match requests(bytes.as_bytes()).head() {
            Err(Unread::Bad(refused)) => refused.status.code(),
            other => panic!("{bytes:?}: {other:?}"),
        }
    }

    const PUT: &str = "PUT /v1/faults/a%20b?add=true HTTP/1.1\r\nhost: localhost\r\nContent-Length: 2\r\n\
                       Content-Type: application/json\r\n\r\n{}";

    #[test]
    fn requests_are_read_one_after_the_other() {
        let mut requests = requests(format!("{PUT}GET / HTTP/1.0\r\n\r\n").as_bytes());
        let head = requests.head().unwrap();
        assert_eq!((head.method.as_str(), head.length, head.keeps), ("PUT", 2, true));
        assert_eq!(head.path, ["v1", "faults", "a b"]);
        assert_eq!(head.query.get("add"), Some("true"));
        assert_eq!(head.content_type.as_deref(), Some("application/json"));
        assert_eq!(requests.body(2).unwrap(), b"{}");
        let head = requests.head().unwrap();
        assert_eq!((head.path, head.keeps), (vec![String::new()], false));
        assert!(matches!(requests.head(), Err(Unread::Closed)));
    }

    #[test]
    fn what_is_no_request_is_refused_by_its_status() {
        for (bytes, status) in [
            ("GET /\r\n\r\n", 400),
            ("GET / HTTP/2.0\r\n\r\n", 505),
            ("GET / HTTP/1.1\r\n\r\n", 400),
            ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET /%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400),
            ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400),
            ("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999\r\n\r\n", 413),
            ("PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
            ("PUT / HTTP/1.1\r\nHost: a\r\nExpect: more\r\n\r\n", 417),
            ("G\x01T / HTTP/1.1\r\n\r\n", 400),
        ] {
            assert_eq!(refused(bytes), status, "{bytes:?}");
        }
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(65))), 431);
        assert_eq!(refused(&format!("GET /{} HTTP/1.1\r\n", "a".repeat(HEAD))), 431);
        let half = requests(b"GET / HTTP/1.1\r\nHost:").head();
        assert!(matches!(half, Err(Unread::Lost)));
    }

    proptest! {
        /// However the bytes are cut, the same is read.
        #[test]
        fn pieces_make_no_difference(cuts in prop::collection::vec(1..40usize, 0..12)) {
            let mut rest = PUT.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                if !piece.is_empty() {
                    pieces.push(piece.to_vec());
                }
                rest = after;
            }
            pieces.push(rest.to_vec());
            pieces.retain(|piece| !piece.is_empty());
            let mut cut = Requests::new(Pieces(pieces));
            prop_assert_eq!(cut.head().unwrap(), requests(PUT.as_bytes()).head().unwrap());
            prop_assert_eq!(cut.body(2).unwrap(), b"{}");
        }

        /// Whatever comes, something is said of it.
        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut requests = requests(&bytes);
            while let Ok(head) = requests.head() {
                if requests.body(head.length).is_err() {
                    break;
                }
            }
        }
    }
}
