//! What can be asked for over HTTP: each path with what is done there, once. Who may ask, which methods a path takes and
//! what the documents say go by this table. Each answers by the object of the command's `--json`. No locks.

use super::answer::{Answer, Refused, Status};
use super::asked::Asked;
use super::request::Head;
use super::route::{self, Meant, Route, Verb};
use super::{doing, faults, scenario, told};

type Does = fn(&Asked<'_>) -> Result<Answer, Refused>;

const NONE: &[&str] = &[];

static ROUTES: [Route; 30] = [
    open("/", told::page),
    open("/healthz", told::health),
    get("/metrics", NONE, told::metrics),
    get("/v1/faults", NONE, faults::told),
    does(Verb::Put, "/v1/faults", faults::apply),
    does(Verb::Post, "/v1/faults", faults::set),
    does(Verb::Delete, "/v1/faults", faults::clear_all),
    get("/v1/faults/NAME", NONE, faults::told_one),
    does(Verb::Put, "/v1/faults/NAME", faults::set_named),
    does(Verb::Delete, "/v1/faults/NAME", faults::clear_one),
    get("/v1/faults/NAME/wait", &["fired", "held", "timeout"], faults::wait),
    get("/v1/info", NONE, told::info),
    get("/v1/status", NONE, told::status),
    get("/v1/stats", NONE, told::stats),
    get("/v1/ended", NONE, told::ended),
    get("/v1/methods", NONE, told::methods),
    get("/v1/kinds", NONE, told::kinds),
    get("/v1/match", &["path", "regex", "below", "most"], told::matches),
    get("/v1/injections", &["after", "most"], told::injections),
    does(Verb::Post, "/v1/heal", doing::heal),
    does(Verb::Post, "/v1/rot", doing::rot),
    get("/v1/unsynced", NONE, told::unsynced),
    does(Verb::Post, "/v1/checkpoint", doing::checkpoint),
    does(Verb::Post, "/v1/power-cut", doing::power_cut),
    does(Verb::Post, "/v1/power-on", doing::power_on),
    get("/v1/trace", &["after", "most"], told::trace),
    does(Verb::Post, "/v1/trace", doing::trace),
    does(Verb::Delete, "/v1/trace", doing::trace_stop),
    get("/v1/scenario", &["after"], told::scenario),
    does(Verb::Post, "/v1/scenario", scenario::run),
];

/// Served to anybody who comes by a name of ours: there is nothing of the mount in it.
const fn open(path: &'static str, does: Does) -> Route {
    Route { verb: Verb::Get, path, queries: NONE, is_open: true, does }
}

const fn get(path: &'static str, queries: &'static [&'static str], does: Does) -> Route {
    Route { verb: Verb::Get, path, queries, is_open: false, does }
}

/// What changes something, and is told how by its body alone.
const fn does(verb: Verb, path: &'static str, does: Does) -> Route {
    Route { verb, path, queries: NONE, is_open: false, does }
}

/// Whether anybody may ask at that path, over TCP without a token too.
pub(super) fn is_open(head: &Head) -> bool {
    route::is_open(&ROUTES, head)
}

/// What a request is about, once it may be asked.
pub(super) fn answer(asked: Asked<'_>) -> Result<Answer, Refused> {
    let head = asked.head;
    match route::meant(&ROUTES, head) {
        Meant::Route(route, about) => {
            let asked = Asked { about, ..asked };
            asked.only_queries(route.queries)?;
            (route.does)(&asked)
        }
        Meant::Takes(methods) => Err(Refused::method(&head.method, methods)),
        Meant::Nothing => {
            let path = head.path.join("/");
            let why = format!("there is no /{path}; there are {}", paths().join(", "));
            Err(Refused::new(Status::Missing, why))
        }
    }
}

/// All paths, each once.
fn paths() -> Vec<&'static str> {
    let mut paths: Vec<_> = ROUTES.iter().map(|route| route.path).collect();
    paths.dedup();
    paths
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENTATION: &str = include_str!("../../../docs/http.md");

    fn head(method: &str, path: &str) -> Head {
        let path = path.trim_start_matches('/').split('/').map(str::to_owned).collect();
        Head { method: method.to_owned(), path, ..Head::default() }
    }

    /// `GET /v1/match` of "`GET /v1/match?path=PATH`".
    fn documented() -> Vec<String> {
        let quoted = DOCUMENTATION.split('`').skip(1).step_by(2);
        let verbs = ["GET /", "PUT /", "POST /", "DELETE /"];
        let routes = quoted.filter(|text| verbs.iter().any(|verb| text.starts_with(verb)));
        let plain = |text: &str| text.split('?').next().unwrap().to_owned();
        let mut routes: Vec<_> = routes.map(plain).collect();
        routes.sort();
        routes.dedup();
        routes
    }

    #[test]
    fn the_documents_have_each_route_and_no_other() {
        let own = ROUTES.iter().map(|route| format!("{} {}", route.verb.name(), route.path));
        let mut own: Vec<_> = own.collect();
        own.sort();
        assert_eq!(documented(), own);
        for query in ROUTES.iter().flat_map(|route| route.queries) {
            let told =
                ["?", "&"].iter().any(|mark| DOCUMENTATION.contains(&format!("{mark}{query}=")));
            assert!(told, "{query}");
        }
    }

    #[test]
    fn a_request_means_the_route_of_its_path_and_method() {
        let meant = |method, path| match route::meant(&ROUTES, &head(method, path)) {
            Meant::Route(route, about) => format!("{} {} {about}", route.verb.name(), route.path),
            Meant::Takes(methods) => format!("takes {methods}"),
            Meant::Nothing => "nothing".to_owned(),
        };
        for (method, path, wanted) in [
            ("GET", "/", "GET / "),
            ("HEAD", "/metrics", "GET /metrics "),
            ("DELETE", "/v1/faults", "DELETE /v1/faults "),
            ("PUT", "/v1/faults/slow", "PUT /v1/faults/NAME slow"),
            ("GET", "/v1/faults/wait/wait", "GET /v1/faults/NAME/wait wait"),
            ("PATCH", "/v1/faults", "takes GET, HEAD, PUT, POST, DELETE"),
            ("get", "/v1/stats", "takes GET, HEAD"),
            ("GET", "/v1/heal", "takes POST"),
            ("POST", "/v1/faults/slow", "takes GET, HEAD, PUT, DELETE"),
            ("GET", "/v1/faults/", "nothing"),
            ("GET", "/v1/faults//wait", "nothing"),
            ("GET", "/v1", "nothing"),
            ("GET", "/v1/stats/", "nothing"),
            ("GET", "/V1/stats", "nothing"),
            ("GET", "/v1/faults/NAME/x", "nothing"),
            ("GET", "/healthz/x", "nothing"),
        ] {
            assert_eq!(meant(method, path), wanted, "{method} {path}");
        }
    }

    #[test]
    fn only_what_tells_nothing_of_the_mount_is_open() {
        let open: Vec<_> =
            ROUTES.iter().filter(|route| route.is_open).map(|route| route.path).collect();
        assert_eq!(open, ["/", "/healthz"]);
        assert!(is_open(&head("DELETE", "/")) && !is_open(&head("GET", "/v1/faults")));
    }
}
