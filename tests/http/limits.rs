//! Nobody who is slow, silent, gone or many holds up others.

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::common::http::{Answer, Http, dial, served};
use crate::common::{Mount, wait_for};

/// What a request may take here, connection included; a busy machine is no failure.
const SOON: Duration = Duration::from_secs(3);

fn descriptors(mount: &Mount) -> usize {
    fs::read_dir(format!("/proc/{}/fd", mount.pid())).unwrap().count()
}

fn answers_soon(http: &Http) {
    let began = Instant::now();
    assert_eq!(http.get("/v1/faults").status, 200);
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
}

#[test]
fn who_sends_slowly_is_done_with_after_a_bound() {
    let mount = served();
    let http = Http::net(&mount);
    let request = http.request("POST", "/v1/faults", r#""hang -m rmdir""#);
    // In the head, and in the body.
    let mut slow: Vec<_> = [10, request.len() - 3]
        .into_iter()
        .map(|length| {
            let mut stream = TcpStream::connect(&http.addr).unwrap();
            stream.write_all(&request[..length]).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            (stream, length)
        })
        .collect();
    let began = Instant::now();
    // A byte now and then makes no difference.
    while began.elapsed() < Duration::from_secs(3) {
        answers_soon(&http);
        let (stream, length) = &mut slow[0];
        stream.write_all(&request[*length..=*length]).unwrap();
        *length += 1;
        std::thread::sleep(Duration::from_millis(200));
    }
    for (mut stream, length) in slow {
        let answer = Answer::read(&mut stream);
        assert_eq!(answer.status, 408, "{length}: {answer:?}");
        assert!(began.elapsed() >= Duration::from_secs(4), "{:?}", began.elapsed());
        assert_eq!(stream.read(&mut [0]).unwrap(), 0, "it is closed");
    }
}

#[test]
fn half_a_request_and_gone_readers_leave_nothing() {
    let mount = served();
    let http = Http::net(&mount);
    answers_soon(&http);
    let before = descriptors(&mount);
    for turn in 0..60 {
        let mut stream = TcpStream::connect(&http.addr).unwrap();
        let many = http.request("GET", "/v1/kinds", "").repeat(50);
        let _ = match turn % 4 {
            // Nothing, half a head, a head without its body, and answers that nobody reads.
            0 => Ok(()),
            1 => stream.write_all(&many[..20]),
            2 => {
                stream.write_all(b"PUT / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n")
            }
            _ => stream.write_all(&many),
        };
        if turn % 3 == 0 {
            let _ = stream.shutdown(Shutdown::Write);
        }
    }
    answers_soon(&http);
    wait_for("connections to end", || (descriptors(&mount) <= before).then_some(()));
    assert!(!mount.log_text().contains("panicked"));
}

#[test]
fn a_reader_who_takes_nothing_holds_up_nobody() {
    let mount = served();
    let http = Http::net(&mount);
    let request = http.request("GET", "/v1/kinds", "").repeat(200);
    let mut idle = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(&http.addr).unwrap();
        stream.set_nonblocking(true).unwrap();
        let _ = stream.write(&request);
        idle.push(stream);
    }
    answers_soon(&http);
    answers_soon(&Http::socket(&mount));
    mount.client().info().unwrap();
}

#[test]
fn a_thousand_idle_connections_keep_nobody_out() {
    let mount = served();
    let http = Http::net(&mount);
    let mut resident = mount.client();
    resident.info().unwrap();
    let mut idle = Vec::new();
    for n in 0..1_000 {
        idle.push(TcpStream::connect(&http.addr).unwrap());
        if n % 50 == 0 {
            // Accepted in turn, so that those before it are too.
            answers_soon(&http);
            resident.info().unwrap();
        }
    }
    answers_soon(&http);
    answers_soon(&Http::socket(&mount));
    // Who keeps calling keeps its connection.
    resident.info().unwrap();
    let closed = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        matches!(stream.read(&mut [0]), Ok(0))
    };
    wait_for("the longest idle to be closed", || {
        (idle.iter_mut().filter_map(|s| closed(s).then_some(())).count() >= 700).then_some(())
    });
}

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let mount = served();
    let http = Http::net(&mount);
    for (what, status) in [
        (
            format!(
                "PUT /v1/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
                1_u64 << 40
            ),
            413,
        ),
        (format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", "a".repeat(20_000)), 431),
        (format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(100)), 431),
        ("PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(), 411),
        ("GET / HTTP/3.0\r\nHost: localhost\r\n\r\n".to_owned(), 505),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400),
        // Without the token nobody sends a body.
        (
            "PUT /v1/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
                .to_owned(),
            401,
        ),
    ] {
        let mut wire = dial(&http.addr);
        wire.write_all(what.as_bytes()).unwrap();
        let answer = Answer::read(&mut wire);
        assert_eq!(answer.status, status, "{:.60}: {answer:?}", what);
    }
    answers_soon(&http);
}
