//! What a route is, and which one a request means. No locks.

use super::answer::{Answer, Refused};
use super::asked::Asked;
use super::request::Head;

/// What is done at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verb {
    Get,
    Put,
    Post,
    Delete,
}

impl Verb {
    /// By the method of a request. A HEAD asks for a GET's answer without its body.
    fn of(method: &str) -> Option<Verb> {
        let all = [Verb::Get, Verb::Put, Verb::Post, Verb::Delete];
        let method = if method == "HEAD" { "GET" } else { method };
        all.into_iter().find(|verb| verb.name() == method)
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Verb::Get => "GET",
            Verb::Put => "PUT",
            Verb::Post => "POST",
            Verb::Delete => "DELETE",
        }
    }
}

/// One thing that can be asked for.
pub(super) struct Route {
    pub(super) verb: Verb,
    /// A part in capitals stands for any that is not empty: what is asked about.
    pub(super) path: &'static str,
    /// The questions behind the path that it knows.
    pub(super) queries: &'static [&'static str],
    /// Whether anybody may ask, over TCP without a token too.
    pub(super) is_open: bool,
    pub(super) does: fn(&Asked<'_>) -> Result<Answer, Refused>,
}

/// What a request means.
pub(super) enum Meant<'a> {
    /// This, about that.
    Route(&'static Route, &'a str),
    /// The path is there, and takes these methods.
    Takes(String),
    /// There is no such path.
    Nothing,
}

impl Route {
    /// What is asked about, if the path is this one's; empty if it says so itself.
    fn about<'a>(&self, path: &'a [String]) -> Option<&'a str> {
        let own: Vec<&str> = self.path.trim_start_matches('/').split('/').collect();
        if own.len() != path.len() {
            return None;
        }
        let mut about = "";
        for (own, part) in own.iter().zip(path) {
            let is_any = own.starts_with(|first: char| first.is_ascii_uppercase());
            if is_any && !part.is_empty() {
                about = part;
            } else if own != part {
                return None;
            }
        }
        Some(about)
    }
}

/// Which of the routes a request means.
pub(super) fn meant<'a>(routes: &'static [Route], head: &'a Head) -> Meant<'a> {
    let of_path = |route: &'static Route| route.about(&head.path).map(|about| (route, about));
    let there: Vec<_> = routes.iter().filter_map(of_path).collect();
    let wanted = Verb::of(&head.method);
    match there.iter().find(|(route, _)| Some(route.verb) == wanted) {
        Some((route, about)) => Meant::Route(route, about),
        None if there.is_empty() => Meant::Nothing,
        None => {
            let verbs = there.iter().flat_map(|(route, _)| match route.verb {
                Verb::Get => vec!["GET", "HEAD"],
                other => vec![other.name()],
            });
            Meant::Takes(verbs.collect::<Vec<_>>().join(", "))
        }
    }
}

/// Whether anybody may ask at that path.
pub(super) fn is_open(routes: &[Route], head: &Head) -> bool {
    routes.iter().any(|route| route.is_open && route.about(&head.path).is_some())
}
