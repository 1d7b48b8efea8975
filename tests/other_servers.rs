//! What the commands and the client make of servers that are no slowfs of this version: charybdefs,
//! and an older slowfs. Both are played by Thrift's own Python server.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod common;
#[path = "common/python.rs"]
mod python;

use std::io::{BufRead, BufReader, Lines};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

use common::{fault_on, slowfs, text_of};
use slowfs::fault::PlainFault;
use slowfs::rpc::{Client, ClientError};

const ORIGINAL: &str = "
from server import server as service
class Handler:
    def get_methods(self): return ['fsync', 'write']
    def clear_all_faults(self): print('clear_all_faults', flush=True)
    def clear_fault(self, method): print('clear_fault', method, flush=True)
    def set_fault(self, *args): print('set_fault', *args, flush=True)
    def set_all_fault(self, *args): print('set_all_fault', *args, flush=True)
";

const OLDER: &str = "
from slowfs_thrift import SlowFS as service
from slowfs_thrift.ttypes import Fault, Info, ListedFault, Put
class Handler:
    def list_faults(self): return [ListedFault(id=7, fault=Fault(methods=['write'], name='slow'))]
    def remove_fault(self, fault):
        print('remove_fault', fault, flush=True)
        return True
    def clear_methods(self, methods): print('clear_methods', methods, flush=True)
    def clear_all_faults(self): print('clear_all_faults', flush=True)
    def info(self): return Info(version='0.0.9', kinds=['delay'], features=['count'])
    def put_fault(self, fault, add):
        print('put_fault', fault.effects[0].kind, flush=True)
        return Put(id=7)
";

const SERVE: &str = "
from thrift.protocol import TBinaryProtocol
from thrift.server import TServer
from thrift.transport import TSocket, TTransport
socket = TSocket.TServerSocket('127.0.0.1', 0)
socket.listen()
print(socket.handle.getsockname()[1], flush=True)
socket.listen = lambda: None
processor = service.Processor(Handler())
for call in set(processor._processMap) - set(dir(Handler)): del processor._processMap[call]
TServer.TThreadedServer(processor, socket, TTransport.TBufferedTransportFactory(),
                        TBinaryProtocol.TBinaryProtocolFactory(), daemon=True).serve()
";

/// A server of another kind; it tells of each call that changes something by a line.
struct Other {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    addr: String,
}

impl Other {
    fn start(handler: &str) -> Other {
        let stubs = Path::new(env!("CARGO_MANIFEST_DIR")).join("idl/gen-py");
        let mut command = Command::new(python::with_thrift());
        command.arg("-c").arg(handler.to_owned() + SERVE).env("PYTHONPATH", stubs);
        command.env("PYTHONDONTWRITEBYTECODE", "1").stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let addr = format!("127.0.0.1:{}", lines.next().unwrap().unwrap());
        Other { child, lines, addr }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    fn run(&self, words: &[&str]) -> Output {
        slowfs().args(words).args(["--addr", &self.addr]).output().unwrap()
    }

    /// Refused by name, in one line and with exit code 1.
    fn refuses(&self, words: &[&str], part: &str) {
        let output = self.run(words);
        let text = text_of(&output);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {text}");
        assert!(text.contains(part) && text.lines().count() == 1, "{words:?}: {text}");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn own_client_tells_an_original_server_and_speaks_its_calls() {
    let mut original = Other::start(ORIGINAL);
    let mut client = Client::connect(&original.addr, Duration::from_secs(10)).unwrap();
    let error = client.put_fault(&fault_on(&["fsync"]), false).unwrap_err();
    assert!(matches!(error, ClientError::UnknownCall { .. }), "{error}");
    assert_eq!(client.get_methods().unwrap(), ["fsync", "write"]);
    let fault = PlainFault {
        err_nos: vec![5],
        probability: 1000,
        regexp: ".*".into(),
        delay_us: 7,
        ..PlainFault::default()
    };
    client.set_fault(Some(&["fsync".into()]), &fault).unwrap();
    assert_eq!(original.line(), "set_fault ['fsync'] False 5 1000 .* False 7 False");
    client.set_fault(None, &fault).unwrap();
    assert_eq!(original.line(), "set_all_fault False 5 1000 .* False 7 False");
    client.clear_fault("fsync").unwrap();
    assert_eq!(original.line(), "clear_fault fsync");
    client.clear_all_faults().unwrap();
    assert_eq!(original.line(), "clear_all_faults");
}

#[test]
fn commands_set_on_an_original_server_what_it_can_and_refuse_the_rest_by_name() {
    let mut original = Other::start(ORIGINAL);
    original.refuses(&["hang", "-m", "fsync"], "cannot do hang");
    original.refuses(&["kill", "-m", "fsync", "--nth", "2"], "cannot do --nth");
    original.refuses(&["kill", "-m", "fsync", "--add"], "cannot do --add");
    original.refuses(&["wait", "slow", "--fired", "1"], "an older slowfs, which cannot do that");
    original.refuses(&["clear", "slow,fsync"], "an older slowfs, which cannot do that");
    let cleared = original.run(&["clear", "fsync,write"]);
    assert!(cleared.status.success(), "{}", text_of(&cleared));
    assert_eq!([original.line(), original.line()], ["clear_fault fsync", "clear_fault write"]);
    let set = original.run(&["delay", "1ms", "--and", "kill", "-m", "fsync,write", "-p", "1%"]);
    assert!(set.status.success(), "{}", text_of(&set));
    assert_eq!(original.line(), "set_fault ['fsync', 'write'] False 0 1000  True 1000 False");
    original.refuses(&["recipe", "fail-slow-stalling"], "cannot do hang, --on-for, --off-for");
    let recipe = original.run(&["recipe", "full"]);
    assert!(recipe.status.success(), "{}", text_of(&recipe));
    assert_eq!(original.line(), "clear_all_faults", "once: what was refused has cleared nothing");
    assert_eq!(original.line(), "set_all_fault False 28 100000  False 0 False");
}

#[test]
fn what_an_older_daemon_does_not_have_is_refused_by_name_and_not_sent() {
    let mut older = Other::start(OLDER);
    older.refuses(&["kill", "-m", "write"], "that daemon is slowfs 0.0.9 and has no kind kill");
    older.refuses(&["delay", "1ms", "-m", "write", "--nth", "2"], "has no option nth");
    older.refuses(&["delay", "1ms", "-m", "write", "--name", "slow"], "has no option name");
    older.refuses(&["delay", "1ms", "-m", "write", "--ramp", "x1..x2/1s"], "has no option ramp");
    older.refuses(&["recipe", "fail-slow-intermittent"], "no option random");
    let set = older.run(&["delay", "1ms", "-m", "write", "--count", "1"]);
    assert!(text_of(&set).contains("fault 7: delay 1ms -m write --count 1"), "{}", text_of(&set));
    assert_eq!(older.line(), "put_fault delay", "nothing was sent before");
}

#[test]
fn an_older_daemon_is_cleared_by_the_calls_that_it_has() {
    let mut older = Other::start(OLDER);
    older.refuses(&["clear", "slow,none"], "there is no fault none");
    let clear = |what: &[&str]| {
        let cleared = older.run(&[&["clear"], what].concat());
        assert!(cleared.status.success(), "{what:?}: {}", text_of(&cleared));
    };
    clear(&["slow"]);
    clear(&["fsync,7,write"]);
    clear(&[]);
    let lines = [
        "remove_fault slow",
        "remove_fault 7",
        "clear_methods ['fsync', 'write']",
        "clear_all_faults",
    ];
    assert_eq!(lines.map(|_| older.line()), lines, "nothing was cleared before");
}
