//! What is found with all patterns at once is what each pattern alone says, whatever is remembered.

use std::cell::RefCell;
use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::fault::snapshot::Row;
use crate::fault::{DelayLine, Fault, FaultId, FaultTable, Pattern, Placement};
use crate::ops::Call;

/// A directory that may be renamed, with a file of its own.
struct Directory {
    path: RefCell<String>,
    /// Of all directories: a rename of one may be one of those above another.
    epoch: RefCell<u64>,
    memo: Memo,
    file: Memo,
    /// How often its path was asked for.
    asked: RefCell<usize>,
    /// How often a name in it was.
    named: RefCell<usize>,
}

impl Directory {
    fn new(path: &str) -> Directory {
        let (memo, file) = (Memo::default(), Memo::default());
        let (path, epoch) = (RefCell::new(path.to_owned()), RefCell::new(0));
        let (asked, named) = (RefCell::default(), RefCell::default());
        Directory { path, epoch, memo, file, asked, named }
    }

    fn rename(&self, path: &str) {
        *self.path.borrow_mut() = path.to_owned();
        *self.epoch.borrow_mut() += 1;
    }

    fn path_of(&self, name: &str) -> String {
        format!("{}/{name}", self.path.borrow())
    }
}

/// A name in a directory: as the entry, or as the file.
struct At<'a> {
    directory: &'a Directory,
    name: &'a str,
    is_entry: bool,
}

impl Subject for At<'_> {
    fn methods(&self) -> MethodSet {
        Call::Write.methods()
    }

    fn memo(&self) -> Option<&Memo> {
        (!self.is_entry).then_some(&self.directory.file)
    }

    fn epoch(&self) -> u64 {
        *self.directory.epoch.borrow()
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        visit(self.directory.path_of(self.name).as_bytes());
    }

    fn entry(&self, visit: &mut dyn FnMut(&Entry<'_>)) {
        *self.directory.named.borrow_mut() += 1;
        visit(&Entry { directory: self.directory, name: self.name.as_bytes() });
    }
}

impl Subject for Directory {
    fn methods(&self) -> MethodSet {
        Call::Write.methods()
    }

    fn memo(&self) -> Option<&Memo> {
        Some(&self.memo)
    }

    fn epoch(&self) -> u64 {
        *self.epoch.borrow()
    }

    fn paths(&self, visit: &mut dyn FnMut(&[u8])) {
        *self.asked.borrow_mut() += 1;
        visit(self.path.borrow().as_bytes());
    }
}

fn found(table: &FaultTable, subject: &dyn Subject) -> Vec<FaultId> {
    let snapshot = table.snapshot();
    with_matches(&snapshot, subject, |places| {
        places.iter().map(|place| snapshot.rows[*place].live.id).collect()
    })
}

/// As the rules say: each pattern of these methods by itself, by its engine and no automaton.
#[derive(Default)]
struct Alone(RefCell<HashMap<String, Pattern>>);

impl Alone {
    fn find(&self, table: &FaultTable, path: &str) -> Vec<FaultId> {
        let mut patterns = self.0.borrow_mut();
        let mut matches = |row: &&Row| {
            let source = row.live.fault.pattern().as_str();
            let known = patterns.entry(source.to_owned());
            known.or_insert_with(|| Pattern::plain(source)).matches(path.as_bytes())
        };
        let snapshot = table.snapshot();
        let rows = snapshot.rows.iter().filter(|row| row.methods.intersects(Call::Write.methods()));
        rows.filter(|row| matches(row)).map(|row| row.live.id).collect()
    }
}

fn fault(call: Call, pattern: &str) -> Option<Fault> {
    Some(Fault::on(call.methods()).unwrap().with_pattern(Pattern::new(pattern).ok()?))
}

#[derive(Clone, Debug)]
enum Step {
    Set(String),
    SetOther(String),
    Clear(usize),
    Rename(usize, String),
    Ask(String),
}

fn step() -> impl Strategy<Value = Step> {
    let pattern = prop_oneof![
        r"(\.\*)?/?[ab]{1,2}(/|\.\*|/\.\*)?",
        r"(\(\^\|\.\*/\))?[ab.]{1,3}/[ab]\*",
        r"\^?\(\?[!=]\.\*[ab]\$\)[ab/.*]{1,4}\.\*",
        r"\.\*\([ab.]\)\\1[ab/]?\.\*",
        r"\.\*a\.\{1[0-9]\}b",
        "[ab/.*?()|\\[\\]^$\\\\]{0,7}",
    ];
    let path = "(/[ab]{1,2}){0,3}";
    prop_oneof![
        3 => pattern.clone().prop_map(Step::Set),
        1 => pattern.prop_map(Step::SetOther),
        1 => (0usize..40).prop_map(Step::Clear),
        1 => (0usize..3, path).prop_map(|(directory, path)| Step::Rename(directory, path)),
        4 => "[ab\u{e9}]{1,3}".prop_map(Step::Ask),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn all_at_once_find_what_each_alone_does(
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
        let alone = Alone::default();
        let directories = ["", "/a", "/b/ab"].map(Directory::new);
        let mut asked = String::from("a");
        for step in steps {
            match step {
                Step::Set(pattern) => {
                    fault(Call::Write, &pattern).map(|f| table.put(f, Placement::Add).unwrap());
                }
                Step::SetOther(pattern) => {
                    fault(Call::Fsync, &pattern).map(|f| table.put(f, Placement::Add).unwrap());
                }
                Step::Clear(which) => {
                    let ids: Vec<_> = table.list().iter().map(|listed| listed.id).collect();
                    ids.get(which).map(|id| table.remove(*id));
                }
                Step::Rename(which, path) => directories[which].rename(&path),
                Step::Ask(name) => asked = name,
            }
            for directory in &directories {
                let expected = alone.find(&table, &directory.path_of(&asked));
                for _ in 0..2 {
                    let entry = At { directory, name: &asked, is_entry: true };
                    prop_assert_eq!(&found(&table, &entry), &expected);
                }
                // The file has one name for good: what is remembered with it is of that.
                let file = At { directory, name: "a", is_entry: false };
                let of_file = alone.find(&table, &directory.path_of("a"));
                let write = |id: &FaultId| {
                    let listed = table.list().into_iter().find(|listed| listed.id == *id);
                    listed.unwrap().methods.intersects(Call::Write.methods())
                };
                for _ in 0..2 {
                    let found = found(&table, &file).into_iter().filter(write);
                    prop_assert_eq!(found.collect::<Vec<_>>(), of_file.clone());
                }
            }
        }
    }
}

/// More than few come and go, so that both unions are made anew on the way.
#[test]
fn many_come_and_go() {
    let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
    let directory = Directory::new("/data/dir7");
    let alone = Alone::default();
    let ask = |name: &str| {
        let entry = At { directory: &directory, name, is_entry: true };
        let expected = alone.find(&table, &directory.path_of(name));
        assert_eq!(found(&table, &entry), expected);
        expected.len()
    };
    for n in 0..160 {
        let pattern = format!("(^|.*/)dir{}/file{n}.*", n % 10);
        table.put(fault(Call::Write, &pattern).unwrap(), Placement::Add).unwrap();
        ask("file7");
        ask(&format!("file{n}"));
    }
    assert!(ask("file127") >= 1);
    for n in 0..160 {
        let place = n * 7 % table.list().len();
        table.remove(table.list()[place].id);
        ask("file7");
        if n % 3 == 0 {
            table.put(fault(Call::Write, ".*dir7/.*[5-9]").unwrap(), Placement::Add).unwrap();
            ask("file127");
        }
    }
}

/// A path that others have decided already is not made, of a name nor of a file that has just one.
#[test]
fn a_name_in_a_known_directory_takes_no_path() {
    let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
    let directory = Directory::new("/data");
    let asked = || directory.asked.take();
    let ask = |name| found(&table, &At { directory: &directory, name, is_entry: true }).len();
    for pattern in ["(^|.*/)wal/.*", "/data/x.*", r"(?!.*y$).*/z.*"] {
        table.put(fault(Call::Write, pattern).unwrap(), Placement::Add).unwrap();
    }
    let names = ["a", "b", "x", "xb", "a"];
    assert_eq!(names.map(ask), [0, 0, 1, 1, 0]);
    assert_eq!(asked(), 1, "that of the directory, once");
    assert_eq!(["zy", "zx"].map(ask), [0, 1]);
    assert_eq!(asked(), 2, "those that only the engine can decide");
    directory.rename("/wal");
    assert_eq!(names.map(ask), [1, 1, 1, 1, 1]);
    assert_eq!(asked(), 1);
    let file = At { directory: &directory, name: "x", is_entry: false };
    assert_eq!(found(&table, &file).len(), 1);
    assert_eq!(asked(), 0, "the directory of the file is known");
}

/// Each word is of its own version, epoch and place, up to where one has no room.
#[test]
fn a_word_tells_of_one_place_or_none_and_of_no_other_version_or_epoch() {
    let last = |bits: u32| (1_u64 << bits) - 1;
    let places = [&[][..], &[0], &[7], &[last(Few::PLACE_BITS) as usize - 1]];
    let (versions, epochs) = ([1, 2, last(Few::VERSION_BITS)], [0, 1, 2, last(Few::EPOCH_BITS)]);
    let all = || versions.iter().flat_map(|version| epochs.map(|epoch| (*version, epoch)));
    for (places, of) in places.iter().flat_map(|places| all().map(move |of| (*places, of))) {
        let word = Few::of(of.0, of.1).unwrap().with(places).unwrap().0;
        for asked in all() {
            let told = Few::of(asked.0, asked.1).unwrap().known(word, asked.0);
            let (version, place) = (of.0, places.first().copied());
            let expected = (asked == of).then_some(Known { version, place });
            assert_eq!(told, expected, "{places:?} of {of:?}, asked for {asked:?}");
        }
    }
    let few = || Few::of(1, 1).unwrap();
    assert!(few().with(&[1, 2]).is_none());
    assert!(few().with(&[last(Few::PLACE_BITS) as usize]).is_none());
    assert!(Few::of(1 << Few::VERSION_BITS, 0).is_none());
    assert!(Few::of(0, 1 << Few::EPOCH_BITS).is_none());
}

/// Where two faults match a file, they are remembered in a list.
#[test]
fn more_than_a_word_holds_is_remembered_too() {
    let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
    let directory = Directory::new("/data");
    let file = At { directory: &directory, name: "x", is_entry: false };
    let listed = || directory.file.all.load().as_ref().is_some_and(|all| all.matches.is_some());
    let twice = || {
        let found = [found(&table, &file), found(&table, &file)];
        assert_eq!(directory.named.take(), 1, "the second time it is known");
        found.map(|found| found.len())
    };
    table.put(fault(Call::Write, "/data/x").unwrap(), Placement::Add).unwrap();
    assert_eq!(twice(), [1, 1]);
    assert!(!listed(), "a word is enough");
    table.put(fault(Call::Write, "/data/.*").unwrap(), Placement::Add).unwrap();
    assert_eq!(twice(), [2, 2]);
    assert!(listed());
    table.clear_all();
    table.put(fault(Call::Write, "/data/y").unwrap(), Placement::Add).unwrap();
    assert_eq!(twice(), [0, 0]);
}
