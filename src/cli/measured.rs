//! Files of measured times that a delay is drawn from. They are read here and sent as a table, so that
//! no daemon opens a path that somebody names.

use std::collections::BTreeSet;

use super::values::read_up_to;
use crate::fault::distributions::file_named;
use crate::fault::kinds;
use crate::fault::words::{self, FaultWords, Param, ParamType, Value, time};
use crate::ops::{Method, MethodSet};

/// The quantiles that are told of the rows of a file, in percent.
const QUANTILES: [f64; 27] = [
    0.0, 1.0, 5.0, 10.0, 15.0, 20.0, 25.0, 30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0, 70.0,
    75.0, 80.0, 85.0, 90.0, 95.0, 98.0, 99.0, 99.5, 99.9, 99.99, 100.0,
];

/// How long a file may be, in MiB: rows of some millions of requests.
const MOST: u64 = 64;

/// The columns that a file of rows has.
const COLUMNS: [&str; 3] = ["method", "len", "latency_ns"];

/// The same fault, with a table in the place of each file that it names.
///
/// # Errors
/// A file cannot be read, or is none: one line.
pub(super) fn tabled(mut fault: FaultWords) -> Result<FaultWords, String> {
    for effect in &mut fault.effects {
        let params = kinds::find(&effect.kind).map_or(&[][..], |kind| kind.params());
        for Param { name, .. } in params.iter().filter(|param| param.of == ParamType::Distribution)
        {
            let typed = effect.params.text(name).unwrap_or_default();
            if let Some((path, rest)) = file_named(typed) {
                let table = table(path, &fault.methods)? + rest;
                effect.params.insert(name, Value::Text(table));
            }
        }
    }
    Ok(fault)
}

/// What is in that file, as a table; of rows those of these methods.
fn table(path: &str, methods: &[String]) -> Result<String, String> {
    let text = read_up_to(MOST, path).map_err(|why| format!("{path}: {why}"))?;
    let is_told = |line: &str| !line.is_empty() && !line.starts_with('#');
    let lines = (1..).zip(text.lines().map(str::trim)).filter(|(_, line)| is_told(line));
    let lines: Vec<(usize, &str)> = lines.collect();
    let points = match lines.split_first() {
        None => Err(format!("it is empty; {}", forms())),
        Some(((_, head), rows)) if head.contains(COLUMNS[2]) => of_rows(head, rows, methods),
        Some(_) => of_quantiles(&lines),
    };
    points.map(|points| format!("table:{points}")).map_err(|why| format!("{path}: {why}"))
}

fn forms() -> String {
    let columns = COLUMNS.join(",");
    format!("write a line as in 99=30ms for each quantile, or CSV that begins with {columns}")
}

/// Lines `QUANTILE=TIME`.
fn of_quantiles(lines: &[(usize, &str)]) -> Result<String, String> {
    let is_point = |line: &str| {
        line.split_once('=').is_some_and(|(quantile, at)| {
            quantile.trim().parse::<f64>().is_ok() && time(at.trim()).is_ok()
        })
    };
    match lines.iter().find(|(_, line)| !is_point(line)) {
        Some((number, _)) => Err(format!("line {number} is no quantile; {}", forms())),
        None => Ok(lines.iter().map(|(_, line)| *line).collect::<Vec<_>>().join(",")),
    }
}

/// Rows of single requests, under a line that names the columns.
fn of_rows(head: &str, rows: &[(usize, &str)], methods: &[String]) -> Result<String, String> {
    let columns: Vec<_> = head.split(',').map(str::trim).collect();
    let places = COLUMNS.map(|name| columns.iter().position(|column| *column == name));
    let [Some(method_at), Some(_), Some(latency_at)] = places else {
        return Err(format!("its first line names not all of {}", COLUMNS.join(", ")));
    };
    let wanted = words::methods(methods).map_err(|error| error.to_string())?;
    let (mut times, mut others) = (Vec::new(), BTreeSet::new());
    for (number, row) in rows {
        let cells: Vec<_> = row.split(',').map(str::trim).collect();
        let cell = |place: usize| cells.get(place).copied().unwrap_or_default();
        let (name, latency) = (cell(method_at), cell(latency_at));
        let wrong = |what: &str| format!("line {number}: {what}");
        let method =
            Method::from_name(name).ok_or_else(|| wrong(&format!("no method {name:?}")))?;
        let latency: u64 =
            latency.parse().map_err(|_| wrong("latency_ns is no whole number of nanoseconds"))?;
        if is_among(method, wanted) {
            times.push(latency);
        } else {
            others.insert(name);
        }
    }
    if times.is_empty() {
        let others = others.into_iter().collect::<Vec<_>>().join(", ");
        let has = if others.is_empty() { "no row".to_owned() } else { format!("rows of {others}") };
        return Err(format!("it has no row of {wanted}, and {has}"));
    }
    times.sort_unstable();
    let point = |quantile: &f64| {
        let at = words::time_text(std::time::Duration::from_nanos(at(&times, *quantile)));
        format!("{quantile}={at}")
    };
    Ok(QUANTILES.iter().map(point).collect::<Vec<_>>().join(","))
}

/// Whether it is one of these by any of its names.
fn is_among(method: Method, wanted: MethodSet) -> bool {
    let same = |other: &Method| *other == method || other.calls() == method.calls();
    wanted.iter().any(|other| same(&other))
}

/// A quantile of what is sorted, straight between two of them, to the nearest nanosecond.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place among them, and a share of their distance"
)]
fn at(sorted: &[u64], percent: f64) -> u64 {
    let place = (sorted.len().saturating_sub(1)) as f64 * percent / 100.0;
    let below = place.floor();
    let get =
        |place: f64| sorted.get(place as usize).or(sorted.last()).copied().unwrap_or_default();
    let (low, high) = (get(below), get(below + 1.0));
    low + ((place - below) * (high - low) as f64).round() as u64
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn read(text: &str, fault: &str) -> Result<String, String> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("measured,1");
        fs::write(&path, text).unwrap();
        let line = fault.replace("FILE", &path.display().to_string());
        let (fault, _) = words::line(&line).unwrap();
        let told = tabled(fault).map(|fault| {
            fault.fault().unwrap();
            fault.line()
        });
        told.map_err(|why| why.replace(&path.display().to_string(), "FILE"))
    }

    #[test]
    fn quantiles_become_a_table() {
        let text = "# of a disk\n0=1ms\n 50 = 2ms\n\n99.9=30ms\n100=2s\n";
        assert_eq!(
            read(text, "delay file:FILE -m fsync").unwrap(),
            "delay 'table:0=1ms,50 = 2ms,99.9=30ms,100=2s' -m fsync"
        );
        let limited = read("0=1ms\n100=2s", "error EIO --and 'delay file:FILE,max=1s' -m fsync");
        assert_eq!(limited.unwrap(), "error EIO --and 'delay table:0=1ms,100=2s,max=1s' -m fsync");
    }

    #[test]
    fn rows_of_the_methods_become_a_table() {
        let mut text = "method,len,latency_ns\n".to_owned();
        for n in 0..=100 {
            text += &format!("fsync,0,{}\nwrite,4096,{}\n", (n * 37 % 101) * 1000, n + 7_000_000);
        }
        let told = read(&text, "delay file:FILE -m fsync").unwrap();
        let points: Vec<_> = told.split([':', ' ']).nth(2).unwrap().split(',').collect();
        assert_eq!(points.len(), QUANTILES.len());
        for (point, known) in [(0, "0=0s"), (1, "1=1us"), (11, "50=50us"), (23, "99.5=99us500ns")] {
            assert_eq!(points[point], known);
        }
        assert_eq!(points[26], "100=100us");
        // By either name, and of several methods all rows.
        let written = read(&text, "delay file:FILE -m write_buf").unwrap();
        assert!(written.contains("0=7ms,"), "{written}");
        let both = read(&text, "delay file:FILE -m all").unwrap();
        assert!(both.contains("0=0s,") && both.contains("100=7ms100ns"), "{both}");
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_its_line() {
        let why = |text: &str| read(text, "delay file:FILE -m fsync").unwrap_err();
        let csv = "method,len,latency_ns\n";
        for (text, told) in [
            ("", "FILE: it is empty; write a line as in 99=30ms"),
            ("# nothing\n", "it is empty"),
            ("0=1ms\nhalf=2ms", "FILE: line 2 is no quantile; write a line as in 99=30ms"),
            ("0=1ms\n100=2", "line 2 is no quantile"),
            ("method,latency_ns\nfsync,1", "names not all of method, len, latency_ns"),
            (&format!("{csv}fsync,0,soon"), "line 2: latency_ns is no whole number"),
            (&format!("{csv}fsync,0,-1"), "line 2: latency_ns is no whole number"),
            (&format!("{csv}# a\nfsycn,0,1"), "line 3: no method \"fsycn\""),
            (&format!("{csv}write,0,1"), "it has no row of fsync, and rows of write"),
            (csv, "it has no row of fsync, and no row"),
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
