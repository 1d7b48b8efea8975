//! What is read and written, and what is refused.

use std::io::{self, Read};

use proptest::prelude::*;
use thrift::TransportErrorKind;

use super::*;

/// A frame captured from a real client, by its name in tests/golden/frames.txt.
pub(in crate::rpc) fn golden(name: &str) -> Vec<u8> {
    let frames = include_str!("../../../tests/golden/frames.txt");
    let line = frames.lines().find_map(|l| l.strip_prefix(&format!("{name} ")));
    let hex = line.unwrap_or_else(|| panic!("no golden frame {name}"));
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

/// The name of every frame of tests/golden/frames.txt.
pub(in crate::rpc) fn names() -> impl Iterator<Item = &'static str> {
    let frames = include_str!("../../../tests/golden/frames.txt").lines();
    frames.map(|line| line.split_once(' ').unwrap().0)
}

fn reader(bytes: &[u8]) -> MessageReader<&[u8]> {
    MessageReader::new(bytes, Limits::REQUEST)
}

pub(in crate::rpc) fn read_one(bytes: &[u8]) -> Message {
    reader(bytes).read().unwrap().unwrap()
}

/// Gives one byte per read, as the slowest network may.
struct Trickle<'a>(&'a [u8]);

impl Read for Trickle<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = out.len().min(1);
        self.0.read(&mut out[..n])
    }
}

#[test]
fn all_four_framings_of_a_real_call_read_alike() {
    let plain = read_one(&golden("set_fault"));
    assert_eq!((plain.name.as_str(), plain.kind, plain.seq), ("set_fault", TMessageType::Call, 0));
    assert_eq!(plain.body.get(-4), Some(&Value::I32(1000)));
    assert_eq!(plain.body.get(-5), Some(&Value::text("(^|.*/)member/wal/.*")));
    for (name, framed) in [
        ("set_fault", false),
        ("set_fault_non_strict", false),
        ("set_fault_framed", true),
        ("set_fault_framed_non_strict", true),
    ] {
        let mut bytes = golden(name);
        bytes.extend(golden(name));
        let mut whole = reader(&bytes);
        let mut trickled = MessageReader::new(Trickle(&bytes), Limits::REQUEST);
        for _ in 0..2 {
            assert_eq!(whole.read().unwrap().unwrap(), plain, "{name}");
            assert_eq!(trickled.read().unwrap().unwrap(), plain, "{name}, a byte at a time");
        }
        assert_eq!(whole.framed(), framed, "{name}");
        assert!(whole.read().unwrap().is_none());
        assert!(trickled.read().unwrap().is_none());
    }
}

#[test]
fn a_message_cut_anywhere_is_lost_never_misread() {
    for name in ["set_fault", "set_fault_framed", "set_fault_framed_non_strict"] {
        let bytes = golden(name);
        for cut in 1..bytes.len() {
            match reader(&bytes[..cut]).read() {
                Err(ReadError::Lost(TransportErrorKind::EndOfFile, _)) => {}
                other => panic!("{name} cut at {cut}: {other:?}"),
            }
        }
    }
}

fn reason(bytes: &[u8]) -> (String, Option<String>) {
    match reader(bytes).read() {
        Err(ReadError::Bad { reason, call }) => (reason.to_string(), call.map(|(name, _)| name)),
        other => panic!("{other:?}"),
    }
}

/// A set_fault call whose body is these bytes.
fn with_body(body: &[u8]) -> Vec<u8> {
    let mut bytes = golden("set_fault")[..21].to_vec();
    bytes.extend(body);
    bytes
}

#[test]
fn claimed_lengths_are_refused_before_any_room_is_made() {
    let two_billion = with_body(b"\x0f\xff\xff\x0b\x77\x35\x94\x00");
    let (text, call) = reason(&two_billion);
    assert!(text.contains("2000000000"), "{text}");
    assert_eq!(call.as_deref(), Some("set_fault"));
    let huge_string = with_body(b"\x0b\xff\xfb\x7f\xff\xff\xff");
    assert!(reason(&huge_string).0.contains("2147483647"));
    let huge_map = with_body(b"\x0d\x00\x63\x08\x08\x77\x35\x94\x00");
    assert!(reason(&huge_map).0.contains("2000000000"));
    let negative = with_body(b"\x0f\xff\xff\x0b\xff\xff\xff\xff");
    assert!(reason(&negative).0.contains("Negative"));
    let (text, call) = reason(b"\x7f\xff\xff\xff\x80\x01\x00\x01");
    assert!(text.contains("claims a frame of 2147483647 bytes"), "{text}");
    assert_eq!(call, None);
}

#[test]
fn what_is_read_as_another_type_is_written_as_that() {
    let uuids = with_body(b"\x0f\x00\x01\x10\x00\x00\x00\x01sixteen bytes.16\x00");
    let set =
        with_body(b"\x0d\x00\x01\x0e\x10\x00\x00\x00\x01\x02\x00\x00\x00\x00sixteen bytes.16\x00");
    for bytes in [uuids, set] {
        let message = read_one(&bytes);
        assert_eq!(read_one(&encode(&message, false).unwrap()), message);
    }
}

#[test]
fn a_message_of_many_small_values_is_bounded_too() {
    let mut body = Vec::new();
    for _ in 0..60_000 {
        body.extend(b"\x02\x00\x63\x01");
    }
    assert!(reason(&with_body(&body)).0.contains("more than 2097152 bytes of memory"));
}

#[test]
fn nesting_is_bounded() {
    let deep = with_body(&b"\x0c\x00\x01".repeat(10_000));
    assert!(reason(&deep).0.contains("nests deeper than 16"));
    let mut lists = b"\x0f\x00\x01".to_vec();
    lists.extend(b"\x0f\x00\x00\x00\x01".repeat(10_000));
    assert!(reason(&with_body(&lists)).0.contains("nests deeper than 16"));
}

#[test]
fn a_web_browser_is_told_apart() {
    let (text, call) = reason(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(text.contains("exceeds maximum"), "{text}");
    assert_eq!(call, None);
}

#[test]
fn bytes_after_the_message_stay_within_its_frame() {
    let mut bytes = golden("set_fault_framed");
    let length = u32::from_be_bytes(bytes[..4].try_into().unwrap()) + 3;
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.extend(b"xyz");
    bytes.extend(golden("set_fault_framed"));
    let mut reader = reader(&bytes);
    assert_eq!(reader.read().unwrap().unwrap().name, "set_fault");
    assert_eq!(reader.read().unwrap().unwrap().name, "set_fault");
}

#[test]
fn a_message_longer_than_its_frame_is_refused() {
    let mut bytes = golden("set_fault_framed");
    bytes[3] -= 5;
    assert!(reason(&bytes).0.contains("longer than its frame"));
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::Bool),
        any::<i8>().prop_map(Value::I8),
        any::<i16>().prop_map(Value::I16),
        any::<i32>().prop_map(Value::I32),
        any::<i64>().prop_map(Value::I64),
        (-1e300..1e300).prop_map(Value::Double),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Bytes),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        let fields = prop::collection::vec((any::<i16>(), inner.clone()), 0..5);
        prop_oneof![
            fields.prop_map(|f| Value::Struct(Fields(f))),
            (inner.clone(), 0..4usize).prop_map(|(v, n)| Value::List(v.ttype(), vec![v; n])),
            (inner.clone(), inner, 0..3usize).prop_map(|(k, v, n)| Value::Map(
                k.ttype(),
                v.ttype(),
                vec![(k, v); n]
            )),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        name in "[a-z_]{1,20}",
        seq: i32,
        body in prop::collection::vec((any::<i16>(), value()), 0..6),
        framed: bool,
    ) {
        let message = Message { name, kind: TMessageType::Call, seq, body: Fields(body) };
        let bytes = encode(&message, framed).unwrap();
        let mut reader = MessageReader::new(Trickle(&bytes), Limits::REQUEST);
        prop_assert_eq!(reader.read().unwrap().unwrap(), message);
        prop_assert_eq!(reader.framed(), framed);
    }

    #[test]
    fn garbage_is_refused_or_read_never_worse(
        garbage in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let _ = reader(&garbage).read();
        let _ = reader(&with_body(&garbage)).read();
    }

    #[test]
    fn a_damaged_call_is_refused_or_read_never_worse(at in 0..124usize, byte: u8) {
        for name in ["set_fault", "set_fault_framed"] {
            let mut bytes = golden(name);
            bytes[at] = byte;
            let _ = reader(&bytes).read();
        }
    }
}
