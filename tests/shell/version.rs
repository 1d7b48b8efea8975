//! `slowfs --version`, and the commit that a build names.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::common::{scratch, slowfs, stdout_of};

#[path = "../../build.rs"]
#[allow(dead_code, unreachable_pub, reason = "what finds the commit is tested, not the build")]
mod build;

#[test]
fn the_short_form_is_one_line_and_the_long_one_tells_of_fuse() {
    let short = stdout_of(slowfs().arg("-V"));
    assert!(short.starts_with(concat!("slowfs ", env!("CARGO_PKG_VERSION"), " (")), "{short}");
    assert_eq!(short.lines().count(), 1, "{short}");
    let long = stdout_of(slowfs().arg("--version"));
    let lines: Vec<_> = long.lines().collect();
    assert_eq!(lines[0], short.trim_end());
    assert!(lines[1].starts_with("commit: "), "{long}");
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let kernel = format!(" in Linux {release}");
    assert!(lines[2].starts_with("FUSE protocol: 7.") && lines[2].ends_with(&kernel), "{long}");
    assert!(lines[3].starts_with("kernel features: auto_inval_data"), "{long}");
}

fn git(dir: &Path, words: &[&str]) -> String {
    let mut git = Command::new("git");
    git.arg("-C").arg(dir).args(["-c", "user.name=a", "-c", "user.email=b"]).args(words);
    stdout_of(&mut git).trim_end().to_owned()
}

#[test]
fn a_build_names_the_commit_of_its_own_sources_only() {
    let dir = scratch();
    let repository = dir.path().join("repository");
    let within = repository.join("vendor/slowfs");
    fs::create_dir_all(&within).unwrap();
    assert_eq!(build::of_git(&repository), None);
    git(&repository, &["init", "--quiet"]);
    assert_eq!(build::of_git(&repository), None);
    git(&repository, &["commit", "--quiet", "--allow-empty", "-m", "one"]);
    let commit = git(&repository, &["rev-parse", "HEAD"]);
    assert_eq!(build::of_git(&repository), Some(commit));
    assert_eq!(build::of_git(&within), None);
}

#[test]
fn a_package_names_the_commit_that_it_was_made_of() {
    let dir = scratch();
    assert_eq!(build::noted(dir.path()), None);
    let noted =
        "{\n  \"git\": {\n    \"sha1\": \"0123456789abcdef\"\n  },\n  \"path_in_vcs\": \"\"\n}";
    fs::write(dir.path().join(".cargo_vcs_info.json"), noted).unwrap();
    assert_eq!(build::noted(dir.path()).as_deref(), Some("0123456789abcdef"));
}
