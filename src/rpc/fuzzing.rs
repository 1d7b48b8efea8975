//! What a fuzzer drives: the bytes of one connection, without the connection. Built for it and for
//! tests only. No locks of its own.

mod pretended;

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use super::allow::Allow;
use super::behind::Behind;
use super::handler::{Answer, Handler, MountInfo, Peer, ServerConfig};
use super::http;
use super::server::reply;
use super::wire::{self, Limits, Message, MessageReader, ReadError};
use crate::fault::{Bounds, DelayLine, FaultTable, Origin, ProbabilityScale, Reach};
use crate::scenario::Why;
use crate::stats::Stats;

/// Whose connection it is.
const PEER: Origin = Origin::Local { pid: 1, uid: 0, gid: 0, connection: 0 };

/// A server's handler over a table of its own.
pub struct Control {
    pub(super) table: Arc<FaultTable>,
    pub(super) handler: Handler,
}

impl Control {
    /// One with an empty table.
    ///
    /// # Errors
    /// If the delay line's threads cannot start.
    pub fn new() -> io::Result<Control> {
        let table = FaultTable::new(DelayLine::new()?, Some(1));
        let reach = Reach { backing: "/b".into(), mountpoint: "/m".into() };
        let Reach { backing, mountpoint } = reach.clone();
        let config = ServerConfig {
            scale: ProbabilityScale::Auto,
            auto_delay: None,
            bounds: Bounds { reach: Some(reach), tracks: true, ..Bounds::default() },
            mount: MountInfo {
                version: "0".to_owned(),
                mountpoint,
                backing,
                pid: 1,
                started: SystemTime::UNIX_EPOCH,
                threads: 1,
                direct_io: false,
                read_only: false,
                seeded: true,
                stats: false,
                fuse_protocol: "0".to_owned(),
                capabilities: Vec::new(),
                listen: None,
                socket: None,
                http: None,
            },
            allow: Allow::default(),
            max_connections: 1,
            log_lines_lost: Arc::default(),
            files: pretended::files(),
            repairer: pretended::repairs(),
            unsynced: pretended::unsynced(),
            health: Behind::default(),
        };
        let stats = Arc::new(Stats::default());
        Ok(Control { handler: Handler::new(Arc::clone(&table), stats, config), table })
    }

    /// Serves what one connection brings, and ends with an empty table.
    ///
    /// # Panics
    /// Where the server would break a promise: what it read means something else when sent again,
    /// a refused call changed the table, or its answer cannot be read by a client.
    pub fn serve(&self, bytes: &[u8]) {
        match bytes.first() {
            Some(first) if http::begins(*first) => self.serve_http(bytes),
            _ => self.serve_thrift(bytes),
        }
        self.handler.lose(PEER);
        self.handler.clear_power(PEER);
        self.table.clear_all();
        assert!(self.table.list().is_empty());
    }

    fn serve_http(&self, bytes: &[u8]) {
        let peer = Peer { addr: PEER, waits: &|| false };
        http::fuzzing::serve(&self.handler, peer, bytes, || {
            // A scenario changes the table by itself.
            self.handler.stage.end(Why::Unmounted);
            let before = self.ids();
            move |why: &str| {
                assert!(!why.contains('\n'), "several lines: {why:?}");
                assert_eq!(before, self.ids(), "{why:?} changed something");
            }
        });
        self.handler.stage.end(Why::Unmounted);
    }

    fn serve_thrift(&self, bytes: &[u8]) {
        let mut reader = MessageReader::new(bytes, Limits::REQUEST);
        loop {
            let call = match reader.read() {
                Ok(Some(call)) => call,
                Ok(None) | Err(ReadError::Lost(..)) => break,
                Err(ReadError::Bad { reason, .. }) => {
                    assert!(!reason.to_string().contains('\n'), "several lines: {reason:?}");
                    break;
                }
            };
            let framed = reader.framed();
            assert_eq!(again(&call, framed, Limits::REPLY), encoded(&call, framed));
            let before = self.ids();
            // Nobody waits: a call that would is over at once.
            let peer = Peer { addr: PEER, waits: &|| false };
            let answer = self.handler.answer(peer, &call);
            if call.name == "run_start" {
                // What changed the table by itself could not be told from what a refused call did.
                self.handler.stage.end(Why::Unmounted);
            }
            if let Some(text) = refusal(&answer) {
                assert!(!text.contains('\n'), "several lines: {text:?}");
                assert_eq!(before, self.ids(), "{text:?} changed something");
            }
            let reply = reply(call.name, call.seq, answer);
            assert_eq!(again(&reply, framed, Limits::REPLY), encoded(&reply, framed));
        }
    }

    fn ids(&self) -> Vec<u64> {
        self.table.list().iter().map(|listed| listed.id.0).collect()
    }
}

/// What a refusal says, be it an exception of either interface.
fn refusal(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Exception(_, text) => Some(text.clone()),
        Answer::Reply(fields) => {
            let refused = fields.get(1)?.as_fields()?.get(1)?.as_bytes()?;
            Some(String::from_utf8_lossy(refused).into_owned())
        }
    }
}

fn encoded(message: &Message, framed: bool) -> Vec<u8> {
    wire::encode(message, framed).unwrap_or_else(|e| panic!("{message:?}: {e}"))
}

/// A message after its way over the wire. Compared as bytes: no NaN equals another.
fn again(message: &Message, framed: bool, limits: Limits) -> Vec<u8> {
    let bytes = encoded(message, framed);
    match MessageReader::new(&*bytes, limits).read() {
        Ok(Some(message)) => encoded(&message, framed),
        other => panic!("{message:?} came back as {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::wire::tests::{golden, names};
    use super::*;

    fn request(line: &str, body: &str) -> Vec<u8> {
        let fields = "Host: localhost\r\nContent-Type: application/json\r\nContent-Length: ";
        format!("{line} HTTP/1.1\r\n{fields}{}\r\n\r\n{body}", body.len()).into_bytes()
    }

    #[test]
    fn requests_over_http_and_damaged_ones_are_served() {
        let fault = r#"{"methods":["fsync"],"effects":[{"kind":"hang"}],"add":true}"#;
        let scenario = r#"{"name":"a","end":"1h","steps":[{"at":"1s","put":"hang -m read"},
            {"at":"2s","rot":{"regex":".*"}},{"at":"3s","heal":true}]}"#;
        let control = Control::new().unwrap();
        for (line, body) in [
            ("GET /v1/faults?a=%20", ""),
            ("GET /metrics", ""),
            ("PUT /v1/faults/slow", fault),
            ("PUT /v1/faults", r#"["delay 1ms -m read","hang -m write"]"#),
            ("DELETE /v1/faults/slow", ""),
            ("GET /v1/match?regex=.*&most=9", ""),
            ("POST /v1/heal", r#"{"ids":[1,2]}"#),
            ("POST /v1/heal", r#"{"all":true}"#),
            ("POST /v1/rot", r#"{"how":"flip:2","regex":".*","spots":3,"seed":7}"#),
            ("POST /v1/checkpoint", "{}"),
            ("POST /v1/power-cut", r#"{"to":"a","keep":"prefix:7","unit":4096,"max_stall":"1s"}"#),
            ("POST /v1/power-cut", r#"{"now":true,"keep":"random","stay_off":true,"kill":true}"#),
            ("POST /v1/power-on", "{}"),
            ("POST /v1/trace", r#"{"methods":["fsync"],"glob":"**/wal/*","fired":true}"#),
            ("POST /v1/scenario", scenario),
        ] {
            let whole = request(line, body);
            control.serve(&whole);
            control.serve(&[whole.clone(), request("GET /v1/status", "")].concat());
            for at in 0..whole.len() {
                let mut damaged = whole.clone();
                damaged[at] ^= 0x05;
                control.serve(&damaged);
                control.serve(&whole[..at]);
            }
        }
    }

    #[test]
    fn golden_frames_and_damaged_ones_are_served() {
        let control = Control::new().unwrap();
        for frame in names().map(golden) {
            control.serve(&frame);
            for at in 0..frame.len() {
                let mut damaged = frame.clone();
                damaged[at] ^= 0x81;
                control.serve(&damaged);
            }
        }
    }
}
