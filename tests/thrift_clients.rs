//! The control server in this process, without any mount, and real clients of it: Thrift's own
//! Python library with the committed stubs, slowfs's client, and peers that misbehave.
//!
//! Needs a python3 with thrift (Debian: python3-thrift); without one the tests fail and say so.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

#[path = "common/python.rs"]
mod python;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use slowfs::fault::{Bounds, DelayLine, FaultTable, ProbabilityScale};
use slowfs::fault::{FaultWords, Plain, PlainFault};
use slowfs::ops::{Call, Method, MethodSet, Obstacle};
use slowfs::rpc::{self, Client, ClientError, MountInfo, Server, ServerConfig};
use slowfs::stats::{Answered, Stats};

const SOON: Duration = Duration::from_secs(10);

struct Running {
    server: Server,
    table: Arc<FaultTable>,
    stats: Arc<Stats>,
    addr: SocketAddr,
}

fn start_with(max_connections: usize) -> Running {
    let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
    let stats = Arc::<Stats>::default();
    let config = ServerConfig {
        scale: ProbabilityScale::Auto,
        auto_delay: None,
        bounds: Bounds { obstacles: vec![Obstacle::KernelChecksAccess], ..Bounds::default() },
        mount: MountInfo {
            version: "1.2.3".into(),
            mountpoint: "/mnt/m".into(),
            backing: "/data/b".into(),
            pid: 42,
            started: SystemTime::now(),
            threads: 4,
            direct_io: false,
            read_only: true,
            seeded: true,
            stats: false,
            fuse_protocol: "7.45".into(),
            capabilities: vec!["FUSE_ASYNC_DIO"],
            listen: None,
            socket: None,
            http: None,
        },
        allow: rpc::Allow::default(),
        max_connections,
        log_lines_lost: Arc::default(),
        files: rpc::Files::default(),
        repairer: rpc::Behind::default(),
        unsynced: rpc::Behind::default(),
        health: rpc::Behind::default(),
    };
    let listener = rpc::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    let listeners = vec![(listener.into(), rpc::Door::Thrift)];
    let server = Server::start(listeners, Arc::clone(&table), Arc::clone(&stats), config).unwrap();
    Running { server, table, stats, addr }
}

fn start() -> Running {
    start_with(256)
}

impl Running {
    fn client(&self) -> Client {
        Client::connect(&self.addr.to_string(), SOON).unwrap()
    }

    fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.addr).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    fn assert_serves(&self) {
        assert_eq!(self.client().get_methods().unwrap().len(), Method::COUNT);
    }
}

fn python_command(script: &str, addr: SocketAddr) -> Command {
    let stubs = Path::new(env!("CARGO_MANIFEST_DIR")).join("idl/gen-py");
    let prelude = "
import sys
from thrift.transport import TSocket, TTransport
from thrift.protocol import TBinaryProtocol
from thrift.Thrift import TApplicationException

def connect(service, strict=True, framed=False):
    socket = TSocket.TSocket('127.0.0.1', int(sys.argv[1]))
    socket.setTimeout(10000)
    transport = (TTransport.TFramedTransport if framed else TTransport.TBufferedTransport)(socket)
    protocol = TBinaryProtocol.TBinaryProtocol(transport, strictRead=True, strictWrite=strict)
    transport.open()
    return service.Client(protocol), transport

def refused(error, call, *args):
    try:
        call(*args)
    except error as e:
        assert e.message and '\\n' not in e.message, e
        return e
    raise AssertionError('not refused: %r' % (args,))
";
    let mut command = Command::new(python::with_thrift());
    command
        .args(["-c", &format!("{prelude}\n{script}"), &addr.port().to_string()])
        .env("PYTHONPATH", stubs)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null());
    command
}

fn run_python(script: &str, addr: SocketAddr) {
    let Output { status, stderr, .. } = python_command(script, addr).output().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
}

#[test]
fn users_python_client_works_unchanged() {
    let running = start();
    run_python(
        "
from server import server as srv
c, t = connect(srv)
methods = c.get_methods()
assert methods == sorted(methods) and 'write_buf' in methods and 'fdatasync' in methods, methods
c.set_all_fault(False, 5, 100000, '', False, 0, False)
c.clear_fault('write')
c.clear_fault('no such method')
c.clear_all_faults()
c.set_fault(['fsync', 'fdatasync', 'fsyncdir', 'unheard_of'], False, 0, 1000,
            r'(^|.*/)member/wal/.*', False, 300000, False)
c.set_fault(['read'], True, 0, 0, None, False, 0, False)
c.set_fault(methods=['unheard_of'], random=False, err_no=5, probability=0, regexp='',
            kill_caller=False, delay_us=0, auto_delay=False)
t.close()
",
        running.addr,
    );
    let listed = running.table.list();
    let [wal, read] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!(wal.methods.names(), ["fdatasync", "fsync", "fsyncdir"]);
    assert_eq!(Plain::of(&wal.fault).delay, Some(Duration::from_millis(300)));
    assert_eq!(wal.fault.chance().probability.as_fraction(), 1.0, "1000 per mille");
    assert!(wal.fault.pattern().matches(b"/data/raw/etcd2/member/wal/0.wal"));
    assert_eq!(read.methods.names(), ["read"]);
    assert_eq!(read.fault.pattern().as_str(), "");
}

#[test]
fn python_client_may_be_non_strict_or_framed() {
    let running = start();
    run_python(
        "
from server import server as srv
for strict in (True, False):
    for framed in (True, False):
        c, t = connect(srv, strict, framed)
        for _ in range(2):
            c.clear_all_faults()
            c.set_fault(['write'], False, 5, 0, '', False, 0, False)
            assert 'write' in c.get_methods()
        try:
            c.set_fault(['write'], False, 38, 0, '', False, 0, False)
            raise AssertionError('not refused')
        except TApplicationException:
            pass
        t.close()
",
        running.addr,
    );
    assert_eq!(running.table.list().len(), 1);
}

#[test]
fn bad_arguments_are_refused_and_change_nothing() {
    let running = start();
    run_python(
        "
from server import server as srv
c, t = connect(srv)
c.set_fault(['write'], False, 28, 0, '', False, 0, False)
def no(err_no=0, regexp='', delay_us=0):
    e = refused(TApplicationException, c.set_fault,
                ['write'], False, err_no, 0, regexp, False, delay_us, False)
    assert e.type == TApplicationException.INTERNAL_ERROR, e.type
    assert e.message.startswith('set_fault: '), e.message
    return e.message
assert 'EOPNOTSUPP' in no(err_no=38)
assert 'err_no is 512' in no(err_no=512)
assert 'err_no is -1' in no(err_no=-1)
assert 'delay_us is -1' in no(delay_us=-1)
assert '(a' in no(regexp='(a')
no(regexp='a' * 60000)
no(regexp='a' * 250000)
no(regexp='(' * 10000 + ')' * 10000)
no(regexp='((a{1000}){1000}){1000}')
no(regexp='[' * 1000)
# Taken or refused, however deep, but never the end of the server.
for depth in (30, 40, 62, 80, 124, 245, 300, 3000):
    for opening, closing in (('(', ')'), ('a|(', ')'), ('(?:a', ')*'), ('(?!a|(', '))'),
                             ('(?=a', 'b)'), ('(x)\\1(', ')')):
        try:
            c.set_fault(['read'], False, 5, 0, opening * depth + closing * depth, False, 0, False)
        except TApplicationException as e:
            assert '\\n' not in e.message, e.message
c.clear_fault('read')
",
        running.addr,
    );
    let listed = running.table.list();
    assert_eq!(listed.len(), 1, "{listed:?}");
}

#[test]
fn own_python_stubs_set_list_and_refuse() {
    let running = start();
    running.stats.count(Call::Write, Answered::Failed);
    running.stats.count(Call::Fsync, Answered::Well);
    running.stats.time(Call::Fsync, Duration::from_millis(1));
    running.stats.count(Call::Fdatasync, Answered::Well);
    running.stats.time(Call::Fdatasync, Duration::from_millis(3));
    run_python(
        "
from slowfs_thrift import SlowFS
from slowfs_thrift.ttypes import Effect, Fault, Refused, Value
c, t = connect(SlowFS)
slow = Fault(methods=['fsync', 'write'], pattern='.*/wal/.*',
             effects=[Effect('delay', {'time': Value(whole=5000000)})],
             options={'probability': Value(share=0.5), 'count': Value(text='3')})
fails = Effect('error', {'errnos': Value(texts=['EIO', '28'])})
one = c.put_fault(slow, False)
assert (one.replaced, one.released, one.unchanged, one.warnings) == ([], 0, False, []), one
two = c.put_fault(Fault(methods=['all'], effects=[fails]), True)
assert two.id > one.id >= 1
first, second = c.list_faults()
assert (first.id, first.fault.methods, first.category) == (one.id, ['fsync', 'write'], 'fault')
assert first.fault.effects == slow.effects, first
assert (first.fault.pattern, first.state) == ('.*/wal/.*', 'on')
assert first.fault.options == {'probability': Value(share=0.5), 'count': Value(whole=3)}, first
assert (first.matched, first.fired, first.held, first.expires_in_ns) == (0, 0, 0, None)
assert second.fault.methods == ['all'], second
assert second.fault.effects[0].params == {'errnos': Value(texts=['EIO', 'ENOSPC'])}, second
hang = [Effect('hang', {})]
for why, fault in [
    ('did you mean fsync?', Fault(methods=['fsycn'], effects=hang)),
    ('the fault does nothing', Fault(methods=['fsync'])),
    ('no kind of fault is called hnag; did you mean hang?',
     Fault(methods=['fsync'], effects=[Effect('hnag', {})])),
    ('delay has no tiem; did you mean time?',
     Fault(methods=['fsync'], effects=[Effect('delay', {'tiem': Value(whole=1)})])),
    ('delay needs time', Fault(methods=['fsync'], effects=[Effect('delay', {})])),
    ('delay: time: it takes TIME',
     Fault(methods=['fsync'], effects=[Effect('delay', {'time': Value(flag=True)})])),
    ('time: give exactly one of whole, share, flag, text, texts',
     Fault(methods=['fsync'], effects=[Effect('delay', {'time': Value()})])),
    ('time: give exactly one of whole, share, flag, text, texts',
     Fault(methods=['fsync'], effects=[Effect('delay', {'time': Value(whole=1, text='1s')})])),
    ('there is no option cuont; did you mean count?',
     Fault(methods=['fsync'], effects=hang, options={'cuont': Value(whole=1)})),
    ('a fault: count: 0: it must be 1 at least',
     Fault(methods=['fsync'], effects=hang, options={'count': Value(whole=0)})),
    ('it is a method',
     Fault(methods=['fsync'], effects=hang, name='fsync')),
]:
    e = refused(Refused, c.put_fault, fault, False)
    assert why in e.message and chr(10) not in e.message, e.message
two = two.id
refused(Refused, c.clear_methods, ['fsycn'])
c.clear_methods(['fsync'])
assert c.list_faults()[0].fault.methods == ['write']
e = refused(Refused, c.clear, ['write', 'slwo'])
assert 'no fault slwo' in e.message and len(c.list_faults()) > 0, e.message
idle = c.put_fault(Fault(methods=['mkdir'], effects=hang, options={'probability': Value(share=0.0)}), True)
assert 'it never fires: its probability is 0' in idle.warnings, idle
done = c.clear(['mkdir', str(idle.id)])
assert (done.faults, done.released) == ([idle.id], 0), done
assert c.remove_fault(str(two)) and not c.remove_fault(str(two)) and not c.remove_fault('-1')
methods = {m.name: m.obstacle for m in c.list_methods()}
assert methods['write'] is None and 'permissions' in methods['access'], methods
info = c.info()
assert (info.version, info.mountpoint, info.backing) == ('1.2.3', b'/mnt/m', b'/data/b')
kinds = {k.name: k for k in c.list_kinds()}
assert list(kinds) == info.kinds and 'count' in info.features and 'name' in info.features, info
time, = [p for p in kinds['delay'].params if p.name == 'time']
assert (time.first, time.needed) == (True, True) and 'fsync' in kinds['delay'].methods, kinds
assert (info.pid, info.faults, info.threads) == (42, 1, 4)
assert (info.direct_io, info.read_only, info.seeded, info.stats) == (False, True, True, False)
assert (info.probability_scale, info.fuse_protocol) == ('auto', '7.45')
assert info.capabilities == ['FUSE_ASYNC_DIO']
stats = c.stats()
assert (stats.calls, stats.errors) == (3, 1) and stats.elapsed_ns > 0, stats
by_name = {m.name: m for m in stats.methods}
assert len(by_name) == len(methods)
assert (by_name['write'].calls, by_name['write'].errors, by_name['write'].latency) == (1, 1, None)
latency = by_name['fsync'].latency
assert (by_name['fsync'].calls, latency.timed, latency.max_ns) == (2, 2, 3000000)
assert 1000000 <= latency.p50_ns <= 1062500 and latency.p99_ns == 3000000, latency
assert sum(latency.buckets.values()) == 2, latency
c.clear_all_faults()
assert c.list_faults() == []
",
        running.addr,
    );
}

#[test]
fn own_client_sets_lists_and_is_refused() {
    let running = start();
    let mut client = running.client();
    let spec = FaultWords { methods: vec!["fsync".into()], ..FaultWords::default() }
        .and("hang", "")
        .with("lasts", "1m");
    let id = client.put_fault(&spec, false).unwrap().id;
    let listed = client.list_faults().unwrap();
    assert_eq!((listed[0].id, listed[0].fault.line()), (id, "hang -m fsync --for 1m".to_owned()));
    assert!(listed[0].expires_in_ns.is_some_and(|ns| ns <= 60_000_000_000));
    let nonsense = spec.with("probability", "7.0");
    let error = client.put_fault(&nonsense, false).unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error}");
    assert!(client.remove_fault(&id.to_string()).unwrap());
    assert_eq!(client.info().unwrap().faults, 0);
    let methods = client.list_methods().unwrap();
    assert_eq!(methods.len(), Method::COUNT);
}

#[test]
fn a_thousand_faults_can_be_listed_and_no_more_set() {
    let running = start();
    let mut client = running.client();
    let spec =
        FaultWords { methods: vec!["all".into()], ..FaultWords::default() }.and("delay", "1us");
    for _ in 0..1000 {
        client.put_fault(&spec, true).unwrap();
    }
    assert_eq!(client.list_faults().unwrap().len(), 1000);
    let error = client.put_fault(&spec, true).unwrap_err();
    assert!(matches!(error, ClientError::Refused(_)), "{error:?}");
    assert!(error.to_string().contains("1000 faults"), "{error}");
    client.put_fault(&spec, false).unwrap();
    assert_eq!(client.list_faults().unwrap().len(), 1);
}

/// A frame captured from a real client, by its name.
fn golden(name: &str) -> Vec<u8> {
    let frames = include_str!("golden/frames.txt");
    let hex = frames.lines().find_map(|l| l.strip_prefix(&format!("{name} "))).unwrap();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// Reads one void reply to `call`: strict, type REPLY, an empty struct.
fn assert_void_reply(stream: &mut TcpStream, call: &str) {
    let mut expected = vec![0x80, 1, 0, 2, 0, 0, 0, call.len() as u8];
    expected.extend(call.as_bytes());
    expected.extend([0; 5]);
    let mut reply = vec![0; expected.len()];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(reply, expected);
}

#[test]
fn replies_are_strict_and_void_ones_empty() {
    let running = start();
    let mut stream = running.raw();
    for (name, call) in [
        ("set_fault", "set_fault"),
        ("set_all_fault", "set_all_fault"),
        ("positive_set_fault", "set_fault"),
        ("once_set_all_fault", "set_all_fault"),
        ("listed_set_fault", "set_fault"),
        ("older_set_all_fault", "set_all_fault"),
        ("clear_fault", "clear_fault"),
        ("clear_all_faults", "clear_all_faults"),
    ] {
        stream.write_all(&golden(name)).unwrap();
        assert_void_reply(&mut stream, call);
    }
    let mut stream = running.raw();
    stream.write_all(&golden("set_fault_non_strict")).unwrap();
    assert_void_reply(&mut stream, "set_fault");
    assert_eq!(running.table.list().len(), 1);
}

#[test]
fn a_fork_reads_its_faults_back() {
    let running = start();
    let mut stream = running.raw();
    stream.write_all(&golden("once_set_fault")).unwrap();
    assert_void_reply(&mut stream, "set_fault");
    stream.write_all(&golden("once_get_faults")).unwrap();
    let header = 4 + 4 + "get_faults".len() + 4;
    let mut reply = vec![0; header + 3 + 6];
    stream.read_exact(&mut reply).unwrap();
    // Field 0, a map of string to struct with the three methods.
    assert_eq!(&reply[header..], [13, 0, 0, 11, 12, 0, 0, 0, 3]);
}

#[test]
fn a_slow_writer_is_served_and_holds_up_nobody() {
    let running = start();
    let mut slow = running.raw();
    for byte in golden("set_fault") {
        slow.write_all(&[byte]).unwrap();
        running.client().get_methods().unwrap();
    }
    assert_void_reply(&mut slow, "set_fault");
    assert_eq!(running.table.list().len(), 1);
}

#[test]
fn an_unknown_call_leaves_the_connection_usable() {
    let running = start();
    let mut stream = running.raw();
    // frobnicate(1: "x", 2: {3: [1, 2]}), then a known call, in one packet.
    let mut bytes = b"\x80\x01\x00\x01\x00\x00\x00\x0afrobnicate\x00\x00\x00\x07".to_vec();
    bytes.extend(b"\x0b\x00\x01\x00\x00\x00\x01x\x0c\x00\x02\x0f\x00\x03\x08\x00\x00\x00\x02");
    bytes.extend([0, 0, 0, 1, 0, 0, 0, 2, 0, 0]);
    bytes.extend(golden("clear_all_faults"));
    stream.write_all(&bytes).unwrap();
    let (kind, seq, text, code) = read_exception(&mut stream, "frobnicate");
    assert_eq!((kind, seq, code), (3, 7, 1), "UNKNOWN_METHOD: {text}");
    assert_void_reply(&mut stream, "clear_all_faults");
}

/// Type, sequence number, text and code of an exception in reply to `call`.
fn read_exception(stream: &mut TcpStream, call: &str) -> (u8, u8, String, u8) {
    let mut header = vec![0; 8 + call.len() + 4 + 3 + 4];
    stream.read_exact(&mut header).unwrap();
    let length = u32::from_be_bytes(header[header.len() - 4..].try_into().unwrap());
    let mut text = vec![0; length as usize];
    stream.read_exact(&mut text).unwrap();
    let mut rest = [0; 8];
    stream.read_exact(&mut rest).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains('\n'), "{text}");
    (header[3], header[8 + call.len() + 3], text, rest[6])
}

/// `set_fault` whose first argument is claimed to be a list of two billion strings.
fn two_billion() -> Vec<u8> {
    let mut bytes = golden("set_fault")[..21].to_vec();
    bytes.extend(b"\x0f\xff\xff\x0b\x77\x35\x94\x00");
    bytes
}

/// The most memory this process has had, in bytes.
fn peak_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim_end_matches("kB").trim().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_claimed_list_of_two_billion_entries_is_refused_in_words() {
    let running = start();
    let mut stream = running.raw();
    stream.write_all(&two_billion()).unwrap();
    let (kind, _, text, code) = read_exception(&mut stream, "set_fault");
    assert_eq!((kind, code), (3, 7), "PROTOCOL_ERROR");
    assert!(text.contains("2000000000"), "{text}");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0, "then closed");
    running.assert_serves();
}

#[test]
fn misbehaving_peers_cost_little_and_harm_nobody() {
    let running = start();
    let mut steady = running.client();
    steady.get_methods().unwrap();
    let before = peak_memory();
    let mut peers = Vec::new();
    for n in 0..120 {
        let mut peer = running.raw();
        let bytes = match n % 6 {
            0 => golden("set_fault")[..60].to_vec(),
            1 => two_billion(),
            2 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
            3 => vec![0xff; 5000],
            4 => b"\x7f\xff\xff\xff\x80\x01\x00\x01".to_vec(),
            _ => {
                // A frame of the largest size that is taken, half sent.
                let mut frame = (256 * 1024u32).to_be_bytes().to_vec();
                frame.extend(&golden("set_fault")[..21]);
                frame.extend(b"\x0b\x00\x63\x00\x00\xff\xff");
                frame.resize(30_000, b'x');
                frame
            }
        };
        let _ = peer.write_all(&bytes);
        peers.push(peer);
        if n % 10 == 0 {
            steady.get_methods().unwrap();
        }
    }
    assert!(running.table.list().is_empty());
    let grown = peak_memory().saturating_sub(before);
    assert!(grown < 100 << 20, "grew by {grown} bytes");
    drop(peers);
    running.assert_serves();
}

#[test]
fn a_listener_who_never_reads_harms_nobody() {
    let running = start();
    let stream = running.raw();
    stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let call = golden("get_methods").repeat(1000);
    let mut deaf = &stream;
    while deaf.write_all(&call).is_ok() {}
    running.assert_serves();
    let begun = Instant::now();
    running.server.stop();
    assert!(begun.elapsed() < SOON, "stop waited for the deaf peer");
}

#[test]
fn one_connection_too_many_closes_the_longest_idle() {
    let running = start_with(3);
    let mut clients: Vec<_> = (0..3)
        .map(|_| {
            let mut client = running.client();
            client.get_methods().unwrap();
            client
        })
        .collect();
    clients[0].get_methods().unwrap();
    let mut newcomer = running.client();
    newcomer.get_methods().unwrap();
    let error = clients[1].get_methods().unwrap_err();
    assert!(matches!(error, ClientError::Lost { .. }), "{error}");
    clients[0].get_methods().unwrap();
    clients[2].get_methods().unwrap();
    newcomer.get_methods().unwrap();
}

#[test]
fn stop_closes_connections_and_frees_the_port() {
    let running = start();
    let mut idle = running.raw();
    let mut half = running.raw();
    half.write_all(&golden("set_fault")[..30]).unwrap();
    running.assert_serves();
    let (server, addr) = (running.server, running.addr);
    let begun = Instant::now();
    server.stop();
    assert!(begun.elapsed() < SOON);
    assert_eq!(idle.read(&mut [0]).unwrap_or_default(), 0);
    assert_eq!(half.read(&mut [0]).unwrap_or_default(), 0);
    let error = Client::connect(&addr.to_string(), SOON).unwrap_err();
    assert!(error.to_string().contains("connection refused"), "{error}");
    drop(rpc::bind(addr).unwrap());
}

#[test]
fn a_taken_port_is_told_with_its_address() {
    let running = start();
    let error = rpc::bind(running.addr).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot listen on {}", running.addr)), "{text}");
}

#[test]
fn a_server_that_does_not_answer_times_out() {
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = mute.local_addr().unwrap().to_string();
    let timeout = Duration::from_millis(200);
    let mut client = Client::connect(&addr, timeout).unwrap();
    let begun = Instant::now();
    let error = client.info().unwrap_err();
    assert!(begun.elapsed() >= timeout);
    let text = error.to_string();
    assert!(text.starts_with(&format!("no answer from {addr}: ")), "{text}");
    assert!(text.contains("200ms"), "{text}");
}

#[test]
fn a_server_of_something_else_is_told_apart() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = other.local_addr().unwrap().to_string();
    let mut client = Client::connect(&addr, SOON).unwrap();
    let (mut peer, _) = other.accept().unwrap();
    peer.write_all(b"HTTP/1.1 400 Bad Call\r\n\r\n").unwrap();
    let error = client.info().unwrap_err();
    assert!(matches!(error, ClientError::Garbled { .. }), "{error}");
}

#[test]
fn set_fault_replaces_only_the_methods_it_names() {
    let running = start();
    let mut client = running.client();
    let fault = PlainFault { err_nos: vec![5], ..PlainFault::default() };
    client.set_fault(None, &fault).unwrap();
    client.set_fault(Some(&["write".into()]), &fault).unwrap();
    let methods: Vec<_> = running.table.list().iter().map(|l| l.methods).collect();
    let write = MethodSet::from(Method::from_name("write").unwrap());
    assert_eq!(methods, [MethodSet::ALL.minus(write), write]);
}
