//! Files of measured times that a delay is drawn from. They are read here and sent as what is in them, so that
//! no daemon opens a path that somebody names.

use super::output;
use super::values::read_file;
use crate::fault::distributions::file_named;
use crate::fault::kinds;
use crate::fault::recording::{Drawn, Recording};
use crate::fault::words::{self, FaultWords, Param, ParamType, Value};
use crate::ops::{Call, Method, MethodSet};

/// The same fault, with its times in the place of each file that it names. What a file has no times of is told.
///
/// # Errors
/// A file cannot be read, or is none: one line.
pub(super) fn tabled(mut fault: FaultWords) -> Result<FaultWords, String> {
    for effect in &mut fault.effects {
        let Ok(kind) = kinds::find(&effect.kind) else { continue };
        for Param { name, .. } in
            kind.params().iter().filter(|param| param.of == ParamType::Distribution)
        {
            let typed = effect.params.text(name).unwrap_or_default();
            if let Some((path, rest)) = file_named(typed) {
                let methods = match &fault.methods[..] {
                    [] => kind.reach(),
                    named => words::methods(named).map_err(|error| error.to_string())?,
                };
                let (length, missed) = drawn(path, methods)?;
                missed.iter().for_each(|missed| output::warning(missed));
                effect.params.insert(name, Value::Text(length + rest));
            }
        }
    }
    Ok(fault)
}

/// What requests of these methods draw from that file, and what is to be told of it.
fn drawn(path: &str, methods: MethodSet) -> Result<(String, Option<String>), String> {
    let wanted = || Call::all().filter(|call| call.methods().intersects(methods));
    let read = || {
        let recording = Recording::read(&read_file(path)?)?.of_times()?;
        let drawn = recording.drawn(wanted())?;
        let length = drawn.shortest().ok_or_else(|| {
            let mut there: Vec<_> = recording.rows().map(|row| row.method.name()).collect();
            there.dedup();
            words::ValueError(format!("it has no times of {methods}, but of {}", there.join(", ")))
        })?;
        Ok((length, missed(path, &drawn)))
    };
    read().map_err(|why: words::ValueError| format!("{path}: {why}"))
}

/// Which methods were not measured, in a line.
fn missed(path: &str, drawn: &Drawn) -> Option<String> {
    let near = |(method, by): &(Method, Method)| format!("{method} takes those of {by}");
    let mut told: Vec<_> = drawn.near.iter().map(near).collect();
    if !drawn.none.is_empty() {
        let names: Vec<_> = drawn.none.iter().map(|method| method.name()).collect();
        told.push(format!("{}: no delay", names.join(", ")));
    }
    (!told.is_empty())
        .then(|| format!("{path} lacks the times of some methods: {}", told.join("; ")))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, String) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("measured,1");
        fs::write(&path, text).unwrap();
        let path = path.display().to_string();
        (dir, path)
    }

    fn read(text: &str, fault: &str) -> Result<String, String> {
        let (_dir, path) = file(text);
        let (fault, _) = words::line(&fault.replace("FILE", &path)).unwrap();
        let told = tabled(fault).map(|fault| {
            fault.fault().unwrap();
            fault.line()
        });
        told.map_err(|why| why.replace(&path, "FILE"))
    }

    #[test]
    fn quantiles_become_a_table() {
        let text = "# of a disk\n0=1ms\n 50 = 2ms\n\n99.9=30ms\n100=2s\n";
        assert_eq!(
            read(text, "delay file:FILE -m fsync").unwrap(),
            "delay table:0=1ms,50=2ms,99.9=30ms,100=2s -m fsync"
        );
        let limited = read("0=1ms\n100=2s", "error EIO --and 'delay file:FILE,max=1s' -m fsync");
        assert_eq!(limited.unwrap(), "error EIO --and 'delay table:0=1ms,100=2s,max=1s' -m fsync");
    }

    #[test]
    fn rows_of_the_methods_become_tables() {
        let mut text = "method,len,latency_ns\n".to_owned();
        for n in 0..=100 {
            text += &format!("fsync,0,{}\nwrite,4096,{}\n", (n * 37 % 101) * 1000, n + 7_000_000);
        }
        let told = read(&text, "delay file:FILE -m fsync").unwrap();
        let points: Vec<_> = told.split([':', ' ']).nth(2).unwrap().split(',').collect();
        assert_eq!(points.len(), 27);
        for (point, known) in [(0, "0=0s"), (1, "1=1us"), (11, "50=50us"), (23, "99.5=99us500ns")] {
            assert_eq!(points[point], known);
        }
        assert_eq!(points[26], "100=100us");
        // By either name.
        let written = read(&text, "delay file:FILE -m write_buf").unwrap();
        assert!(written.contains("table:0=7ms,"), "{written}");
        // Of several methods each has its own, in the quotes that a shell needs.
        let both = read(&text, "delay file:FILE,max=1s -m fsync,write").unwrap();
        for part in [
            "delay 'recorded:fdatasync+fsync:0=0s,",
            ";copy_file_range.4KiB+write.4KiB:0=7ms,",
            ",100=7ms100ns,max=1s' -m fsync,write",
        ] {
            assert!(both.contains(part), "{part}: {both}");
        }
        let on_device = read(&text, "device --flush file:FILE").unwrap();
        assert!(
            on_device.contains("--flush 'recorded:fdatasync+fsync+fsyncdir:0=0s"),
            "{on_device}"
        );
    }

    #[test]
    fn what_was_not_measured_is_told() {
        let (_dir, path) = file("fsync,0,1000\nwrite,4096,2000\n");
        let missed = |method: &[&str]| {
            let methods = method.iter().map(|name| Method::from_name(name).unwrap()).collect();
            drawn(&path, methods).unwrap().1
        };
        assert_eq!(missed(&["fsync", "write"]), None);
        let told = missed(&["fsyncdir", "write", "flush", "read"]).unwrap();
        assert!(
            told.ends_with(
                "lacks the times of some methods: fsyncdir takes those of fsync; flush, read: no delay"
            ),
            "{told}"
        );
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_its_line() {
        let why = |text: &str| read(text, "delay file:FILE -m fsync").unwrap_err();
        let csv = "method,len,latency_ns\n";
        for (text, told) in [
            ("", "FILE: it is empty; write a line as in 99=30ms"),
            ("0=1ms\nhalf=2ms", "FILE: line 2 is no quantile; write a line as in 99=30ms"),
            ("channels = 4", "FILE: line 1 is no quantile"),
            (&format!("{csv}fsync,0,soon"), "FILE: line 2: latency_ns is no whole number"),
            (&format!("{csv}write,0,1"), "FILE: it has no times of fsync, but of write"),
        ] {
            assert!(why(text).contains(told) && !why(text).contains('\n'), "{}", why(text));
        }
        let told = |path: &str| {
            let (fault, _) = words::line(&format!("delay file:{path} -m fsync")).unwrap();
            tabled(fault).unwrap_err()
        };
        assert!(told("/none/such").starts_with("/none/such: cannot read it: No such file"));
        assert_eq!(told("/dev/zero"), "/dev/zero: it is longer than 64 MiB");
    }
}
