//! Which path does what. Each answers by the object of the command's `--json`. No locks.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::answer::{Answer, Refused, Status};
use super::request::Head;
use super::{given, metrics, page};
use crate::fault::words::{self, FaultWords};
use crate::fault::{FaultId, FaultRef};
use crate::rpc::dialect::Wait;
use crate::rpc::handler::{Handler, Peer, Refusal};
use crate::rpc::objects;
use crate::rpc::records::{KindInfo, ListedFault, Put};
use crate::rpc::values::WirePath;

/// What there is, for who asks for something else.
const PATHS: &str = "/, /healthz, /metrics and below /v1: info, status, stats, faults, faults/NAME|ID|METHOD, \
                     faults/NAME|ID/wait, ended, methods, kinds, match, injections";

/// What is told below /v1, and changes nothing.
const TOLD: [&str; 8] =
    ["info", "status", "stats", "ended", "methods", "kinds", "match", "injections"];

/// How long a `wait` takes if nothing is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many injections are told at once, and paths of a match, if nothing is said.
const MOST_INJECTIONS: i64 = 1_000;
const MOST_PATHS: i64 = 100;

/// A request that is to be served.
pub(super) struct Asked<'a> {
    pub(super) handler: &'a Handler,
    pub(super) peer: Peer<'a>,
    pub(super) head: &'a Head,
    pub(super) body: &'a [u8],
}

/// What a request does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Get,
    Put,
    Post,
    Delete,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        match refusal {
            Refusal::Plain(why) | Refusal::Own(why) => Refused::bad(why),
        }
    }
}

pub(super) fn answer(asked: &Asked<'_>) -> Result<Answer, Refused> {
    let path: Vec<_> = asked.head.path.iter().map(String::as_str).collect();
    match path.as_slice() {
        [""] => asked.only_get().map(|()| page::answer()),
        ["healthz"] => asked.only_get().and_then(|()| asked.health()),
        ["metrics"] => asked
            .only_get()
            .map(|()| Answer::new(Status::Done, metrics::TYPE, metrics::page(asked.handler))),
        ["v1", "faults"] => asked.faults(),
        ["v1", "faults", fault] if !fault.is_empty() => asked.fault(fault),
        ["v1", "faults", fault, "wait"] => asked.only_get().and_then(|()| asked.wait(fault)),
        ["v1", what] => asked.told(what),
        _ => asked.missing(),
    }
}

impl Asked<'_> {
    /// What is to be done, if the path takes that.
    fn verb(&self, allowed: &'static str) -> Result<Verb, Refused> {
        let verb = match self.head.method.as_str() {
            "GET" | "HEAD" => Some(Verb::Get),
            "PUT" => Some(Verb::Put),
            "POST" => Some(Verb::Post),
            "DELETE" => Some(Verb::Delete),
            _ => None,
        };
        let taken = || allowed.split(", ").any(|method| method == self.head.method);
        verb.filter(|_| taken()).ok_or_else(|| Refused::method(&self.head.method, allowed))
    }

    fn only_get(&self) -> Result<(), Refused> {
        self.verb("GET, HEAD").map(drop)
    }

    fn missing(&self) -> Result<Answer, Refused> {
        let path = self.head.path.join("/");
        Err(Refused::new(Status::Missing, format!("there is no /{path}; there are {PATHS}")))
    }

    /// Whether the mount answers, through the kernel.
    fn health(&self) -> Result<Answer, Refused> {
        let began = Instant::now();
        let looked = self.handler.config.health.get().map_or(Ok(()), |health| health.look());
        looked.map_err(|why| Refused::new(Status::Unwell, why))?;
        let took = i64::try_from(began.elapsed().as_nanos()).unwrap_or(i64::MAX);
        Ok(Answer::object(json!({ "took_ns": took }), &[]))
    }

    /// What is told and changes nothing.
    fn told(&self, what: &str) -> Result<Answer, Refused> {
        if !TOLD.contains(&what) {
            return self.missing();
        }
        self.only_get()?;
        match what {
            "match" => return self.matches(),
            "injections" => return self.injections(),
            _ => self.only_queries(&[])?,
        }
        let handler = self.handler;
        let object = match what {
            "info" => objects::info(&handler.info()),
            "stats" => json!(handler.statistics()),
            "ended" => objects::ended(&handler.ended()),
            "methods" => objects::methods(&handler.methods()),
            "kinds" => objects::kinds(&KindInfo::all()),
            _ => return Ok(self.status()),
        };
        Ok(Answer::object(object, &[]))
    }

    fn status(&self) -> Answer {
        let (faults, warnings) = self.in_force();
        let (running, last) = objects::running(self.handler.run_read(i64::MAX).run);
        let object = objects::status(&self.handler.statistics(), &faults, last.as_ref());
        Answer::object(objects::with_scenario(object, running.as_ref()), &warnings)
    }

    fn in_force(&self) -> (Vec<ListedFault>, Vec<String>) {
        let faults = self.handler.faults();
        let warnings = objects::warnings_of(&faults, &self.handler.ended());
        (faults, warnings)
    }

    /// All faults: told, replaced, one more, cleared.
    fn faults(&self) -> Result<Answer, Refused> {
        let verb = self.verb("GET, HEAD, PUT, POST, DELETE")?;
        self.only_queries(&[])?;
        match verb {
            Verb::Get => {
                let (faults, warnings) = self.in_force();
                let (running, _) = objects::running(self.handler.run_read(i64::MAX).run);
                let object = objects::faults(&faults);
                Ok(Answer::object(objects::with_scenario(object, running.as_ref()), &warnings))
            }
            Verb::Put => {
                let faults = given::faults(&given::json(self.body)?)?;
                let put = self.handler.put_all(self.peer.addr, &faults, &[], true)?;
                let objects = put.iter().zip(&faults).map(|(put, fault)| objects::put(put, fault));
                let warnings: Vec<_> = put.iter().flat_map(objects::put_warnings).collect();
                Ok(Answer::object(objects::puts(&objects.collect::<Vec<_>>()), &warnings))
            }
            Verb::Post => {
                let (fault, add) = given::fault(&given::json(self.body)?)?;
                let put = self.handler.put(self.peer.addr, &fault, add)?;
                Ok(put_answer(&put, &fault))
            }
            Verb::Delete => self.clear(&[]),
        }
    }

    /// One fault: told, set under that name, cleared.
    fn fault(&self, fault: &str) -> Result<Answer, Refused> {
        let verb = self.verb("GET, HEAD, PUT, DELETE")?;
        self.only_queries(&[])?;
        match verb {
            Verb::Get => {
                let found = self.listed(fault)?;
                Ok(Answer::object(objects::faults(&[found]), &[]))
            }
            Verb::Put | Verb::Post => {
                let (mut words, add) = given::fault(&given::json(self.body)?)?;
                if words.name.as_ref().is_some_and(|name| name != fault) {
                    let why =
                        format!("the fault has another name than {fault}, which the path says");
                    return Err(Refused::bad(why));
                }
                words.name = Some(fault.to_owned());
                let put = self.handler.put(self.peer.addr, &words, add)?;
                Ok(put_answer(&put, &words))
            }
            Verb::Delete => self.clear(&[fault.to_owned()]),
        }
    }

    /// The fault of that name or id: one in force, else the newest that has gone.
    fn listed(&self, fault: &str) -> Result<ListedFault, Refused> {
        let meant = FaultRef::new(fault);
        let is_meant = |listed: &ListedFault| {
            meant.is(FaultId(listed.id.unsigned_abs()), listed.fault.name.as_deref())
        };
        let in_force = self.handler.faults().into_iter().find(is_meant);
        let found = in_force.or_else(|| self.handler.ended().into_iter().rev().find(is_meant));
        found.ok_or_else(|| Refused::new(Status::Missing, self.handler.missing(fault)))
    }

    fn clear(&self, what: &[String]) -> Result<Answer, Refused> {
        let cleared = self.handler.clear(self.peer.addr, what).map_err(|refusal| Refused {
            // It is refused for what is not there only.
            status: Status::Missing,
            ..refusal.into()
        })?;
        let named = (!what.is_empty()).then_some(what);
        Ok(Answer::object(objects::cleared(named, Some(&cleared)), &[]))
    }

    /// `?fired=N` or `?held=N`, and `&timeout=10s`.
    fn wait(&self, fault: &str) -> Result<Answer, Refused> {
        self.only_queries(&["fired", "held", "timeout"])?;
        let query = &self.head.query;
        let (what, n) = match (query.get("fired"), query.get("held")) {
            (Some(n), None) => ("fired", n),
            (None, Some(n)) => ("held", n),
            _ => return Err(Refused::bad("say what to wait for: ?fired=N or ?held=N")),
        };
        let n = number(what, n)?;
        if n == 0 {
            return Err(Refused::bad(format!("{what} must be 1 at least")));
        }
        let timeout = query
            .get("timeout")
            .map(|text| words::time(text).map_err(|why| Refused::bad(format!("timeout: {why}"))));
        let timeout = timeout.transpose()?.unwrap_or(PATIENCE);
        self.listed(fault)?;
        let timeout_ns = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
        let wait = Wait { name_or_id: fault.to_owned(), what: what.to_owned(), n, timeout_ns };
        let found = self.handler.wait(&wait, self.peer.waits);
        let found =
            found.map_err(|refusal| Refused { status: Status::NotYet, ..refusal.into() })?;
        Ok(Answer::object(json!({ what: found }), &[]))
    }

    /// `?path=PATH`: what it meets; `?regex=REGEX`: what it matches, `&below=PATH&most=N`.
    fn matches(&self) -> Result<Answer, Refused> {
        self.only_queries(&["path", "regex", "below", "most"])?;
        let query = &self.head.query;
        let path = |name| WirePath(query.get(name).unwrap_or_default().into());
        match (query.get("path"), query.get("regex")) {
            (Some(_), None) => {
                let met = self.handler.match_path(&path("path"))?;
                Ok(Answer::object(objects::met(&met), &objects::warnings(&met.faults)))
            }
            (None, Some(regex)) => {
                let most = query.get("most").map(|n| number("most", n)).transpose()?;
                let wanted = (&path("below"), most.unwrap_or(MOST_PATHS));
                let found = self.handler.match_files(regex, wanted, self.peer.waits)?;
                Ok(Answer::object(objects::matched(&found), &objects::search_warnings(&found)))
            }
            _ => Err(Refused::bad("say what to look for: ?path=PATH or ?regex=REGEX")),
        }
    }

    /// Those after `?after=ID`, `&most=N` at most.
    fn injections(&self) -> Result<Answer, Refused> {
        self.only_queries(&["after", "most"])?;
        let given =
            |name: &str| self.head.query.get(name).map(|text| number(name, text)).transpose();
        let (after, most) = (given("after")?, given("most")?);
        let found =
            self.handler.injections(after.unwrap_or_default(), most.unwrap_or(MOST_INJECTIONS));
        Ok(Answer::object(objects::injections(&found), &[]))
    }

    /// Whether nothing else is asked for: what is not understood is not passed over.
    fn only_queries(&self, known: &[&str]) -> Result<(), Refused> {
        match self.head.query.other_than(known) {
            None => Ok(()),
            Some(other) => {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Err(Refused::bad(format!("there is no {other} to ask for; there is {known}")))
            }
        }
    }
}

fn put_answer(put: &Put, fault: &FaultWords) -> Answer {
    let object: Value = objects::put(put, fault);
    Answer::object(object, &objects::put_warnings(put))
}

fn number(name: &str, text: &str) -> Result<i64, Refused> {
    let read = text.parse().ok().filter(|n: &i64| *n >= 0);
    read.ok_or_else(|| Refused::bad(format!("{name} must be a whole number")))
}
