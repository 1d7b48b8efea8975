//! Redis with an append-only file that is synced for every write: what was acknowledged before a
//! SIGKILL is there after it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use rustix::process::Signal;

use crate::common::{long_or, stdout_of};
use crate::server::Server;
use crate::{Check, PATIENCE, as_nobody, nobodys, wait_for};

cases!(in_memory: append_only_file);

const CLIENTS: usize = 4;

fn append_only_file(dir: &Path) -> Check {
    let data = nobodys(dir.join("redis"));
    let acknowledged: Vec<_> = (0..CLIENTS).map(|_| AtomicU64::new(0)).collect();
    for _ in 0..long_or(20, 3) {
        let server = serve(&data);
        must_hold(&data, &acknowledged);
        write_until_killed(server, &data, &acknowledged);
    }
    Box::new(move |dir| {
        let data = dir.join("redis");
        let server = serve(&data);
        must_hold(&data, &acknowledged);
        assert!(server.end(Signal::TERM).success());
        // Before version 7 it was one file.
        let logs = ["appendonlydir/appendonly.aof.manifest", "appendonly.aof"];
        let log = logs.map(|log| data.join(log)).into_iter().find(|log| log.exists());
        let said = stdout_of(as_nobody("redis-check-aof").arg(log.unwrap()));
        assert!(said.contains("valid") && !said.contains("not valid"), "{said}");
        println!(
            "{} keys acknowledged by servers that were killed: none is lost",
            sum(&acknowledged)
        );
    })
}

#[test]
fn a_lost_key_is_noticed() {
    crate::must_notice(crate::in_memory, append_only_file, |dir| {
        let server = serve(&dir.join("redis"));
        Connection::open(&dir.join("redis")).unwrap().call("SET 2:1 other").unwrap();
        server.kill();
    });
}

fn serve(data: &Path) -> Server {
    let mut command = as_nobody("redis-server");
    command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
    command.arg("--dir").arg(data).arg("--unixsocket").arg(socket(data));
    Server::start(&mut command)
}

fn socket(data: &Path) -> PathBuf {
    data.join("socket")
}

/// Has the clients write, and the server rewrite its log meanwhile, until enough is acknowledged;
/// then kills it.
fn write_until_killed(server: Server, data: &Path, acknowledged: &[AtomicU64]) {
    let start = sum(acknowledged);
    let enough = long_or(2000, 400);
    thread::scope(|scope| {
        for (client, count) in acknowledged.iter().enumerate() {
            let mut connection = Connection::open(data).unwrap();
            scope.spawn(move || write_all(&mut connection, client, count));
        }
        // Dropped by a failure too, which ends the clients.
        let server = server;
        let reach = |part| {
            wait_for("keys to be written", || (sum(acknowledged) >= start + part).then_some(()));
        };
        reach(enough / 2);
        Connection::open(data).unwrap().call("BGREWRITEAOF").unwrap();
        reach(enough);
        server.kill();
    });
}

fn sum(acknowledged: &[AtomicU64]) -> u64 {
    acknowledged.iter().map(|n| n.load(Ordering::Relaxed)).sum()
}

/// Writes one key after the other until the server is gone.
fn write_all(connection: &mut Connection, client: usize, count: &AtomicU64) {
    for n in count.load(Ordering::Relaxed) + 1.. {
        match connection.call(&format!("SET {client}:{n} {}", value(n))) {
            Ok(answer) => assert_eq!(answer, "OK"),
            Err(_) => return,
        }
        count.store(n, Ordering::Relaxed);
    }
}

fn value(n: u64) -> String {
    format!("{n:0300}")
}

fn must_hold(data: &Path, acknowledged: &[AtomicU64]) {
    let mut connection = Connection::open(data).unwrap();
    for (client, count) in acknowledged.iter().enumerate() {
        for n in 1..=count.load(Ordering::Relaxed) {
            assert_eq!(
                connection.call(&format!("GET {client}:{n}")).unwrap(),
                value(n),
                "{client}:{n}"
            );
        }
    }
}

/// Redis's protocol, as much of it as is needed: a line out, a line or a counted text back.
struct Connection(BufReader<UnixStream>);

impl Connection {
    fn open(data: &Path) -> io::Result<Connection> {
        let stream = UnixStream::connect(socket(data))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection(BufReader::new(stream)))
    }

    fn call(&mut self, command: &str) -> io::Result<String> {
        self.0.get_mut().write_all(format!("{command}\r\n").as_bytes())?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let line = line.strip_suffix("\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
        let Some(length) = line.strip_prefix('$') else {
            let answer = line.strip_prefix('+').ok_or_else(|| io::Error::other(line))?;
            return Ok(answer.to_owned());
        };
        let length: usize = length.parse().map_err(|_| io::Error::other("no such key"))?;
        let mut text = vec![0; length + 2];
        self.0.read_exact(&mut text)?;
        text.truncate(length);
        Ok(String::from_utf8(text).unwrap())
    }
}
