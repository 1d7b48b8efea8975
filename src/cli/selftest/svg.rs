//! How late delays end, as a drawing: above what was got and the floor, below what is judged, and the verdict.
//!
//! Lateness is drawn as it is, so that a few microseconds can be seen at any delay; delays lie in powers of ten.

use super::report::{Report, signed, time};
use super::row::Row;
use crate::cli::svg::{circle, line, step, text};
use crate::measure::Interval;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 100.0;
const RIGHT: f64 = 40.0;

/// Where the two panels begin, how high each is, and where what stands below them begins.
const TOPS: (f64, f64) = (108.0, 348.0);
const HEIGHT: f64 = 190.0;
const BELOW: f64 = TOPS.1 + HEIGHT;

const LINE: f64 = 18.0;

const STYLE: &str = "text { font-family: sans-serif; font-size: 13px; fill: #222 } \
    .title { font-size: 18px } .small { font-size: 12px; fill: #555 } .end { text-anchor: end } \
    .middle { text-anchor: middle } .grid { stroke: #e2e2e2 } .zero { stroke: #888 } \
    .floor { fill: none; stroke: #1f6fb4; stroke-width: 2 } .bar { stroke: #222; stroke-width: 3 } \
    .ok { fill: #2e7d32 } .noisy { fill: #b26a00 } .failed { fill: #b3261e } line { stroke-width: 2 } \
    line.ok { stroke: #2e7d32 } line.noisy { stroke: #b26a00 } line.failed { stroke: #b3261e }";

/// What is drawn of a row in a panel, in nanoseconds beyond what the panel is about.
struct Mark<'a> {
    row: &'a Row,
    figures: Interval,
    floor: Option<f64>,
    bar: Option<f64>,
}

/// Where things lie in a panel.
struct Scale {
    top: f64,
    /// The least and the greatest delay, as powers of ten of nanoseconds.
    asked: (f64, f64),
    late: (f64, f64),
}

impl Scale {
    fn new(top: f64, marks: &[Mark<'_>]) -> Scale {
        let asked = ends(marks.iter().map(|mark| mark.row.asked.max(1.0).log10()));
        let (least, greatest) = ends(marks.iter().flat_map(Mark::all).chain([0.0]));
        let margin = ((greatest - least) * 0.08).max(100.0);
        let late = (least - margin, greatest + margin);
        Scale { top, asked: (asked.0 - 0.25, asked.1 + 0.25), late }
    }

    fn x(&self, asked: f64) -> f64 {
        let (least, greatest) = self.asked;
        LEFT + (WIDTH - LEFT - RIGHT) * (asked.max(1.0).log10() - least) / (greatest - least)
    }

    fn y(&self, late: f64) -> f64 {
        let (least, greatest) = self.late;
        self.top + HEIGHT * (greatest - late) / (greatest - least)
    }
}

impl Mark<'_> {
    /// All that has a place on the axis of lateness.
    fn all(&self) -> impl Iterator<Item = f64> {
        let Interval { at, low, high, .. } = self.figures;
        [at, low, high].into_iter().chain(self.floor).chain(self.bar)
    }
}

fn ends(figures: impl Iterator<Item = f64>) -> (f64, f64) {
    let wider = |(least, greatest): (f64, f64), figure| (least.min(figure), greatest.max(figure));
    figures.fold((f64::INFINITY, f64::NEG_INFINITY), wider)
}

/// Draws the rows of delays.
pub(super) fn plot(report: &Report) -> String {
    let rows: Vec<_> = report.rows.iter().filter(|row| row.test == "delays").collect();
    let reasons: Vec<_> = rows.iter().filter_map(|row| Some((row, row.verdict.why()?))).collect();
    #[allow(clippy::cast_precision_loss, reason = "a few lines")]
    let height = BELOW + LINE * (5 + reasons.len()) as f64;
    let mut parts = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\">\n<style>{STYLE}</style>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    text(&mut parts, (20.0, 34.0), "title", "How late delays end, one fsync(2) at a time");
    text(&mut parts, (20.0, 56.0), "small", &report.title());
    let title = "Beyond what was asked. Dot and line: the median and its 95% interval. Ring: the floor, \
                 this machine without slowfs";
    panel(&mut parts, ("got", title), TOPS.0, &rows.iter().map(|row| got(row)).collect::<Vec<_>>());
    let title = "Beyond the floor, pair by pair. Bar: ok is what does not lie above it with all of its \
                 interval";
    let over: Vec<_> = rows.iter().filter_map(|row| over(row)).collect();
    let scale = panel(&mut parts, ("over", title), TOPS.1, &over);
    said(&mut parts, ["asked", "pairs", "verdict"].map(str::to_owned), LEFT - 30.0, "end");
    for row in &rows {
        let verdict = row.verdict.word();
        let lines = [whole(&time(row.asked)), row.got.n.to_string(), verdict.to_owned()];
        said(&mut parts, lines, scale.x(row.asked), &format!("middle {verdict}"));
    }
    let mut y = BELOW + 4.3 * LINE;
    for (row, why) in reasons {
        let verdict = row.verdict.word();
        text(&mut parts, (20.0, y), verdict, &format!("{verdict}: {}: {why}", row.what));
        y += LINE;
    }
    parts + "</svg>\n"
}

/// What stands below the panels, a line each.
fn said(parts: &mut String, lines: [String; 3], x: f64, class: &str) {
    let mut y = BELOW + LINE;
    for line in lines {
        text(parts, (x, y), class, &line);
        y += LINE;
    }
}

fn got(row: &Row) -> Mark<'_> {
    let Interval { at, low, high, n } = row.got;
    let figures = Interval { at: at - row.asked, low: low - row.asked, high: high - row.asked, n };
    Mark { row, figures, floor: row.floor.map(|floor| floor - row.asked), bar: None }
}

fn over(row: &Row) -> Option<Mark<'_>> {
    Some(Mark { row, figures: row.over?, floor: None, bar: row.bar.to })
}

fn panel(parts: &mut String, (class, title): (&str, &str), top: f64, marks: &[Mark<'_>]) -> Scale {
    let scale = Scale::new(top, marks);
    text(parts, (20.0, top - 12.0), "small", title);
    if marks.is_empty() {
        return scale;
    }
    let step = step((scale.late.1 - scale.late.0) / 6.0);
    let mut n = (scale.late.0 / step).ceil();
    while n * step <= scale.late.1 {
        let (y, is_zero) = (scale.y(n * step), n == 0.0);
        line(parts, if is_zero { "zero" } else { "grid" }, (LEFT, y), (WIDTH - RIGHT, y));
        let label = if is_zero { "0".to_owned() } else { whole(&signed(n * step)) };
        text(parts, (LEFT - 10.0, y + 4.0), "small end", &label);
        n += 1.0;
    }
    marks.iter().for_each(|mark| draw(parts, class, &scale, mark));
    scale
}

fn draw(parts: &mut String, class: &str, scale: &Scale, mark: &Mark<'_>) {
    let (x, verdict) = (scale.x(mark.row.asked), mark.row.verdict.word());
    let Interval { at, low, high, .. } = mark.figures;
    let across = |parts: &mut String, class: &str, late: f64, half: f64| {
        line(parts, class, (x - half, scale.y(late)), (x + half, scale.y(late)));
    };
    if let Some(bar) = mark.bar {
        across(parts, "bar", bar, 14.0);
    }
    if !mark.figures.is_of_few() {
        line(parts, verdict, (x, scale.y(low)), (x, scale.y(high)));
        [low, high].into_iter().for_each(|end| across(parts, verdict, end, 5.0));
    }
    circle(parts, &format!("{class} {verdict}"), (x, scale.y(at)), 4.5);
    if let Some(floor) = mark.floor {
        circle(parts, "floor", (x, scale.y(floor)), 8.0);
    }
}

/// A time whose digits behind the point are zeros, without them.
fn whole(time: &str) -> String {
    let Some((whole, rest)) = time.split_once('.') else { return time.to_owned() };
    let unit = rest.trim_start_matches('0');
    let has_more = unit.starts_with(|c: char| c.is_ascii_digit());
    if has_more { time.to_owned() } else { format!("{whole}{unit}") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::row::{Bar, Unit, Verdict};
    use super::*;

    fn row(asked: f64, (late, over): (f64, f64), spread: f64, verdict: Verdict) -> Row {
        let of = |at: f64| Interval { at, low: at - spread, high: at + spread, n: 200 };
        Row {
            test: "delays",
            what: format!("fsync {}", time(asked)),
            unit: Unit::Ns,
            asked,
            got: of(asked + late),
            p99: None,
            floor: Some(asked + late - over),
            over: Some(of(over)),
            bar: Bar::at_most(3e3),
            verdict,
        }
    }

    fn plotted(rows: Vec<Row>) -> String {
        plot(&Report { rows, seed: 7, took: Duration::ZERO })
    }

    #[test]
    fn whole_times_are_labelled_without_a_point() {
        let of = |ns: f64| whole(&time(ns));
        assert_eq!([3e4, 1e6, 1e7, 1e9].map(of), ["30us", "1ms", "10ms", "1s"]);
        assert_eq!([1.05e3, 1.5e3, 1.23e4].map(of), ["1.05us", "1.50us", "12.3us"]);
        assert_eq!(whole(&signed(-5e3)), "-5us");
    }

    #[test]
    fn the_verdict_is_a_colour_and_a_word_with_its_reason() {
        let drawn = plotted(vec![
            row(3e4, (2e3, 1e3), 500.0, Verdict::Ok),
            row(1e6, (9e3, 8e3), 500.0, Verdict::Failed("beyond <the bar".to_owned())),
            row(1e8, (9e3, 8e3), 500.0, Verdict::Noisy("busy".to_owned())),
        ]);
        for verdict in ["ok", "failed", "noisy"] {
            for class in ["got", "over"] {
                let dot = format!("class=\"{class} {verdict}\"");
                assert_eq!(drawn.matches(&dot).count(), 1, "{dot} in {drawn}");
            }
            assert!(drawn.contains(&format!(">{verdict}</text>")), "{drawn}");
        }
        assert!(drawn.contains(">failed: fsync 1.00ms: beyond &lt;the bar<"), "{drawn}");
        assert!(drawn.contains("; seed 7<") && drawn.contains(">slowfs "), "{drawn}");
        assert_eq!(drawn.matches(">200<").count(), 3, "{drawn}");
    }

    /// At any delay, and beside figures that are wide.
    #[test]
    fn the_bar_can_be_seen() {
        let rows = [3e4, 1e6, 1e9].map(|asked| row(asked, (-2e4, 1e3), 2.5e4, Verdict::Ok));
        let over: Vec<_> = rows.iter().filter_map(over).collect();
        let scale = Scale::new(TOPS.1, &over);
        assert!(scale.y(0.0) - scale.y(3e3) > 5.0, "{}", scale.y(0.0) - scale.y(3e3));
    }

    #[test]
    fn whatever_is_drawn_lies_in_its_panel() {
        let rows = [(10.0, -5e6), (1e9, 5e9), (1e12, 0.0)]
            .map(|(asked, late)| row(asked, (late, late), 1e6, Verdict::Ok));
        let marks: Vec<_> = rows.iter().map(got).chain(rows.iter().filter_map(over)).collect();
        let scale = Scale::new(TOPS.0, &marks);
        for mark in &marks {
            assert!((LEFT..=WIDTH - RIGHT).contains(&scale.x(mark.row.asked)));
            for late in mark.all() {
                assert!((TOPS.0..=TOPS.0 + HEIGHT).contains(&scale.y(late)), "{late}");
            }
        }
        assert!(plotted(Vec::new()).ends_with("</svg>\n"));
    }
}
