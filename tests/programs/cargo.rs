//! Cargo and rustc: a small crate is built, run, changed and built again.

use std::fs;
use std::path::Path;

use crate::common::stdout_of;
use crate::{Check, program};

cases!(on_disk: build);

const MANIFEST: &str = "[package]\nname = \"small\"\nversion = \"1.0.0\"\nedition = \"2021\"\n";
const BUILD: &str = r#"fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let out = std::env::var("OUT_DIR").unwrap();
    std::fs::write(format!("{out}/made.rs"), "pub const WORD: &str = \"made\";").unwrap();
}"#;
const LIBRARY: &str = r#"include!(concat!(env!("OUT_DIR"), "/made.rs"));
pub fn answer() -> u32 { 42 }"#;
const MAIN: &str = r#"fn main() { println!("{} {}", small::answer(), small::WORD); }"#;

fn build(dir: &Path) -> Check {
    let small = dir.join("small");
    fs::create_dir_all(small.join("src")).unwrap();
    fs::write(small.join("Cargo.toml"), MANIFEST).unwrap();
    fs::write(small.join("build.rs"), BUILD).unwrap();
    fs::write(small.join("src/lib.rs"), LIBRARY).unwrap();
    fs::write(small.join("src/main.rs"), MAIN).unwrap();
    assert_eq!(compiled(&small), 3, "the build script, the library, the program");
    assert_eq!(said(&small), "42 made\n");
    assert_eq!(compiled(&small), 0, "nothing has changed");
    fs::write(small.join("src/main.rs"), MAIN.replace("{} {}", "{} newly {}")).unwrap();
    assert_eq!(compiled(&small), 1, "the program alone has changed");
    Box::new(|dir| assert_eq!(said(&dir.join("small")), "42 newly made\n"))
}

/// Builds, and says how many parts had to be compiled.
fn compiled(small: &Path) -> usize {
    let cargo = Path::new(env!("CARGO"));
    let path = std::env::var("PATH").unwrap();
    let mut command = program(cargo);
    // rustc lies beside cargo, whatever PATH sudo has left.
    command.env("PATH", format!("{}:{path}", cargo.parent().unwrap().display()));
    command.env("CARGO_HOME", small.join("home")).current_dir(small);
    let messages = stdout_of(command.args(["build", "--offline", "--message-format=json"]));
    messages.lines().filter(|line| line.contains("\"fresh\":false")).count()
}

fn said(small: &Path) -> String {
    stdout_of(&mut program(small.join("target/debug/small")))
}
