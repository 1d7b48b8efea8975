//! The file of a recording: TOML, a table `[METHOD]` or `[METHOD.SIZE]` for each class, in it the quantiles in
//! percent and their times. Above the first table may stand figures of a device. Lines of quantiles alone hold
//! for every request. No locks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::{Measured, Recording, Times, no_quantile};
use crate::fault::distributions::{Class, Table};
use crate::fault::words::{ValueError, time, time_text};

/// How many requests a class is of.
const N: &str = "n";

type Points = Vec<(f64, Duration)>;

/// What has been read so far.
#[derive(Default)]
struct Sheet {
    figures: Vec<(usize, String)>,
    any: Points,
    each: BTreeMap<Class, (Option<u64>, Points)>,
    /// The table that the lines are of.
    class: Option<Class>,
}

pub(super) fn read(lines: &[(usize, &str)]) -> Result<Recording, ValueError> {
    let mut sheet = Sheet::default();
    for (number, line) in lines {
        sheet.line(*number, line)?;
    }
    sheet.recording()
}

impl Sheet {
    fn line(&mut self, number: usize, line: &str) -> Result<(), ValueError> {
        let of_line = |why: ValueError| ValueError(format!("line {number}: {why}"));
        let bare = line.split('#').next().unwrap_or_default().trim();
        if let Some(header) = bare.strip_prefix('[') {
            return self.begin(header).map_err(of_line);
        }
        let pair = bare.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        let quantile = pair.and_then(|(name, value)| {
            unquoted(name).parse::<f64>().ok().map(|quantile| (quantile, unquoted(value)))
        });
        let Some(class) = self.class else {
            match quantile {
                Some((quantile, at)) => self.any.push((quantile, time(at).map_err(of_line)?)),
                None => self.figures.push((number, line.to_owned())),
            }
            return Ok(());
        };
        let (n, points) = self.each.entry(class).or_default();
        match (pair, quantile) {
            (_, Some((quantile, at))) => points.push((quantile, time(at).map_err(of_line)?)),
            (Some((N, value)), None) => {
                let whole = value.parse().map_err(|_| "n is no whole number".into());
                *n = Some(whole.map_err(of_line)?);
            }
            _ => return Err(no_quantile(number)),
        }
        Ok(())
    }

    fn begin(&mut self, header: &str) -> Result<(), ValueError> {
        let name = header.strip_suffix(']').ok_or("write it as in [fsync] or [write.4KiB]")?;
        let class: Class = name.trim().parse()?;
        self.class = Some(class);
        match self.each.insert(class, (None, Vec::new())) {
            Some(_) => Err(format!("[{class}] is there twice").into()),
            None => Ok(()),
        }
    }

    fn recording(self) -> Result<Recording, ValueError> {
        let Sheet { figures, any, each, .. } = self;
        if any.is_empty() {
            let measured = |(class, (n, points)): (Class, (Option<u64>, Points))| {
                let table = Table::of(points);
                let table = table.map_err(|why| ValueError(format!("[{class}]: {why}")))?;
                Ok((class, Measured { n, table }))
            };
            let each = each.into_iter().map(measured).collect::<Result<_, ValueError>>()?;
            return Ok(Recording { figures, times: Times::Each(each) });
        }
        if let Some((class, _)) = each.first_key_value() {
            let why = format!("there are quantiles of every request, and of [{class}] beside them");
            return Err(why.into());
        }
        match figures.first() {
            Some((number, _)) => Err(no_quantile(*number)),
            None => Ok(Recording { figures, times: Times::Any(Table::of(any)?) }),
        }
    }
}

fn unquoted(word: &str) -> &str {
    word.strip_prefix('"').and_then(|word| word.strip_suffix('"')).unwrap_or(word)
}

pub(super) fn write(recording: &Recording, head: &str) -> String {
    let mut text: String =
        head.lines().map(|line| format!("{}\n", format!("# {line}").trim_end())).collect();
    for (_, figure) in &recording.figures {
        let _ = write!(text, "\n{figure}\n");
    }
    match &recording.times {
        Times::Any(table) => text += &format!("\n{}", points(table)),
        Times::Each(each) => {
            for (class, Measured { n, table }) in each {
                let _ = write!(text, "\n[{class}]\n");
                let _ = n.map(|n| writeln!(text, "{N} = {n}"));
                text += &points(table);
            }
        }
    }
    text
}

fn points(table: &Table) -> String {
    let point = |(quantile, time): &(f64, Duration)| {
        let quantile = quantile.to_string();
        // TOML takes a bare 99.9 for two names.
        let quote = if quantile.contains('.') { "\"" } else { "" };
        format!("{quote}{quantile}{quote} = \"{}\"\n", time_text(*time))
    };
    table.points().iter().map(point).collect()
}
