//! The report as one page that needs nothing else: no script, no file, no network.

use super::plot::{self, plot, spans};
use super::{OfMount, OfStep, Phase, Report};
use crate::cli::output::short_time;
use crate::cli::svg::escaped;

const STYLE: &str = "body { font-family: sans-serif; font-size: 15px; color: #222; margin: 24px auto; \
    max-width: 980px; padding: 0 12px } h1 { font-size: 24px } h2 { font-size: 19px; margin-top: 32px } \
    h3 { font-size: 16px; margin-top: 24px } table { border-collapse: collapse; margin: 10px 0 } \
    th, td { padding: 4px 10px; border-bottom: 1px solid #ddd; text-align: left; vertical-align: top } \
    th { border-bottom: 2px solid #999; white-space: nowrap } \
    .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap } \
    code { font-family: monospace; font-size: 13px; overflow-wrap: anywhere } \
    .bad { color: #b3261e; font-weight: bold } .note { color: #555; font-size: 13px } \
    svg { max-width: 100%; height: auto }";

/// The whole page.
pub(super) fn page(report: &Report) -> String {
    let name = escaped(&report.scenario);
    let outcome = match &report.why {
        None => "It came to its end.".to_owned(),
        Some(why) => {
            format!("<span class=\"bad\">It did not come to its end:</span> {}", escaped(why))
        }
    };
    let seed = report.seed.as_ref().map_or("as of each mount".to_owned(), |seed| escaped(seed));
    let facts = [
        ("began", began(report.began_unix_ns)),
        ("planned to end after", short_time(report.end_ns)),
        ("seed", seed),
        ("slowfs", escaped(&report.version)),
    ];
    let mut facts: Vec<String> = facts.iter().map(|(what, is)| fact(what, is)).collect();
    if report.mounts.len() > 1 {
        facts.push(fact("between the first start and the last", &short_time(report.skew_ns)));
    }
    let mounts: String = report.mounts.iter().map(|mount| of_mount(mount, report)).collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>{name}</title>\n\
         <style>{STYLE} {}</style>\n</head>\n<body>\n<h1>Scenario {name}</h1>\n<p>{outcome}</p>\n\
         <table>{}</table>\n{mounts}\
         <p class=\"note\">Latency is from the arrival of a request to its answer, as the mount has counted it, \
         delays included. A request counts where it was answered. All were timed; figures come from \
         buckets and are a sixteenth too long at most. Of the errors, injected are those that faults gave, usual those \
         answers that nothing is wrong for, as that a name is not there.</p>\n</body>\n</html>\n",
        plot::STYLE,
        facts.concat()
    )
}

fn fact(what: &str, is: &str) -> String {
    format!("<tr><th>{what}</th><td>{is}</td></tr>\n")
}

fn began(unix_ns: i64) -> String {
    let at = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(unix_ns.unsigned_abs());
    humantime::format_rfc3339_millis(at).to_string()
}

fn of_mount(mount: &OfMount, report: &Report) -> String {
    let why = mount.why.as_ref().filter(|_| mount.failed);
    let why = why.map(|why| format!("<p class=\"bad\">{}</p>\n", escaped(why)));
    let lag = match report.mounts.len() {
        1 => String::new(),
        _ => format!(", begun {} after the first", short_time(mount.lag_ns)),
    };
    let drawn = plot(mount, report.end_ns);
    let drawn = drawn.unwrap_or_else(|| "<p>No request was answered meanwhile.</p>\n".to_owned());
    format!(
        "<h2>{}</h2>\n<p>{} over {}, slowfs {}, FUSE {}, dice seeded with {}{lag}.</p>\n{}\
         <h3>Latency over time</h3>\n{drawn}<h3>Steps</h3>\n{}<h3>By phase and method</h3>\n{}",
        escaped(&mount.addr),
        code(&mount.mountpoint.0.display().to_string()),
        code(&mount.backing.0.display().to_string()),
        escaped(&mount.version),
        escaped(&mount.fuse_protocol),
        escaped(&mount.seed),
        why.unwrap_or_default(),
        steps(mount),
        phases(mount)
    )
}

fn code(text: &str) -> String {
    format!("<code>{}</code>", escaped(text))
}

fn steps(mount: &OfMount) -> String {
    let row = |(place, step): (usize, &OfStep)| {
        let planned = match (step.planned_ns, &step.once) {
            (Some(at), _) => time(at),
            (None, Some(fault)) => {
                format!("{} fired {}", escaped(fault), step.fired.unwrap_or_default())
            }
            (None, None) => String::new(),
        };
        let actual = step.at_ns.map_or("<span class=\"bad\">not done</span>".to_owned(), time);
        let late = step.late_ns.map(short_time).unwrap_or_default();
        format!(
            "<tr><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{planned}</td>\
             <td class=\"n\">{actual}</td><td class=\"n\">{late}</td><td>{}{}</td></tr>\n",
            place + 1,
            step.line,
            code(&step.text),
            came_of_it(step)
        )
    };
    let rows: String = mount.steps.iter().enumerate().map(row).collect();
    format!(
        "<table><tr><th class=\"n\">step</th><th class=\"n\">line</th><th class=\"n\">planned</th>\
         <th class=\"n\">actual</th><th class=\"n\">late</th><th>command</th></tr>\n{rows}</table>\n"
    )
}

/// What a step did, and what its mount warned of.
fn came_of_it(step: &OfStep) -> String {
    let did = step.did.iter().map(|did| format!("<div class=\"note\">{}</div>", escaped(did)));
    let warnings = step.warnings.iter().map(|warning| {
        format!("<div><span class=\"bad\">warning:</span> {}</div>", escaped(warning))
    });
    did.chain(warnings).collect()
}

/// A moment of the run.
fn time(ns: i64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "milliseconds are shown")]
    let seconds = ns as f64 / 1e9;
    format!("{seconds:.3} s")
}

fn phases(mount: &OfMount) -> String {
    let number = |line: &i64| mount.steps.iter().position(|step| step.line == *line);
    let rows = mount.phases.iter().map(|phase| {
        let steps = phase.lines.iter().filter_map(number).map(|place| place + 1);
        let steps = spans(&steps.collect::<Vec<_>>());
        of_phase(phase, if steps.is_empty() { "start" } else { &steps })
    });
    format!(
        "<table><tr><th>after step</th><th class=\"n\">from</th><th class=\"n\">to</th><th>method</th>\
         <th class=\"n\">calls</th><th class=\"n\">errors</th><th class=\"n\">of these injected</th>\
         <th class=\"n\">of these usual</th>\
         <th class=\"n\">p50</th><th class=\"n\">p99</th><th class=\"n\">max</th></tr>\n{}</table>\n",
        rows.collect::<String>()
    )
}

fn of_phase(phase: &Phase, steps: &str) -> String {
    let (from, to) = (time(phase.from_ns), time(phase.to_ns));
    let head = format!("<td>{steps}</td><td class=\"n\">{from}</td><td class=\"n\">{to}</td>");
    if phase.methods.is_empty() {
        return format!("<tr>{head}<td colspan=\"8\">no request was answered</td></tr>\n");
    }
    let empty = "<td></td><td></td><td></td>";
    let row = |(place, method): (usize, &super::OfMethod)| {
        let figures = [method.p50_ns, method.p99_ns, method.max_ns];
        let figures = figures.map(|ns| ns.map(short_time).unwrap_or_default());
        let counts = [method.calls, method.errors, method.injected, method.usual];
        let counts = counts.map(|n| n.to_string());
        let cells: String = counts
            .iter()
            .chain(&figures)
            .map(|cell| format!("<td class=\"n\">{cell}</td>"))
            .collect();
        let head = if place == 0 { &head } else { empty };
        format!("<tr>{head}<td>{}</td>{cells}</tr>\n", escaped(&method.name))
    };
    phase.methods.iter().enumerate().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_else_and_trusts_no_text() {
        let step = OfStep { line: 3, text: "delay 1ms -r '<b>&'".into(), ..OfStep::default() };
        let mount = OfMount { steps: vec![step], addr: "<i>".into(), ..OfMount::default() };
        let report = Report {
            scenario: "<script>".into(),
            why: Some("line 3 was refused".into()),
            mounts: vec![mount],
            ..Report::default()
        };
        let page = page(&report);
        assert!(page.contains("&lt;b&gt;&amp;") && page.contains("&lt;script&gt;"), "{page}");
        for part in ["<script", "<b>", "<i>", "http:", "https:", "src=", "href="] {
            assert!(!page.contains(part), "{part}");
        }
        assert!(page.contains("not done") && page.contains("line 3 was refused"));
    }

    #[test]
    fn the_page_tells_warnings_and_counts_all_errors() {
        let step = OfStep {
            did: Some("set <1>".into()),
            warnings: vec!["no & such".into()],
            ..OfStep::default()
        };
        let method = super::super::OfMethod {
            name: "fsync".into(),
            calls: 70,
            errors: 60,
            injected: 30,
            usual: 20,
            ..Default::default()
        };
        let phases = vec![Phase { methods: vec![method], ..Phase::default() }];
        let mount = OfMount { steps: vec![step], phases, ..OfMount::default() };
        let page = page(&Report { mounts: vec![mount], ..Report::default() });
        for part in ["set &lt;1&gt;", "warning:</span> no &amp; such", ">of these injected<"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let counts = [70, 60, 30, 20].map(|n| format!("<td class=\"n\">{n}</td>")).concat();
        assert!(page.contains(&counts), "{page}");
    }
}
