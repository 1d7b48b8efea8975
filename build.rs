//! Finds the commit that is built, for `slowfs --version`: it is what `SLOWFS_COMMIT` says; else what `cargo package`
//! has noted; else what git tells. Whatever builds the same commit gets the same program.
//!
//! git is asked for what is built to be used only: it moves with each commit, and what is built to be tried would be
//! built anew each time.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The variable that names the commit, here and for the program.
const VARIABLE: &str = "SLOWFS_COMMIT";

/// Where `cargo package` notes it.
const NOTED: &str = ".cargo_vcs_info.json";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed={VARIABLE}");
    let root = env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from).unwrap_or_default();
    let is_to_be_used = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if is_to_be_used {
        for path in moving(&root) {
            println!("cargo::rerun-if-changed={}", path.display());
        }
    }
    let named = env::var(VARIABLE).ok().filter(|named| !named.trim().is_empty());
    let git = || is_to_be_used.then(|| of_git(&root)).flatten();
    if let Some(commit) = named.or_else(|| noted(&root)).or_else(git) {
        println!("cargo::rustc-env={VARIABLE}={}", commit.trim());
    }
}

/// What `cargo package` has noted beside the sources.
pub fn noted(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join(NOTED)).ok()?;
    let (_, behind) = text.split_once("\"sha1\"")?;
    behind.split('"').nth(1).map(str::to_owned)
}

/// The commit that is checked out, if the repository is that of these sources and not one around them.
pub fn of_git(root: &Path) -> Option<String> {
    let told = git(root, &["rev-parse", "--show-toplevel", "HEAD"])?;
    let (top, commit) = told.split_once('\n')?;
    let is_own = fs::canonicalize(top).ok()? == fs::canonicalize(root).ok()?;
    is_own.then(|| commit.to_owned())
}

/// What changes when another commit is checked out, or one is made.
fn moving(root: &Path) -> Vec<PathBuf> {
    let told = git(root, &["rev-parse", "--git-path", "HEAD", "--git-path", "logs/HEAD"]);
    let paths = told.iter().flat_map(|told| told.lines()).map(|path| root.join(path));
    let noted = root.join(NOTED);
    // What is not there would count as changed every time.
    paths.chain([noted]).filter(|path| path.exists()).collect()
}

/// What git answers there, whoever owns the files.
fn git(root: &Path, words: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let output = command.arg("-C").arg(root).args(["-c", "safe.directory=*"]).args(words).output();
    let output = output.ok().filter(|output| output.status.success())?;
    String::from_utf8(output.stdout).ok().map(|text| text.trim_end().to_owned())
}
