//! No record is without golden bytes; and those of what is stored, and of what is to become of it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::idl::structs;
use super::super::injections::{Healed, Injection, Injections, Rotted};
use super::super::records::{Applied, Put};
use super::super::values::WirePath;
use super::{GOLDEN, is_golden, text};
use crate::fault::CutWords;
use crate::fault::injections::RotWords;

/// Notes the names that each object has, of all that are in a value.
fn note(value: &Value, noted: &mut BTreeSet<BTreeSet<String>>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| note(value, noted)),
        Value::Object(object) => {
            noted.insert(object.keys().cloned().collect());
            object.values().for_each(|value| note(value, noted));
        }
        _ => {}
    }
}

#[test]
fn every_struct_of_the_idl_is_in_a_golden_record() {
    let mut noted = BTreeSet::new();
    for line in GOLDEN.lines() {
        let json = line.splitn(3, ' ').nth(2).unwrap();
        note(&serde_json::from_str(json).unwrap(), &mut noted);
    }
    for (name, fields) in structs("struct") {
        let fields = fields.into_iter().map(|field| field.name).collect();
        assert!(noted.contains(&fields), "tests/golden/records.txt has no {name}");
    }
}

#[test]
fn what_faults_have_made_is_written_as_ever() {
    let injection = Injection {
        id: 1,
        fault: Some(2),
        name: text("slow"),
        kind: "corrupt".into(),
        method: "write".into(),
        path: WirePath("/a".into()),
        inode: 3,
        offset: 4,
        len: 5,
        expected_sha256: text("6"),
        found_sha256: text("7"),
        state: "standing".into(),
        left: 8,
        kept: true,
    };
    let injections = vec![injection, Injection::default()];
    is_golden("injections", Injections { injections, all: 9, dropped: 10, kept_bytes: 11 });
    is_golden("healed", Healed { id: 1, outcome: "failed".into(), error: text("why") });
    is_golden("bare_healed", Healed { id: 2, outcome: "healed".into(), error: None });
    let (seed, failed) = ("4".to_owned(), vec!["f".to_owned()]);
    is_golden("rotted", Rotted { files: 1, bytes: 2, spots: 3, seed, failed });
    let faults = vec![Put { id: 7, ..Put::default() }];
    is_golden("applied", Applied { faults, cleared: vec![1, 2], released: 3 });
}

#[test]
fn what_is_asked_for_is_written_as_ever() {
    let rot = RotWords {
        pattern: "p".into(),
        how: "zero".into(),
        spots: 1,
        unit: 2,
        length: 3,
        seed: text("4"),
        hidden: true,
    };
    is_golden("rot", rot);
    let cut = CutWords {
        to: Some("i".into()),
        keep: "random".into(),
        unit: 512,
        seed: text("1"),
        max_stall_ns: 2,
        stay_off: true,
        kill: true,
    };
    is_golden("cut", cut);
}
