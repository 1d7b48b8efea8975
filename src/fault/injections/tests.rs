use super::*;
use crate::ops::MethodSet;

const FILE: FileKey = FileKey { dev: 1, number: 2, born: 3 };

fn source() -> Source {
    Source { fault: Some(FaultId(1)), name: None, kind: "corrupt", method: "write" }
}

fn place(path: &str) -> Place {
    Place { file: FILE, path: path.as_bytes().into() }
}

fn wrong(offset: u64, should: &[u8], is: &[u8]) -> Wrong {
    Wrong { offset, should: should.into(), is: is.into() }
}

#[derive(Default)]
struct Kept {
    injected: Injected,
    mask: MaskWord,
}

impl Kept {
    fn of(wrongs: Vec<Wrong>) -> Kept {
        let kept = Kept::default();
        kept.add(wrongs);
        kept
    }

    fn all(&self) -> Injections<'_> {
        Injections::new(&self.injected, &self.mask)
    }

    fn add(&self, wrongs: Vec<Wrong>) {
        self.all().add(&source(), &place("/f"), wrongs);
    }

    fn left(&self, id: u64) -> Vec<Wrong> {
        self.all().wounds(&[id], 0, 1).pop().and_then(|wound| wound.left).unwrap_or_default()
    }

    fn states(&self) -> Vec<State> {
        self.all().page(0, 100).injections.iter().map(|told| told.state).collect()
    }
}

#[test]
fn only_bytes_that_differ_are_wrong() {
    assert_eq!(Wrong::found(10, b"abcdef", b"abXdYf"), Some(wrong(12, b"cde", b"XdY")));
    assert_eq!(Wrong::found(10, b"abc", b"abc"), None);
    assert_eq!(Wrong::found(10, b"abcd", b"ab"), Some(wrong(12, b"cd", b"")));
    assert_eq!(Wrong::found(10, b"abcd", b"aX"), Some(wrong(11, b"bcd", b"X")));
}

#[test]
fn what_is_written_over_is_over_there_and_nowhere_else() {
    let kept = Kept::of(vec![wrong(100, b"abcdef", b"ABCDEF")]);
    assert!(kept.mask.load().guards() && kept.mask.load().methods() == MethodSet::EMPTY);
    kept.all().overwritten(FILE, 102..104);
    assert_eq!(kept.left(1), [wrong(100, b"ab", b"AB"), wrong(104, b"ef", b"EF")]);
    kept.all().overwritten(FileKey { born: 4, ..FILE }, 0..1000);
    assert_eq!(kept.all().page(0, 1).injections[0].left, 4);
    kept.all().overwritten(FILE, 0..101);
    kept.all().overwritten(FILE, 101..200);
    assert_eq!(kept.states(), [State::Overwritten]);
    assert!(kept.left(1).is_empty() && !kept.all().concern(FILE));
    assert_eq!(kept.all().page(0, 1).bytes, 0, "and its bytes are given back");
}

#[test]
fn a_later_injection_ends_an_earlier_one_where_it_lies() {
    let kept = Kept::of(vec![wrong(0, b"aaaa", b"bbbb"), wrong(2, b"cccc", b"dddd")]);
    assert_eq!(kept.left(1), [wrong(0, b"aa", b"bb")]);
    assert_eq!(kept.left(2), [wrong(2, b"cccc", b"dddd")]);
    kept.all().end(2, State::Healed);
    kept.all().end(2, State::Gone);
    assert_eq!(kept.states(), [State::Standing, State::Healed]);
    kept.all().end(1, State::Healed);
    assert!(!kept.all().concern(FILE));
}

#[test]
fn what_was_right_before_several_is_known() {
    let kept = Kept::of(vec![wrong(0, b"aaaa", b"bbbb"), wrong(2, b"cccc", b"dddd")]);
    let mut bytes = *b"XbbddddX";
    kept.all().correct(FILE, 0, &mut bytes[1..]);
    assert_eq!(&bytes, b"XaaccccX");
}

#[test]
fn what_was_written_over_unseen_is_what_should_be_there() {
    // Also where some of its bytes are as they were.
    for there in [b"nnnn", b"nbnn", b"bbbn"] {
        let kept = Kept::of(vec![wrong(2, b"aaaa", b"bbbb")]);
        let mut should = there.to_vec();
        kept.all().correct(FILE, 2, &mut should);
        assert_eq!(should, there);
        // It rots, and is healed.
        kept.add(vec![wrong(2, &should, b"rrrr")]);
        assert_eq!(kept.states(), [State::Overwritten, State::Standing]);
        assert_eq!(kept.left(2), [wrong(2, there, b"rrrr")]);
    }
    let kept = Kept::of(vec![wrong(0, b"aaaa", b"b")]);
    let mut should = *b"bn";
    kept.all().correct(FILE, 0, &mut should);
    assert_eq!(&should, b"bn", "the file ended there");
}

#[test]
fn operations_are_looked_at_while_anything_stands() {
    let kept = Kept::of(vec![wrong(0, b"a", b"b"), wrong(9, b"a", b"b")]);
    let guards = || kept.mask.load().guards();
    kept.all().overwritten(FILE, 0..1);
    assert!(guards(), "the other one stands");
    kept.all().overwritten(FILE, 0..100);
    assert!(!guards());
    kept.add(vec![wrong(0, b"a", b"b")]);
    assert!(guards());
    kept.all().end(3, State::Healed);
    assert!(!guards());
    kept.all().add_transient(&source(), &place("/f"), &Wrong::default(), 1);
    assert!(kept.mask.load().is_empty());
}

#[test]
fn bytes_beyond_the_bound_are_known_by_their_digests_only() {
    let kept = Kept::of(vec![]);
    assert!(!kept.mask.load().guards());
    let half = MOST_BYTES / 4;
    for n in 0..3 {
        let wrong = wrong(n * half as u64, &vec![b'a'; half], &vec![b'b'; half]);
        // Hashing that much takes long in a debug build.
        kept.all().store.lock().add(&source(), &place("/f"), wrong, [Sha([0; 32]), Sha([1; 32])]);
    }
    let page = kept.all().page(0, 10);
    assert_eq!(
        page.injections.iter().map(|told| told.kept).collect::<Vec<_>>(),
        [true, true, false]
    );
    assert_eq!(page.bytes, MOST_BYTES as u64);
    assert_eq!(kept.all().wounds(&[3], 0, 1)[0].left, None);
    kept.all().overwritten(FILE, 0..1 << 40);
    assert_eq!(kept.all().page(0, 10).bytes, 0);
}

#[test]
fn what_is_over_goes_first_and_what_stands_is_not_dropped() {
    let kept = Kept::of(vec![wrong(0, b"a", b"b")]);
    let fill = |n| {
        for _ in 0..n {
            kept.all().add_transient(&source(), &place("/f"), &Wrong::default(), 7);
        }
    };
    fill(MOST + 5);
    let page = kept.all().page(0, 2);
    assert_eq!((page.all, page.dropped), (MOST as u64, 6));
    assert_eq!(page.injections.iter().map(|told| told.id).collect::<Vec<_>>(), [1, 8]);
    assert_eq!((page.injections[1].state, page.injections[1].len), (State::Transient, 7));
}

#[test]
fn a_file_is_found_by_its_last_path_and_told_by_the_first() {
    let kept = Kept::of(vec![wrong(0, b"a", b"b")]);
    kept.all().moved(FILE, b"/g".as_slice().into());
    assert_eq!(&*kept.all().wounds(&[], 0, 9)[0].place.path, b"/g");
    assert_eq!(&*kept.all().page(0, 1).injections[0].place.path, b"/f");
    assert!(kept.all().wounds(&[], 1, 9).is_empty());
}

#[test]
fn a_digest_is_that_of_sha256sum() {
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(Sha::of(b"abc").to_string(), abc);
}
