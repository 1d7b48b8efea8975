//! What is to rot, as it goes over the wire. No locks.

use super::record::record;
use crate::fault::injections::RotWords;

record! {
    impl RotWords = "Rot" {
        1: pattern: String,
        2: how: String,
        3: spots: i64,
        4: unit: i64,
        5: length: i64,
        6: seed: Option<String>,
        7: hidden: bool,
    }
}
