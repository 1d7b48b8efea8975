//! What was got against what was asked, as a drawing: both axes are times in powers of ten.

use super::report::{Report, machine, time};
use super::row::Row;
use crate::cli::svg::{circle, line, text};

/// The drawing, and the square within it where times lie.
const SIZE: (f64, f64) = (760.0, 640.0);
const LEFT: f64 = 90.0;
const TOP: f64 = 80.0;
const SIDE: f64 = 480.0;

/// The least and the greatest power of ten, in nanoseconds: 10 us and 1 s.
const POWERS: (i32, i32) = (4, 9);

const STYLE: &str = "text { font-family: sans-serif; font-size: 14px; fill: #222 } \
    .title { font-size: 18px } .small { font-size: 12px; fill: #555 } .end { text-anchor: end } \
    .middle { text-anchor: middle } .grid { stroke: #ddd } \
    .asked { stroke: #888; stroke-dasharray: 6 4 } .p99 { stroke: #1f6fb4; stroke-width: 2 } \
    .got { fill: #1f6fb4 } .floor { fill: none; stroke: #d1661f; stroke-width: 2 }";

/// Where a time lies along an axis, from 0 on.
fn along(ns: f64) -> f64 {
    let (least, greatest) = (f64::from(POWERS.0), f64::from(POWERS.1));
    SIDE * (ns.max(1.0).log10().clamp(least, greatest) - least) / (greatest - least)
}

fn x(ns: f64) -> f64 {
    LEFT + along(ns)
}

fn y(ns: f64) -> f64 {
    TOP + SIDE - along(ns)
}

/// Draws the rows of delays.
pub(super) fn plot(report: &Report) -> String {
    let (width, height) = SIZE;
    let mut parts = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" \
         width=\"{width}\" height=\"{height}\">\n<style>{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut parts, (LEFT, 34.0), "title", "Delay asked and delay got, one fsync(2) at a time");
    text(&mut parts, (LEFT, 56.0), "small", &machine());
    for power in POWERS.0..=POWERS.1 {
        grid(&mut parts, 10_f64.powi(power));
    }
    let (least, greatest) = (10_f64.powi(POWERS.0), 10_f64.powi(POWERS.1));
    line(&mut parts, "asked", (x(least), y(least)), (x(greatest), y(greatest)));
    report.rows.iter().filter(|row| row.test == "delays").for_each(|row| point(&mut parts, row));
    let middle = (LEFT + SIDE / 2.0, TOP + SIDE + 44.0);
    text(&mut parts, middle, "middle", "asked");
    text(&mut parts, (LEFT - 12.0, TOP - 10.0), "end", "got");
    let key = "dot: median, line: to the 99th percentile, ring: the machine's own floor, \
               dashed: exactly what was asked";
    text(&mut parts, (LEFT, TOP + SIDE + 70.0), "small", key);
    parts + "</svg>\n"
}

fn grid(parts: &mut String, ns: f64) {
    line(parts, "grid", (x(ns), TOP), (x(ns), TOP + SIDE));
    line(parts, "grid", (LEFT, y(ns)), (LEFT + SIDE, y(ns)));
    text(parts, (x(ns), TOP + SIDE + 20.0), "middle", &whole(ns));
    text(parts, (LEFT - 10.0, y(ns) + 5.0), "end", &whole(ns));
}

fn point(parts: &mut String, row: &Row) {
    let at = (x(row.asked), y(row.got.at));
    line(parts, "p99", at, (at.0, y(row.p99.unwrap_or(row.got.at))));
    circle(parts, "got", at, 4.0);
    if let Some(floor) = row.floor {
        circle(parts, "floor", (at.0, y(floor)), 8.0);
    }
    let beside = (at.0 + 16.0, at.1 + 16.0);
    text(parts, beside, "label", &format!("{} {}", whole(row.asked), row.shown(row.got.at)));
    if let (Some(p99), Some(floor)) = (row.p99, row.floor) {
        let label = format!("p99 {}, floor {}", row.shown(p99), row.shown(floor));
        text(parts, (beside.0, beside.1 + 16.0), "small", &label);
    }
}

/// A time whose digits behind the point are zeros, without them.
fn whole(ns: f64) -> String {
    time(ns).replace(".00", "").replace(".0", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_times_are_labelled_without_a_point() {
        assert_eq!([3e4, 1e6, 1e7, 1e9].map(whole), ["30us", "1ms", "10ms", "1s"]);
    }

    #[test]
    fn what_is_got_as_asked_lies_on_the_diagonal() {
        for ns in [3e4, 1e5, 1e8] {
            assert!((x(ns) - LEFT - (TOP + SIDE - y(ns))).abs() < 1e-9);
        }
        assert_eq!((along(1e4), along(1e9), along(0.0), along(1e12)), (0.0, SIDE, 0.0, SIDE));
    }
}
