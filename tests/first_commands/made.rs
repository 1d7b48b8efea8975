//! What make does for people: it lists its targets, installs what was built before without cargo, takes it
//! away again, and says where Rust is too old.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Output};

use super::common::{slowfs, stdout_of, text_of};

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");

fn make(words: &[&str]) -> Command {
    let mut command = Command::new("make");
    command.current_dir(REPOSITORY).args(words).env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
    command
}

#[test]
fn alone_it_lists_every_target() {
    let told = stdout_of(&mut make(&[]));
    let makefile = fs::read_to_string(Path::new(REPOSITORY).join("Makefile")).unwrap();
    let phony = makefile.lines().find_map(|line| line.strip_prefix(".PHONY: ")).unwrap();
    let targets: Vec<_> = phony.split(' ').filter(|target| !target.starts_with('$')).collect();
    assert!(targets.contains(&"build") && targets.contains(&"uninstall"), "{targets:?}");
    let mut columns = Vec::new();
    for target in targets {
        let about = told.lines().find_map(|line| line.strip_prefix(&format!("  {target} ")));
        let about = about.unwrap_or_else(|| panic!("{target} in {told}"));
        assert!(about.trim().len() > 5, "{target} in {told}");
        columns.push(target.len() + about.len() - about.trim_start().len());
    }
    columns.dedup();
    assert_eq!(columns.len(), 1, "each begins in the same column: {told}");
}

/// A directory of PATH with what make needs, but no cargo.
fn tools(dir: &Path) -> String {
    let bin = dir.join("bin");
    fs::create_dir(&bin).unwrap();
    let needed =
        "make sh bash env install strip ln rm readlink uname id echo sed dirname cut sort head";
    for tool in needed.split(' ') {
        let found =
            stdout_of(Command::new("sh").args(["-c", &format!("command -v {tool} || true")]));
        if found.starts_with('/') {
            symlink(found.trim(), bin.join(tool)).unwrap();
        }
    }
    bin.display().to_string()
}

#[test]
fn what_was_built_is_installed_without_cargo_and_taken_away_again() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let path = tools(dir.path());
    let built = slowfs().get_program().to_str().unwrap().to_owned();
    let run = |target: &str, program: &str| -> Output {
        let program = format!("SLOWFS={program}");
        let root = format!("DESTDIR={}", root.display());
        let mut command = make(&[target, &program, &root]);
        command.env("PATH", &path).env("SUDO_USER", "somebody").output().unwrap()
    };
    let refused = run("install", "/none");
    assert!(!refused.status.success(), "{}", text_of(&refused));
    assert!(text_of(&refused).contains("`make build` first"), "{}", text_of(&refused));

    let foreign = root.join("usr/local/bin/charybdefs");
    fs::create_dir_all(foreign.parent().unwrap()).unwrap();
    fs::write(&foreign, "somebody's").unwrap();
    let installed = run("install", &built);
    assert!(installed.status.success(), "{}", text_of(&installed));
    let program = root.join("usr/local/bin/slowfs");
    assert_eq!(fs::metadata(&program).unwrap().permissions().mode() & 0o7777, 0o755);
    assert_eq!(
        stdout_of(Command::new(&program).arg("--version")),
        stdout_of(slowfs().arg("--version"))
    );
    let shared = root.join("usr/local/share");
    let files = [
        "bash-completion/completions/slowfs",
        "zsh/site-functions/_slowfs",
        "fish/vendor_completions.d/slowfs.fish",
        "man/man1/slowfs.1",
        "man/man1/slowfs-delay.1",
    ];
    for file in files {
        let mode = fs::metadata(shared.join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o644, "{file}");
    }
    let sections = stdout_of(Command::new("readelf").arg("-SW").arg(&program));
    assert!(!sections.contains(".symtab") && !sections.contains(".debug_info"), "{sections}");
    assert_eq!(
        fs::read_link(root.join("sbin/mount.slowfs")).unwrap(),
        Path::new("/usr/local/bin/slowfs")
    );
    assert_eq!(fs::read(&foreign).unwrap(), b"somebody's");

    let removed = run("uninstall", &built);
    assert!(removed.status.success(), "{}", text_of(&removed));
    assert!(!program.exists() && fs::read_link(root.join("sbin/mount.slowfs")).is_err());
    assert!(files.iter().all(|file| !shared.join(file).exists()));
    assert_eq!(fs::read_dir(shared.join("man/man1")).unwrap().count(), 0);
    assert_eq!(fs::read(&foreign).unwrap(), b"somebody's");
}

/// With this PATH, make says that and builds nothing.
fn refused(path: &str, here: &str) {
    let output = make(&["build"]).env("PATH", path).output().unwrap();
    let text = text_of(&output);
    let told = format!("slowfs needs Rust 1.88 or later, and here is {here}.");
    assert!(!output.status.success() && text.contains(&told), "{text}");
    assert!(text.contains("https://rustup.rs"), "{text}");
}

#[test]
fn a_rust_that_is_too_old_or_missing_is_told_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = tools(dir.path());
    refused(&path, "none");
    for (name, says) in [("rustc", "rustc 1.63.0"), ("cargo", "cargo 1.63.0")] {
        let program = dir.path().join("bin").join(name);
        fs::write(&program, format!("#!/bin/sh\necho {says}\n")).unwrap();
        fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    }
    refused(&path, "1.63.0");
}
