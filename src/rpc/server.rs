//! The server: accepts connections and gives each a thread that reads calls and answers them.
//!
//! It owns the threads and the connections. Invariants: never more than the configured number of
//! connections are open (one more closes one that is given up, else the longest idle); nothing
//! that one peer sends or leaves out is felt by another; `stop` returns within a bound. Lock rule:
//! the table of connections is locked for memory work only, never across a read, a write or a call.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Shutdown};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use thrift::ApplicationErrorKind;
use thrift::protocol::TMessageType;
use tracing::{debug, warn};

use super::dropped::Dropped;
use super::handler::{Answer, Handler, Peer};
use super::http::{self, Access, Service};
use super::search::STACK;
use super::socket::{Listener, Stream};
use super::wire::{self, Fields, Limits, Message, MessageReader, ReadError, Value};
use crate::fault::Origin;
use crate::scenario::Why;
use crate::sys::memory;
use crate::sys::turns;

/// How long a peer may take to accept a reply.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long `stop` waits for the threads of connections.
const STOP_TIMEOUT: Duration = Duration::from_secs(1);
/// A storm of connections is over when none has come for so long.
const CALM: Duration = Duration::from_secs(1);
/// Pause after a failed accept, so that a lack of descriptors does not burn a processor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is spoken by those who connect to a listener.
#[derive(Clone, Debug)]
pub enum Door {
    /// Thrift.
    Thrift,
    /// HTTP, with those who may ask.
    Http(Access),
    /// Either; the first byte tells.
    Both,
}

/// A running server. Dropping it stops it.
pub struct Server {
    shared: Arc<Shared>,
    acceptors: Vec<JoinHandle<()>>,
}

struct Shared {
    listeners: Vec<(Listener, Door)>,
    handler: Handler,
    max_connections: usize,
    state: Mutex<State>,
    /// Notified whenever a connection's thread ends.
    ended: Condvar,
}

impl Shared {
    /// Whether who comes from there is served. That is asked before anything is kept of the connection.
    fn lets_in(&self, address: IpAddr) -> bool {
        self.handler.config.allow.lets_in(address)
    }
}

#[derive(Debug, Default)]
struct State {
    stopping: bool,
    last_id: u64,
    threads: usize,
    open: HashMap<u64, Connection>,
}

#[derive(Debug)]
struct Connection {
    stream: Arc<Stream>,
    peer: Origin,
    /// When it opened or made its last call; none once it is given up, and about to be closed.
    active: Option<Instant>,
}

impl Server {
    /// Serves on those listeners until stopped.
    ///
    /// # Errors
    /// No thread can be started.
    pub(super) fn with_handler(
        listeners: Vec<(Listener, Door)>,
        handler: Handler,
        max_connections: usize,
    ) -> io::Result<Server> {
        let max_connections = max_connections.max(1);
        let (state, ended) = (Mutex::default(), Condvar::new());
        let shared = Arc::new(Shared { listeners, handler, max_connections, state, ended });
        let mut server = Server { shared, acceptors: Vec::new() };
        for place in 0..server.shared.listeners.len() {
            let accepting = Arc::clone(&server.shared);
            let acceptor = thread::Builder::new().name("slowfs-accept".into());
            let acceptor = acceptor.spawn(move || {
                if let Some((listener, door)) = accepting.listeners.get(place) {
                    accept_all(&accepting, listener, door);
                }
            });
            server.acceptors.push(acceptor?);
        }
        Ok(server)
    }

    /// Stops accepting, lets who reads the trace have the rest, closes every connection and waits, one
    /// second at most, for their threads.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let acceptors = std::mem::take(&mut self.acceptors);
        if acceptors.is_empty() {
            return;
        }
        self.shared.state.lock().stopping = true;
        for (listener, _) in &self.shared.listeners {
            // On Linux this wakes accept(2), which then fails with EINVAL.
            if let Err(e) = rustix::net::shutdown(listener, rustix::net::Shutdown::Both) {
                warn!("cannot stop listening: {e}");
                return;
            }
        }
        for acceptor in acceptors {
            let _ = acceptor.join();
        }
        self.shared.handler.dropped.tell();
        self.shared.handler.stage.end(Why::Unmounted);
        self.shared.handler.trace_end();
        let deadline = Instant::now() + STOP_TIMEOUT;
        let mut state = self.shared.state.lock();
        for connection in state.open.values() {
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
        while state.threads > 0 {
            if self.shared.ended.wait_until(&mut state, deadline).timed_out() {
                warn!("{} control connections did not end in time", state.threads);
                return;
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn accept_all(shared: &Arc<Shared>, listener: &Listener, door: &Door) {
    // Connections since memory was last given back: a storm of them leaves the heap in pieces,
    // which would be kept for good.
    let mut storm = 0;
    loop {
        if storm > shared.max_connections && nobody_comes(listener, CALM) {
            memory::trim();
            storm = 0;
        }
        let dropped = &shared.handler.dropped;
        if dropped.due().is_some_and(|due| nobody_comes(listener, due)) {
            dropped.tell();
            continue;
        }
        storm += 1;
        let accepted = listener.accept();
        if shared.state.lock().stopping {
            return;
        }
        match accepted {
            Ok((_, peer @ Origin::Net(from))) if !shared.lets_in(from.ip()) => {
                dropped.count(Some(peer), "--allow does not let that address in");
            }
            Ok((stream, peer)) => {
                if let Err(e) = admit(shared, stream, (peer, door.clone())) {
                    dropped.count(Some(peer), e);
                }
            }
            Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
            Err(e) => {
                dropped.count(None, format_args!("cannot accept it: {e}"));
                shared.state.lock().close_longest_idle(dropped);
                thread::sleep(ACCEPT_PAUSE);
            }
        }
    }
}

/// Waits whether nobody connects for so long.
fn nobody_comes(listener: &Listener, within: Duration) -> bool {
    let mut fds = [PollFd::new(listener, PollFlags::IN)];
    poll(&mut fds, Timespec::try_from(within).ok().as_ref()) == Ok(0)
}

/// Gives the connection its thread; the longest idle one makes room.
fn admit(shared: &Arc<Shared>, stream: Stream, (peer, door): (Origin, Door)) -> io::Result<()> {
    stream.let_write_take(WRITE_TIMEOUT)?;
    let stream = Arc::new(stream);
    let id = {
        let mut state = shared.state.lock();
        while state.open.len() >= shared.max_connections {
            state.close_longest_idle(&shared.handler.dropped);
        }
        state.last_id += 1;
        state.threads += 1;
        let id = state.last_id;
        let active = Some(Instant::now());
        state.open.insert(id, Connection { stream: Arc::clone(&stream), peer, active });
        id
    };
    let session = Session { shared: Arc::clone(shared), stream, peer, door, id };
    let spawned = thread::Builder::new().name("slowfs-control".into()).stack_size(STACK);
    spawned.spawn(move || session.serve()).map(drop)
}

impl State {
    fn close_longest_idle(&mut self, dropped: &Dropped) {
        let longest = self.open.iter().min_by_key(|(_, connection)| connection.active);
        let Some(id) = longest.map(|(id, _)| *id) else { return };
        if let Some(connection) = self.open.remove(&id) {
            let peer = connection.peer;
            if connection.active.is_some() {
                dropped.count(Some(peer), "there are too many, and it was idle the longest");
            }
            let _ = connection.stream.shutdown(Shutdown::Both);
        }
    }
}

/// One connection, served by its thread. Dropping it, even by a panic, gives its place back.
struct Session {
    shared: Arc<Shared>,
    stream: Arc<Stream>,
    peer: Origin,
    door: Door,
    id: u64,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.handler.lose(self.peer);
        let mut state = self.shared.state.lock();
        state.open.remove(&self.id);
        state.threads -= 1;
        self.shared.ended.notify_all();
    }
}

impl Session {
    fn serve(&self) {
        // A change that takes long to make has nobody wait for it who asks for no change.
        if let Err(error) = turns::be_short() {
            debug!("who asks for changes computes in long turns: {error}");
        }
        match &self.door {
            Door::Thrift => self.serve_thrift(),
            Door::Http(access) => self.serve_http(Some(access)),
            Door::Both => match self.stream.first() {
                Ok(Some(first)) if http::begins(first) => self.serve_http(None),
                Ok(_) => self.serve_thrift(),
                Err(e) => debug!(peer = %self.peer, "control connection lost: {e}"),
            },
        }
    }

    fn serve_http(&self, access: Option<&Access>) {
        let (waits, touch) = (|| self.waits(), |active| self.touch(active));
        let Session { shared, stream, peer, .. } = self;
        let handler = &shared.handler;
        Service { handler, stream, peer: *peer, access, waits: &waits, touch: &touch }.serve();
        self.linger();
    }

    fn serve_thrift(&self) {
        let peer = self.peer;
        let mut reader = MessageReader::new(&*self.stream, Limits::REQUEST);
        loop {
            match reader.read() {
                Ok(None) => return,
                Ok(Some(call)) => {
                    self.touch(Some(Instant::now()));
                    let waits = || self.waits();
                    let peer = Peer { addr: peer, waits: &waits };
                    let answer = self.shared.handler.answer(peer, &call);
                    if call.kind == TMessageType::OneWay {
                        continue;
                    }
                    let reply = reply(call.name, call.seq, answer);
                    if let Err(e) = self.send(&reply, reader.framed()) {
                        debug!(peer = %peer.addr, "reply not taken: {e}");
                        return;
                    }
                }
                Err(ReadError::Lost(_, reason)) => {
                    debug!(%peer, "control connection lost: {reason}");
                    return;
                }
                Err(ReadError::Bad { reason, call }) => {
                    self.touch(None);
                    let what = call.as_ref().map(|(name, _)| wire::printable(name));
                    let what = what.as_deref().unwrap_or("a message");
                    let why = format_args!("cannot read {what}: {reason}");
                    self.shared.handler.dropped.count(Some(peer), why);
                    if let Some((name, seq)) = call {
                        let text = format!(
                            "{}: cannot read the arguments: {reason}",
                            wire::printable(&name)
                        );
                        let answer = Answer::Exception(ApplicationErrorKind::ProtocolError, text);
                        let _ = self.send(&reply(name, seq, answer), reader.framed());
                    }
                    self.linger();
                    return;
                }
            }
        }
    }

    /// Whether the peer may still wait for an answer: it has not closed, nor has this side.
    fn waits(&self) -> bool {
        // Meanwhile it is not idle.
        self.touch(Some(Instant::now()));
        let mut fds = [PollFd::new(&*self.stream, PollFlags::RDHUP)];
        poll(&mut fds, Some(&Timespec::default())) == Ok(0)
    }

    fn touch(&self, active: Option<Instant>) {
        if let Some(connection) = self.shared.state.lock().open.get_mut(&self.id) {
            connection.active = active;
        }
    }

    fn send(&self, reply: &Message, framed: bool) -> io::Result<()> {
        let bytes = wire::encode(reply, framed).map_err(io::Error::other)?;
        (&*self.stream).write_all(&bytes)
    }

    /// Closes so that the last reply arrives: closing with bytes unread would reset the
    /// connection and could take the reply away from the peer. Bounded in bytes and time.
    fn linger(&self) {
        let deadline = Instant::now() + Duration::from_millis(500);
        let _ = self.stream.shutdown(Shutdown::Write);
        let _ = self.stream.let_read_take(Some(Duration::from_millis(100)));
        let mut sink = [0; 4096];
        for _ in 0..1024 {
            match (&*self.stream).read(&mut sink) {
                Ok(1..) if Instant::now() < deadline => {}
                _ => return,
            }
        }
    }
}

pub(super) fn reply(name: String, seq: i32, answer: Answer) -> Message {
    let (kind, body) = match answer {
        Answer::Reply(body) => (TMessageType::Reply, body),
        Answer::Exception(kind, text) => (
            TMessageType::Exception,
            Fields::default().with(1, Value::text(text)).with(2, Value::I32(kind as i32)),
        ),
    };
    Message { name, kind, seq, body }
}
