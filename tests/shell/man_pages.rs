//! The pages as man(1) sets them.

use std::fs;
use std::process::Command;

use super::common::{scratch, slowfs, stdout_of, text_of};

#[test]
fn groff_sets_every_page_and_finds_nothing() {
    let dir = scratch();
    let pages = dir.path().join("man1");
    let told = stdout_of(slowfs().arg("man-pages").arg(&pages));
    let all: Vec<_> = fs::read_dir(&pages).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(told.starts_with(&format!("{} man pages are in ", all.len())), "{told}");
    assert!(all.len() > 40, "{told}");
    let mut groff = Command::new("groff");
    let output = groff.args(["-ww", "-man", "-Tutf8", "-P-cbou"]).args(&all).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", text_of(&output));
    let text = text_of(&output);
    for part in [
        "slowfs-delay - ",
        "slowfs delay [OPTIONS] --methods METHOD,... TIME|DISTRIBUTION",
        "slowfs delay 300ms -m fsync,fdatasync -r '(^|.*/)member/wal/.*'",
        "SLOWFS_ADDR",
        "/etc/fuse.conf",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn they_are_the_same_each_time_and_a_place_that_cannot_be_is_named() {
    let dir = scratch();
    let write = |name: &str| {
        let into = dir.path().join(name);
        stdout_of(slowfs().arg("man-pages").arg(&into));
        fs::read(into.join("slowfs-mount.1")).unwrap()
    };
    assert_eq!(write("a"), write("b"));
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let refused = slowfs().arg("man-pages").arg(&file).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text_of(&refused).contains(&format!("cannot make {}", file.display())));
}
