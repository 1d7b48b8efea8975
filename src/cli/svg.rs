//! Parts of drawings. No locks.

use std::fmt::Write;

/// A text as it may stand in SVG and HTML.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

pub(super) fn text(parts: &mut String, (x, y): (f64, f64), class: &str, text: &str) {
    let text = escaped(text);
    let _ = writeln!(parts, "<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>");
}

pub(super) fn line(parts: &mut String, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
    let _ = writeln!(
        parts,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"
    );
}

pub(super) fn circle(parts: &mut String, class: &str, (x, y): (f64, f64), radius: f64) {
    let _ =
        writeln!(parts, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" class=\"{class}\"/>");
}

/// The least of 1, 2 and 5, ten times as much and so on, that is not below so much.
pub(super) fn step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    let whole = [1.0, 2.0, 5.0, 10.0].map(|n| n * power);
    whole.into_iter().find(|step| *step >= rough * 0.999).unwrap_or(rough)
}
