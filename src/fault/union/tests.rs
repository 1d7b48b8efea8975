//! A union accepts what its members accept, each by itself.

use proptest::prelude::*;

use super::*;
use crate::fault::Pattern;

fn sieves(patterns: &[String]) -> Box<[Arc<Dfa>]> {
    let sieve = |pattern: &String| Arc::clone(Pattern::new(pattern).unwrap().sieve().unwrap());
    patterns.iter().map(sieve).collect()
}

fn each_alone(members: &[Arc<Dfa>], path: &[u8]) -> Vec<usize> {
    let accepts = |member: &usize| members[*member].accepts(path);
    (0..members.len()).filter(accepts).collect()
}

fn accepting(union: &Union, path: &[u8]) -> Vec<usize> {
    let mut found = Vec::new();
    union.accepting(path, &mut |member| found.push(member));
    found
}

/// By way of the directory, as far as that is known.
fn going_on(union: &Union, prefix: &[u8], rest: &[u8]) -> Option<Vec<usize>> {
    let mut found = Vec::new();
    let lead = union.lead(prefix)?;
    union.go_on(lead, rest, &mut |member| found.push(member)).then_some(found)
}

proptest! {
    #[test]
    fn accepts_what_each_member_accepts(
        patterns in prop::collection::vec(r"[ab/.*|\[\]^\\b$]{1,8}", 0..12),
        paths in prop::collection::vec(("[ab/]{0,6}", "[ab/\u{e9}\n]{0,6}"), 1..12),
    ) {
        let good = |pattern: &String| Pattern::new(pattern).is_ok_and(|p| p.sieve().is_some());
        let members = sieves(&patterns.into_iter().filter(good).collect::<Vec<_>>());
        let union = Union::new(members.clone());
        for (prefix, rest) in paths {
            let path = format!("{prefix}{rest}");
            let alone = each_alone(&members, path.as_bytes());
            prop_assert_eq!(&accepting(&union, path.as_bytes()), &alone);
            prop_assert_eq!(going_on(&union, prefix.as_bytes(), rest.as_bytes()), Some(alone));
        }
    }
}

/// Which of the letters a path has had so far is a state: there are more than fit.
#[test]
fn what_does_not_fit_is_forgotten_and_nothing_escapes() {
    let letters = "abcdefghijklm";
    let patterns: Vec<_> = letters.chars().map(|letter| format!(".*{letter}.*")).collect();
    let members = sieves(&patterns);
    let union = Union::new(members.clone());
    let early = union.lead(b"/abc/").unwrap();
    assert!(union.go_on(early, b"x", &mut |_| ()));
    let subsets = 0..1u32 << letters.len();
    for subset in subsets.map(|n| n.reverse_bits() >> (32 - letters.len())) {
        let has = |place: &usize| subset >> place & 1 == 1;
        let path: String = (0..letters.len()).filter(has).map(|at| &letters[at..=at]).collect();
        assert_eq!(accepting(&union, path.as_bytes()), each_alone(&members, path.as_bytes()));
    }
    assert!(!union.go_on(early, b"x", &mut |_| ()), "it is of a memory that was forgotten");
    let late = union.lead(b"/abc/").unwrap();
    assert!(late != early && union.go_on(late, b"x", &mut |_| ()));
}

/// A path on which more states lie than there is room for.
#[test]
fn a_path_that_does_not_fit_at_all_is_followed_all_the_same() {
    let members = sieves(&["(a{61})*", "(a{67})*", "(aaa)*", ".*b"].map(str::to_owned));
    let union = Union::new(members.clone());
    for length in [3 * 61 * 67 - 1, 3 * 61 * 67, 9000] {
        let path = vec![b'a'; length];
        assert_eq!(accepting(&union, &path), each_alone(&members, &path), "{length}");
    }
    assert!(union.lead(&[b'a'; 6000]).is_none());
}

#[test]
fn threads_that_meet_the_same_states_agree() {
    let patterns: Vec<_> = (0..200).map(|n| format!("(^|.*/)dir{n}/[a-z]*{n}")).collect();
    let members = sieves(&patterns);
    for _ in 0..20 {
        let union = Union::new(members.clone());
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (union, members) = (&union, &members);
                scope.spawn(move || {
                    for n in (0..200).map(|n| (n + 50 * thread) % 200) {
                        let path = format!("/mnt/dir{n}/file{n}");
                        let alone = each_alone(members, path.as_bytes());
                        assert_eq!(accepting(union, path.as_bytes()), alone);
                        assert_eq!(alone, [n]);
                    }
                });
            }
        });
    }
}
