use super::*;
use crate::fault::words::ParamType;
use crate::ops::Call;

const SHEET: &str = r#"# of a disk
channels = 4   # at once

[fsync]
n = 7
0 = "1ms"
"99.9" = "30ms"
100 = "2s"

[write.4KiB]
0 = "10us"
100 = "20us"

[write.1MiB]
0 = "1ms"
100 = "2ms"
"#;

fn why(text: &str) -> String {
    let why = Recording::read(text).and_then(Recording::of_times).unwrap_err().to_string();
    assert!(!why.contains('\n') && why.len() < 250, "{why}");
    why
}

#[test]
fn what_is_written_reads_the_same() {
    let mut samples = Samples::default();
    for n in 0..5_000u64 {
        samples.add(Method::from_name("write_buf").unwrap(), n * 300, n * n + 17);
        samples.add(Method::from_name("fdatasync").unwrap(), 0, n % 977 * 1_001);
    }
    assert_eq!(samples.len(), 10_000);
    let recording = samples.recording();
    let text = recording.text("of a test\n\nof two lines");
    assert!(
        text.starts_with("# of a test\n#\n# of two lines\n\n[fdatasync]\nn = 5000\n0 = \"0s\"\n")
    );
    assert_eq!(Recording::read(&text).unwrap(), recording);
    let rows: Vec<_> = recording.rows().map(|row| (row.method.name(), row.size, row.n)).collect();
    assert_eq!(rows.len(), 10, "{rows:?}");
    assert_eq!(rows[0], ("fdatasync", None, 5_000));
    assert_eq!((rows[1].0, rows[1].1), ("write", Some(4096)));
    let sheet = Recording::read(SHEET).unwrap();
    let again = Recording::read(&sheet.text("")).unwrap();
    assert_eq!(
        (again.times, again.figures[0].1.as_str()),
        (sheet.times, "channels = 4   # at once")
    );
}

#[test]
fn figures_keep_their_lines() {
    let sheet = Recording::read(SHEET).unwrap();
    assert_eq!(sheet.figures(), "\nchannels = 4   # at once");
    let preset = Recording::read("a = 1\n\n# b\nc = 2").unwrap();
    assert_eq!(preset.figures(), "a = 1\n\n\nc = 2");
}

#[test]
fn requests_draw_from_their_own_method_or_from_one_alike() {
    let sheet = Recording::read(SHEET).unwrap();
    let drawn = |calls: &[Call]| sheet.drawn(calls.iter().copied()).unwrap();
    let names = |methods: &[Method]| methods.iter().map(|m| m.name()).collect::<Vec<_>>();
    let syncs = drawn(&[Call::Fsync, Call::Fdatasync]);
    assert_eq!(syncs.shortest().as_deref(), Some("table:0=1ms,99.9=30ms,100=2s"), "of one class");
    assert!(syncs.near.is_empty(), "an fsync fault is one of fdatasync too");
    let some = drawn(&[Call::Write, Call::CopyTo, Call::Fsyncdir, Call::Flush, Call::Read]);
    let fsyncdir = (Method::from_name("fsyncdir").unwrap(), Method::from_name("fsync").unwrap());
    assert_eq!(some.near, [fsyncdir]);
    assert_eq!(names(&some.none), ["flush", "read"]);
    assert_eq!(some.shortest(), some.length());
    let length = some.length().unwrap();
    assert_eq!(
        length,
        "recorded:fsyncdir:0=1ms,99.9=30ms,100=2s;\
         copy_file_range.4KiB+write.4KiB:0=10us,100=20us;copy_file_range.1MiB+write.1MiB:0=1ms,100=2ms"
    );
    assert!(ParamType::Distribution.read(&length).is_ok());
    let rows = Recording::read("read,4096,1\nwrite,4096,2").unwrap();
    let both = rows.drawn(Call::all()).unwrap().length().unwrap();
    assert!(both.starts_with("recorded:copy_file_range.4KiB+read.4KiB:0=1ns,"), "{both}");
    assert_eq!(drawn(&[Call::Flush]).shortest(), None);
    let lone = drawn(&[Call::Flush, Call::Fsync]).shortest();
    assert_eq!(lone.as_deref(), Some("recorded:fsync:0=1ms,99.9=30ms,100=2s"), "no flush");
    let any = Recording::read("0=1ms\n100=2ms").unwrap();
    assert_eq!(
        any.drawn([Call::Flush].into_iter()).unwrap().shortest().unwrap(),
        "table:0=1ms,100=2ms"
    );
}

#[test]
fn rows_may_name_their_columns_or_not() {
    let named = Recording::read("latency_ns,method,uid,len\n7,fsync,0,\n9,read,0,4096").unwrap();
    assert_eq!(Recording::read("# a\nfsync,0,7\nread,4096,9\n").unwrap(), named);
    let rows: Vec<_> = named.rows().map(|row| row.at(50.0).as_nanos()).collect();
    assert_eq!(rows, [7, 9]);
}

#[test]
fn what_is_no_recording_is_refused_by_its_line() {
    for (text, told) in [
        ("", "it is empty; write a line as in 99=30ms"),
        ("# nothing\n\n", "it is empty"),
        ("0=1ms\nhalf=2ms\n100=3ms", "line 2 is no quantile; write a line as in 99=30ms"),
        ("0=1ms\n100=2", "line 2: it has no unit: write 2ms"),
        ("0=1ms\n100=-2ms", "line 2: it must not be negative"),
        ("0=1ms\n99=2ms", "begin with 0 and end with 100"),
        ("[fsync]\n0=2ms\n100=1ms", "[fsync]: it falls at 100"),
        ("[fsync]\n0=2ms\nsoon", "line 3 is no quantile"),
        ("[fsync]\nn = many", "line 2: n is no whole number"),
        ("[fsycn]", "line 1: no method \"fsycn\"; did you mean fsync?"),
        ("[fsync.4KiB]", "line 1: fsync moves no bytes"),
        ("[fsync", "line 1: write it as in [fsync]"),
        ("[fsync]\n0=1ms\n100=1ms\n[fsync]", "line 4: [fsync] is there twice"),
        ("0=1ms\n100=2ms\n[fsync]\n0=1ms\n100=1ms", "of [fsync] beside them"),
        ("channels = 4", "line 1 is no quantile"),
        ("method,latency_ns\nfsync,1", "its first line names not all of method, len, latency_ns"),
        ("fsync,0,soon", "line 1: latency_ns is no whole number"),
        ("fsync,0,1\nfsync,0,-1", "line 2: latency_ns is -1, and must not be negative"),
        ("write,much,1", "line 1: len is no whole number"),
        ("method,len,latency_ns\n# a\nfsycn,0,1", "line 3: no method \"fsycn\""),
        ("method,len,latency_ns\n", "it has no row"),
    ] {
        assert!(why(text).contains(told), "{text}: {}", why(text));
    }
}

#[test]
fn no_more_rows_are_read_than_quantiles_need() {
    let rows = "read,1,1\n".repeat(4_000_001);
    assert!(why(&rows).contains("it has 4000001 rows; 4000000 are the most"));
}
