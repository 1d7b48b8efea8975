//! A client of the mount's HTTP: what it sends is what the test says, byte by byte.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::Value;

use super::{Mount, PATIENCE, scratch};

/// What [`served`] has in its token's file.
pub const TOKEN: &str = "the-token-of-this-test";

/// A mirror whose HTTP is served over TCP as well.
pub fn served() -> Mount {
    let scratch = scratch();
    let token = scratch.path().join("token");
    write_token(&token, TOKEN, 0o600);
    let token = token.to_str().unwrap().to_owned();
    Mount::over(scratch, &["--http", "127.0.0.1:0", "--http-token", &token])
}

/// A file with a token.
pub fn write_token(path: &Path, token: &str, mode: u32) {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(path).unwrap();
    file.write_all(token.as_bytes()).unwrap();
}

/// Both directions of a connection.
pub trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// Connects to `ADDR:PORT` or to the path of a socket.
pub fn dial(addr: &str) -> Box<dyn Wire> {
    if addr.starts_with('/') {
        let stream = UnixStream::connect(addr).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        return Box::new(stream);
    }
    let stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    Box::new(stream)
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Reads one, as long as its head says.
    pub fn read(from: &mut dyn Read) -> Answer {
        let mut bytes = Vec::new();
        let mut byte = [0];
        while !bytes.ends_with(b"\r\n\r\n") {
            let n = from.read(&mut byte).unwrap();
            assert!(n == 1, "the connection ended in {:?}", String::from_utf8_lossy(&bytes));
            bytes.push(byte[0]);
        }
        let head = String::from_utf8(bytes).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: String::new() };
        let length = answer.field("content-length").map_or(0, |n| n.parse().unwrap());
        let mut body = vec![0; length];
        from.read_exact(&mut body).unwrap();
        answer.body = String::from_utf8(body).unwrap();
        answer
    }

    /// A field of its head.
    pub fn field(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

/// Who asks: where, and with which fields of the head.
#[derive(Clone)]
pub struct Http {
    pub addr: String,
    fields: Vec<(String, String)>,
}

impl Http {
    /// Over the mount's socket.
    pub fn socket(mount: &Mount) -> Http {
        Http::to(mount.told["socket"].as_str().unwrap()).with("Host", "localhost")
    }

    /// Over TCP, with the token of [`served`].
    pub fn net(mount: &Mount) -> Http {
        let addr = mount.told["http"].as_str().expect("it serves HTTP over TCP");
        Http::to(addr).with("Host", addr).with("Authorization", &format!("Bearer {TOKEN}"))
    }

    fn to(addr: &str) -> Http {
        let http = Http { addr: addr.to_owned(), fields: Vec::new() };
        http.with("Content-Type", "application/json")
    }

    /// With this field in the place of the one of that name; of an empty value without.
    pub fn with(&self, name: &str, value: &str) -> Http {
        let mut http = self.clone();
        http.fields.retain(|(own, _)| own != name);
        if !value.is_empty() {
            http.fields.push((name.to_owned(), value.to_owned()));
        }
        http
    }

    /// A request as it is sent.
    pub fn request(&self, method: &str, path: &str, body: &str) -> Vec<u8> {
        let fields = self.fields.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
        let fields: String = fields.collect();
        let length = body.len();
        format!("{method} {path} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n{body}").into()
    }

    /// Asks over a connection of its own.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut wire = dial(&self.addr);
        wire.write_all(&self.request(method, path, body)).unwrap();
        Answer::read(&mut wire)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "")
    }

    /// The object of an answer that must be a success.
    pub fn told(&self, path: &str) -> Value {
        let answer = self.get(path);
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.json()
    }

    /// Does what must succeed, and returns its object.
    pub fn done(&self, method: &str, path: &str, body: &str) -> Value {
        let answer = self.ask(method, path, body);
        assert_eq!(answer.status, 200, "{method} {path}: {answer:?}");
        answer.json()
    }
}
