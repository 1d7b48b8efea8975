//! Latency over time, a panel for each method, with the steps marked on it.

use super::{OfMethod, OfMount, Phase};
use crate::cli::output::short_time;
use crate::cli::svg::{circle, escaped, line, step, text};

/// The drawing: its width, and what of it is left and right of the panels.
const WIDTH: f64 = 960.0;
const LEFT: f64 = 78.0;
const RIGHT: f64 = 24.0;
/// A panel, and what is above and below it.
const HEIGHT: f64 = 150.0;
const ABOVE: f64 = 50.0;
const BELOW: f64 = 46.0;

/// So many panels at most: what the faults name, then the methods that were called most often.
const MOST: usize = 8;

/// The style of the drawing, for the page that it stands in.
pub(super) const STYLE: &str = "svg text { font-family: sans-serif; font-size: 13px; fill: #222 } \
    svg .title { font-size: 15px; font-weight: bold } svg .small { font-size: 12px; fill: #555 } \
    svg .end { text-anchor: end } svg .middle { text-anchor: middle } svg .grid { stroke: #e2e2e2 } \
    svg .frame { fill: none; stroke: #999 } svg .tick { stroke: #999 } \
    svg .p50 { stroke: #1f6fb4; fill: none; stroke-width: 2 } svg .p50dot { fill: #1f6fb4 } \
    svg .p99 { stroke: #d1661f; fill: none; stroke-width: 2 } svg .p99dot { fill: #d1661f } \
    svg .step { stroke: #555; stroke-dasharray: 5 4 } svg .bad { fill: #b3261e } \
    svg .mark { fill: #333 } svg .number { font-size: 11px; fill: #fff; text-anchor: middle }";

/// Where things lie in a panel.
struct Scale {
    /// The time at the right edge, in seconds.
    seconds: f64,
    /// Powers of ten of nanoseconds at the lower and the upper edge.
    powers: (i32, i32),
    top: f64,
}

impl Scale {
    fn x(&self, ns: i64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * (seconds(ns) / self.seconds).clamp(0.0, 1.0)
    }

    fn y(&self, ns: f64) -> f64 {
        let (least, greatest) = (f64::from(self.powers.0), f64::from(self.powers.1));
        let share = (ns.max(1.0).log10() - least) / (greatest - least);
        self.top + HEIGHT * (1.0 - share.clamp(0.0, 1.0))
    }
}

/// Draws a mount's series; none if nothing was asked of it.
pub(super) fn plot(mount: &OfMount, end_ns: i64) -> Option<String> {
    let mut methods = methods(mount);
    let others = methods.split_off(methods.len().min(MOST));
    if methods.is_empty() {
        return None;
    }
    #[allow(clippy::cast_precision_loss, reason = "a few panels")]
    let height = (ABOVE + HEIGHT + BELOW) * methods.len() as f64;
    let mut parts = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" \
         width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let shown = mount.series.last().map_or(0, |last| last.to_ns).max(mount.elapsed_ns);
    let shown = if mount.failed { shown } else { shown.max(end_ns) };
    let mut top = ABOVE;
    for (name, calls) in &methods {
        let powers = powers(mount, name);
        let scale = Scale { seconds: seconds(shown).max(1e-3), powers, top };
        panel(&mut parts, &scale, (name, *calls), mount);
        top += HEIGHT + BELOW + ABOVE;
    }
    Some(parts + "</svg>\n" + &left_out(&others))
}

/// What is not drawn.
fn left_out(others: &[(String, i64)]) -> String {
    let (n, s) = (others.len(), if others.len() == 1 { "" } else { "s" });
    let names: Vec<_> = others.iter().map(|(name, _)| escaped(name)).collect();
    match n {
        0 => String::new(),
        _ => format!(
            "<p class=\"note\">{n} other method{s} not drawn, in the table below: {}.</p>\n",
            names.join(", ")
        ),
    }
}

/// The methods, with how often they were called: those that the scenario's faults name come first, then those called
/// most often.
fn methods(mount: &OfMount) -> Vec<(String, i64)> {
    let mut found: Vec<(String, i64)> = Vec::new();
    for method in mount.series.iter().flat_map(|one| &one.methods) {
        match found.iter_mut().find(|(name, _)| *name == method.name) {
            Some((_, calls)) => *calls += method.calls,
            None => found.push((method.name.clone(), method.calls)),
        }
    }
    found.sort_by_key(|(name, calls)| (!mount.named.contains(name), std::cmp::Reverse(*calls)));
    found
}

fn of<'a>(phase: &'a Phase, name: &str) -> Option<&'a OfMethod> {
    phase.methods.iter().find(|method| method.name == name)
}

/// The powers of ten between which all its times lie.
#[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "an edge")]
fn powers(mount: &OfMount, name: &str) -> (i32, i32) {
    let times = mount.series.iter().filter_map(|phase| of(phase, name));
    let times = times.flat_map(|method| [method.p50_ns, method.p99_ns]).flatten();
    let times: Vec<f64> = times.map(|ns| (ns.max(1) as f64).log10()).collect();
    let least = times.iter().copied().fold(f64::MAX, f64::min);
    let greatest = times.iter().copied().fold(f64::MIN, f64::max);
    if times.is_empty() {
        return (4, 6);
    }
    let (least, greatest) = (least.floor() as i32, greatest.ceil() as i32);
    (least, greatest.max(least + 2))
}

fn panel(parts: &mut String, scale: &Scale, (name, calls): (&str, i64), mount: &OfMount) {
    let (top, bottom) = (scale.top, scale.top + HEIGHT);
    let s = if calls == 1 { "" } else { "s" };
    text(parts, (LEFT, top - 30.0), "title", &format!("{name}, {calls} call{s}"));
    key(parts, top - 30.0);
    for power in scale.powers.0..=scale.powers.1 {
        let ns = 10_f64.powi(power);
        line(parts, "grid", (LEFT, scale.y(ns)), (WIDTH - RIGHT, scale.y(ns)));
        text(parts, (LEFT - 8.0, scale.y(ns) + 4.0), "end", &whole(ns));
    }
    for tick in ticks(scale.seconds) {
        let x = LEFT + (WIDTH - LEFT - RIGHT) * tick / scale.seconds;
        line(parts, "grid", (x, top), (x, bottom));
        line(parts, "tick", (x, bottom), (x, bottom + 5.0));
        text(parts, (x, bottom + 19.0), "middle", &format!("{}", (tick * 1e6).round() / 1e6));
    }
    text(parts, (LEFT + (WIDTH - LEFT - RIGHT) / 2.0, bottom + 36.0), "small middle", "seconds");
    steps(parts, scale, mount);
    for (class, dot, figure) in [
        ("p99", "p99dot", (|method| method.p99_ns) as fn(&OfMethod) -> Option<i64>),
        ("p50", "p50dot", |method| method.p50_ns),
    ] {
        curve(parts, (class, dot), scale, mount, &|phase| of(phase, name).and_then(figure));
    }
    let (width, x) = (WIDTH - LEFT - RIGHT, LEFT);
    parts.push_str(&format!(
        "<rect x=\"{x}\" y=\"{top}\" width=\"{width}\" height=\"{HEIGHT}\" class=\"frame\"/>\n"
    ));
}

/// What the colours mean.
fn key(parts: &mut String, y: f64) {
    let at = WIDTH - RIGHT - 330.0;
    line(parts, "p50", (at, y - 4.0), (at + 22.0, y - 4.0));
    text(parts, (at + 28.0, y), "small", "p50");
    line(parts, "p99", (at + 66.0, y - 4.0), (at + 88.0, y - 4.0));
    text(parts, (at + 94.0, y), "small", "p99");
    line(parts, "step", (at + 132.0, y - 4.0), (at + 154.0, y - 4.0));
    text(parts, (at + 160.0, y), "small", "a step, by its number below");
}

/// A vertical line for the steps of each moment, with their numbers above the panel.
fn steps(parts: &mut String, scale: &Scale, mount: &OfMount) {
    let mut at: Option<i64> = None;
    let mut marks: Vec<Mark> = Vec::new();
    let done = mount.steps.iter().enumerate();
    let done = done.filter_map(|(place, step)| Some((step.at_ns?, place)));
    let mut done: Vec<(i64, usize)> = done.collect();
    done.sort_unstable();
    for (moment, place) in done {
        let x = scale.x(moment);
        if at.is_none_or(|at| (moment - at).abs() > 1_000_000) {
            line(parts, "step", (x, scale.top), (x, scale.top + HEIGHT));
        }
        at = Some(moment);
        add(&mut marks, Mark { x, numbers: vec![place + 1] });
    }
    let y = scale.top - 19.0;
    for mark in marks {
        let (left, width) = (mark.left(), mark.width());
        parts.push_str(&format!(
            "<rect x=\"{left:.1}\" y=\"{y}\" width=\"{width:.1}\" height=\"16\" rx=\"8\" class=\"mark\"/>\n"
        ));
        text(parts, (left + width / 2.0, scale.top - 7.0), "number", &spans(&mark.numbers));
    }
}

/// The numbers of steps that stand in one place, from the first one's line on.
struct Mark {
    x: f64,
    numbers: Vec<usize>,
}

impl Mark {
    #[allow(clippy::cast_precision_loss, reason = "a few letters")]
    fn width(&self) -> f64 {
        10.0 + 6.5 * spans(&self.numbers).len() as f64
    }

    fn left(&self) -> f64 {
        (self.x - 8.0).min(WIDTH - 1.0 - self.width())
    }
}

/// Numbers that would lie on each other are told together.
fn add(marks: &mut Vec<Mark>, mark: Mark) {
    match marks.pop() {
        Some(last) if mark.left() < last.left() + last.width() + 1.0 => {
            let numbers = [last.numbers, mark.numbers].concat();
            add(marks, Mark { x: last.x, numbers });
        }
        last => {
            marks.extend(last);
            marks.push(mark);
        }
    }
}

/// Numbers of steps as `1-12, 15`; so many parts that they fit.
pub(super) fn spans(numbers: &[usize]) -> String {
    let mut numbers = numbers.to_vec();
    numbers.sort_unstable();
    let runs: Vec<_> = numbers.chunk_by(|one, next| one + 1 == *next).collect();
    let told = runs.iter().take(8).map(|run| match run {
        [first, .., last] => format!("{first}-{last}"),
        run => run.iter().map(ToString::to_string).collect(),
    });
    let more = (runs.len() > 8).then(|| "...".to_owned());
    told.chain(more).collect::<Vec<_>>().join(", ")
}

/// A figure over time: each time it was found it stands for the while that it is of.
fn curve(
    parts: &mut String,
    (class, dot): (&str, &str),
    scale: &Scale,
    mount: &OfMount,
    figure: &dyn Fn(&Phase) -> Option<i64>,
) {
    let mut points: Vec<(f64, f64)> = Vec::new();
    let flush = |parts: &mut String, points: &mut Vec<(f64, f64)>| {
        if let [only] = points.as_slice() {
            circle(parts, dot, *only, 2.5);
        } else if !points.is_empty() {
            let shown: Vec<_> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
            parts.push_str(&format!(
                "<polyline points=\"{}\" class=\"{class}\"/>\n",
                shown.join(" ")
            ));
        }
        points.clear();
    };
    for phase in &mount.series {
        #[allow(clippy::cast_precision_loss, reason = "a place in a drawing")]
        match figure(phase) {
            Some(ns) => {
                let middle = phase.from_ns / 2 + phase.to_ns / 2;
                points.push((scale.x(middle), scale.y(ns as f64)));
            }
            None => flush(parts, &mut points),
        }
    }
    flush(parts, &mut points);
}

/// About ten whole steps.
fn ticks(seconds: f64) -> Vec<f64> {
    let step = step(seconds / 10.0);
    let mut all = Vec::new();
    let mut tick = 0.0;
    while tick <= seconds * 1.0001 && all.len() < 20 {
        all.push(tick);
        tick += step;
    }
    all
}

#[allow(clippy::cast_precision_loss, reason = "a place in a drawing")]
fn seconds(ns: i64) -> f64 {
    ns as f64 / 1e9
}

/// A power of ten as a time.
#[allow(clippy::cast_possible_truncation, reason = "a whole number")]
fn whole(ns: f64) -> String {
    short_time(ns as i64).replace(".00", "").replace(".0", "")
}

#[cfg(test)]
mod tests {
    use super::super::OfStep;
    use super::*;

    #[test]
    fn ticks_are_whole_and_about_ten() {
        assert_eq!(ticks(60.0), [0.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0]);
        assert_eq!(ticks(10.0).len(), 11);
        assert_eq!(ticks(0.6).len(), 7);
        for seconds in [1e-3, 0.7, 3.0, 45.0, 3600.0] {
            assert!((6..=12).contains(&ticks(seconds).len()), "{seconds}: {:?}", ticks(seconds));
        }
        assert_eq!([1e3, 1e4, 1e6, 1e8, 1e9].map(whole), ["1us", "10us", "1ms", "100ms", "1s"]);
    }

    #[test]
    fn a_gap_is_no_line_and_one_figure_is_a_dot() {
        let method = |p50| OfMethod {
            name: "fsync".into(),
            calls: 1,
            p50_ns: Some(p50),
            p99_ns: Some(p50),
            ..OfMethod::default()
        };
        let phase = |from: i64, methods| Phase {
            from_ns: from * 1_000_000_000,
            to_ns: (from + 1) * 1_000_000_000,
            methods,
            ..Phase::default()
        };
        let series = vec![
            phase(0, vec![method(1_000)]),
            phase(1, vec![method(9_000)]),
            phase(2, vec![]),
            phase(3, vec![method(1_000_000)]),
        ];
        let mount = OfMount { series, elapsed_ns: 4_000_000_000, ..OfMount::default() };
        let drawn = plot(&mount, 0).unwrap();
        assert_eq!(drawn.matches("<polyline").count(), 2, "{drawn}");
        assert_eq!(drawn.matches("dot\"").count(), 2, "{drawn}");
        assert!(drawn.contains(">1us<") && drawn.contains(">1ms<"), "{drawn}");
        assert!(plot(&OfMount::default(), 1).is_none());
    }

    /// One panel for each method that a fault names, however seldom it was called, and a word on the others.
    #[test]
    fn what_faults_name_is_drawn_first_and_what_is_left_out_is_told() {
        let method = |n| OfMethod { name: format!("m{n}"), calls: 1, ..OfMethod::default() };
        let series = vec![Phase { methods: (0..11).map(method).collect(), ..Phase::default() }];
        let named = vec!["m9".to_owned()];
        let mount = OfMount { series, named, ..OfMount::default() };
        let drawn = plot(&mount, 1).unwrap();
        assert!(drawn.find(">m9, 1 call<") < drawn.find(">m0, 1 call<"), "{drawn}");
        assert_eq!(drawn.matches(" call<").count(), 8);
        assert!(drawn.contains("3 other methods not drawn, in the table below: m7, m8, m10."));
    }

    #[test]
    fn numbers_of_close_steps_stand_together_and_inside() {
        let step = |at| OfStep { at_ns: Some(at), ..OfStep::default() };
        let method = OfMethod { name: "fsync".into(), calls: 1, ..OfMethod::default() };
        let series = vec![Phase { methods: vec![method], ..Phase::default() }];
        let early = (0..60).map(|n| step(n * 1_000_000));
        let late = (0..60).map(|n| step(9_940_000_000 + n * 1_000_000));
        let steps = early.chain([step(5_000_000_000)]).chain(late).collect();
        let mount = OfMount { series, steps, elapsed_ns: 10_000_000_000, ..OfMount::default() };
        let drawn = plot(&mount, 0).unwrap();
        let numbers = drawn.lines().filter(|line| line.contains("\"number\""));
        let numbers: Vec<_> = numbers.map(|line| line.split(['>', '<']).nth(2).unwrap()).collect();
        assert_eq!(numbers, ["1-60", "61", "62-121"]);
        for mark in drawn.lines().filter(|line| line.contains("\"mark\"")) {
            let figure = |name: &str| -> f64 {
                let (_, rest) = mark.split_once(name).unwrap();
                rest.split('"').next().unwrap().parse().unwrap()
            };
            assert!(figure(" x=\"") + figure(" width=\"") < WIDTH, "{mark}");
        }
        assert_eq!(spans(&[3, 1, 2, 7]), "1-3, 7");
    }
}
