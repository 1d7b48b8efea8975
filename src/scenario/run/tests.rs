//! How a run begins and ends, by itself.

use std::hint::spin_loop;
use std::net::{Ipv4Addr, SocketAddr};

use super::*;
use crate::fault::{DelayLine, Fault, Gate, Placement};
use crate::ops::MethodSet;
use crate::scenario::{Command, Stage, Step};

fn peer() -> Origin {
    Origin::Net(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)))
}

/// What a run acts on: a table with a fault, whose id is 1.
fn on() -> On {
    let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
    table.put(Fault::on(MethodSet::ALL).unwrap(), Placement::Add).unwrap();
    On { table, stats: Arc::default(), bounds: Bounds::default(), hands: Hands::default() }
}

/// It ends when that fault has fired, and requests are timed meanwhile.
fn script() -> Script {
    let when = When::Fired("1".to_owned(), 1_000);
    let step = Step { line: 1, when, command: Command::End, text: "end".to_owned() };
    let end = Duration::from_secs(600);
    Script { steps: vec![step], end, timed: true, ..Script::default() }
}

/// Whether requests are timed because of a run: no method is armed.
fn is_timed(on: &On) -> bool {
    Gate::new(Arc::clone(&on.table)).mask().times()
}

#[test]
fn an_end_while_it_begins_leaves_nothing() {
    let on = on();
    let new = || Run::new(script(), peer(), on.clone()).unwrap();
    let runs: Vec<_> = (0..2_000).map(|_| new()).collect();
    on.table.clear_all();
    for run in runs {
        thread::scope(|scope| {
            scope.spawn(|| {
                while !run.has_begun() {
                    spin_loop();
                }
                assert!(run.end(Why::Stopped).is_some());
            });
            run.start().unwrap();
        });
        assert!(!is_timed(&on), "requests are timed after the end");
        // Each step at a firing knows its run.
        assert_eq!(Arc::weak_count(&run), 1, "a step at a firing is pending after the end");
    }
}

#[test]
fn one_without_a_thread_says_so() {
    let on = on();
    let run = Run::new(script(), peer(), on.clone()).unwrap();
    run.begin().unwrap();
    let told = run.cannot_play(&io::Error::other("there are too many"));
    assert_eq!(told, "cannot start a thread for it: there are too many");
    let (progress, events) = run.look(0);
    assert_eq!(progress.phase, Phase::Ended(Why::NoThread("there are too many".to_owned())));
    assert!(
        matches!(&*events, [Event { what: What::Started, .. }, Event { what: What::Ended, text, .. }]
        if text.contains(&told))
    );
}

/// A page of a thousand lines is looked at many times a second.
#[test]
fn looks_share_the_script() {
    let On { table, stats, bounds, hands } = on();
    let stage = Stage::new(table, stats, bounds, hands);
    let loaded = stage.load(script(), peer()).unwrap();
    let (looked, _) = stage.look(0).unwrap();
    assert!(Arc::ptr_eq(&loaded.script, &looked.script));
}
