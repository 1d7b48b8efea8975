//! The page to look at: one file, with all that it needs in it. It asks for nothing but the paths of this mount,
//! and its policy lets a browser run nothing else. No locks.

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use super::answer::{Answer, Status};
use crate::rpc::values::base64;

const STYLE: &str = include_str!("page/page.css");
const CHART: &str = include_str!("page/chart.js");
const SCRIPT: &str = include_str!("page/page.js");
const BODY: &str = include_str!("page/page.html");

/// The file, and what a browser may do with it.
struct Page {
    html: String,
    policy: String,
}

static PAGE: LazyLock<Page> = LazyLock::new(|| {
    let script = format!("\"use strict\";\n{CHART}\n{SCRIPT}");
    let hash = |text: &str| base64(&Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        hash(&script),
        hash(STYLE)
    );
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>slowfs</title>\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <style>{STYLE}</style>\n</head>\n{BODY}\n<script>{script}</script>\n</html>\n"
    );
    Page { html, policy }
});

pub(super) fn answer() -> Answer {
    Answer::new(Status::Done, "text/html; charset=utf-8", PAGE.html.as_str())
        .with("Content-Security-Policy", &PAGE.policy)
        .with("Referrer-Policy", "no-referrer")
        .with("Cross-Origin-Resource-Policy", "same-origin")
        .with("Cross-Origin-Opener-Policy", "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        let html = &PAGE.html;
        // Names of XML are no addresses that are asked.
        let asked = html.replace("http://www.w3.org/", "");
        for outside in ["http:", "https:", "//cdn", "@import", "url(", " src=", " href="] {
            assert!(!asked.contains(outside), "{outside}");
        }
        // Neither is there anything that the policy forbids.
        for forbidden in [" style=", " onclick=", "innerHTML", "eval(", "document.write"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        assert_eq!(html.matches("<script>").count(), 1);
    }
}
