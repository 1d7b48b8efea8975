//! The files of `src`, and who of them uses whom: what `tests/layers.rs` looks at.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
pub(crate) struct Source {
    /// The path below `src` without its ending: `fs/serve`, `daemon/mod`.
    pub(crate) name: String,
    /// Without comments and unit tests.
    pub(crate) code: String,
}

/// A path from the crate's root.
pub(crate) type Module = Vec<String>;

impl Source {
    /// `src/fs/serve.rs` is of room `fs`.
    pub(crate) fn room(&self) -> &str {
        self.name.split('/').next().unwrap()
    }

    /// The path of its module: `["fs", "serve"]`.
    fn module(&self) -> Module {
        let mut path: Vec<_> = self.name.split('/').map(str::to_owned).collect();
        path.pop_if(|last| *last == "mod");
        path
    }

    /// What it imports, as written, and whether it only hands that on (`pub use`).
    fn imports(&self) -> Vec<(String, bool)> {
        let mut imports = Vec::new();
        for (at, _) in self.code.match_indices("use ") {
            let before = self.code[..at].rsplit('\n').next().unwrap_or_default().trim();
            if before.is_empty() || before.starts_with("pub") {
                let statement = self.code[at + 4..].split(';').next().unwrap_or_default();
                let all = spread(statement).into_iter();
                imports.extend(all.map(|path| (path, !before.is_empty())));
            }
        }
        imports
    }

    /// The paths in its code, as written, that begin at a root or above.
    fn paths(&self) -> Vec<String> {
        let mut paths = Vec::new();
        for root in ["crate::", "super::", "self::", "slowfs::"] {
            for (at, _) in self.code.match_indices(root) {
                let before = &self.code[..at];
                let goes_on = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
                let statement = before.rsplit([';', '{', '}']).next().unwrap_or_default();
                let imports = statement.split_whitespace().any(|word| word == "use");
                if !before.ends_with(goes_on) && !imports {
                    let path = &self.code[at..];
                    let end = path.find(|c| !goes_on(c)).unwrap_or(path.len());
                    paths.push(path[..end].to_owned());
                }
            }
        }
        paths
    }
}

/// All files, and who of them uses whom.
pub(crate) struct House {
    pub(crate) sources: Vec<Source>,
    /// The place of each module's file among them.
    files: HashMap<Module, usize>,
    /// What a module hands on as its own, and where that is.
    handed_on: HashMap<Module, Module>,
}

impl House {
    pub(crate) fn new(sources: Vec<Source>) -> House {
        let files = sources.iter().enumerate().map(|(place, file)| (file.module(), place));
        let mut house = House { files: files.collect(), sources, handed_on: HashMap::new() };
        for file in &house.sources {
            for (path, _) in file.imports().into_iter().filter(|(_, handed_on)| *handed_on) {
                let own_name = path.split(" as ").last().and_then(|path| path.rsplit("::").next());
                let name = own_name.unwrap_or_default().trim().to_owned();
                let found = house.resolve(file, &path);
                house.handed_on.extend(found.map(|found| (with(file.module(), name), found)));
            }
        }
        house
    }

    /// From the crate's root what a file writes as `super::word`, or as `word` where that is a part of it.
    fn resolve(&self, file: &Source, word: &str) -> Option<Module> {
        let word = word.split(" as ").next().unwrap_or_default();
        let parts: Vec<_> = word.split("::").map(str::trim).collect();
        let mut base = file.module();
        let up = match parts[0] {
            "crate" | "slowfs" => {
                base.clear();
                1
            }
            "super" => {
                let up = parts.iter().take_while(|part| **part == "super").count();
                base.truncate(base.len().checked_sub(up)?);
                up
            }
            "self" => 1,
            part if self.files.contains_key(&with(base.clone(), part.to_owned())) => 0,
            _ => return None,
        };
        base.extend(parts[up..].iter().map(|part| (*part).to_owned()));
        Some(base)
    }

    /// The paths of all that a file uses: imports, grouped ones too, and paths in code.
    pub(crate) fn uses(&self, file: &Source) -> Vec<Module> {
        let paths = file.imports().into_iter().map(|(path, _)| path).chain(file.paths());
        paths.filter_map(|path| self.resolve(file, &path)).collect()
    }

    /// The files that a file uses, whoever hands on what it takes from them; but for those that it is a part of.
    pub(crate) fn uses_files(&self, file: &Source) -> BTreeSet<usize> {
        let imports = file.imports().into_iter().filter(|(_, handed_on)| !handed_on);
        let paths = imports.map(|(path, _)| path).chain(file.paths());
        let used = paths.filter_map(|path| self.file_of(self.resolve(file, &path)?));
        let own = file.module();
        used.filter(|other| !own.starts_with(&self.sources[*other].module())).collect()
    }

    fn file_of(&self, mut path: Module) -> Option<usize> {
        // What is handed on may be handed on again.
        for _ in 0..8 {
            let handed_on: Option<Module> = (1..=path.len()).rev().find_map(|n| {
                let found = self.handed_on.get(&path[..n])?;
                Some(found.iter().chain(&path[n..]).cloned().collect())
            });
            match handed_on {
                Some(further) if further != path => path = further,
                _ => break,
            }
        }
        (1..=path.len()).rev().find_map(|n| self.files.get(&path[..n])).copied()
    }
}

fn with(mut module: Module, part: String) -> Module {
    module.push(part);
    module
}

/// The single imports of a grouped one: `a::{b, c::{d, e}}` is `a::b`, `a::c::d`, `a::c::e`.
fn spread(import: &str) -> Vec<String> {
    let import = import.trim();
    let Some((before, group)) = import.split_once('{') else { return vec![import.to_owned()] };
    let group = group.trim_end().strip_suffix('}').unwrap_or(group);
    let (mut depth, mut members) = (0, vec![String::new()]);
    for c in group.chars() {
        match c {
            ',' if depth == 0 => members.push(String::new()),
            c => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                members.last_mut().unwrap().push(c);
            }
        }
    }
    let members = members.iter().filter(|member| !member.trim().is_empty());
    members.flat_map(|member| spread(member)).map(|member| format!("{before}{member}")).collect()
}

pub(crate) fn sources() -> Vec<Source> {
    fn find(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                find(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    find(&src, &mut files);
    assert!(files.len() > 20, "only {} files found below {}", files.len(), src.display());
    let read = |file: PathBuf| {
        let text = fs::read_to_string(&file).unwrap();
        let text = without_unit_tests(&text);
        let code = text.lines().map(|line| line.split("//").next().unwrap_or_default());
        Source {
            name: file.with_extension("").strip_prefix(&src).unwrap().display().to_string(),
            code: code.collect::<Vec<_>>().join("\n"),
        }
    };
    files.into_iter().map(read).collect()
}

/// A file without the modules of tests that it has in it; those of other files stay declared.
fn without_unit_tests(text: &str) -> String {
    let mut code = String::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_body =
            |next: &&str| next.ends_with(" {") && next.split(' ').any(|word| word == "mod");
        if line == "#[cfg(test)]" && lines.peek().is_some_and(is_body) {
            lines.by_ref().find(|line| *line == "}");
        } else {
            code.push_str(line);
            code.push('\n');
        }
    }
    code
}

#[test]
fn only_tests_are_left_out() {
    let text = "#[cfg(test)]\nmod tests;\nuse a::B;\n#[cfg(test)]\npub(crate) mod tests {\n    use c::D;\n}\nuse e::F;\n";
    assert_eq!(without_unit_tests(text), "#[cfg(test)]\nmod tests;\nuse a::B;\nuse e::F;\n");
}

#[test]
fn what_a_front_hands_on_is_of_its_file() {
    let file = |(name, code): (&str, &str)| Source { name: name.into(), code: code.into() };
    let house = House::new(
        [
            ("a/mod", "mod b;\npub use b::{B, C as D};\nuse self::e::E;\n"),
            ("a/b", "use super::e;\n"),
            ("a/e/mod", "mod f;\npub(super) use self::f::F;\nuse f::G;\n"),
            ("a/e/f", "fn f(_: super::super::B) -> crate::a::D {}\n"),
            ("a/g", "use crate::a::{D, e::F};\n"),
        ]
        .map(file)
        .into(),
    );
    let used = |place: usize| {
        let used = house.uses_files(&house.sources[place]).into_iter();
        used.map(|place| house.sources[place].name.as_str()).collect::<Vec<_>>()
    };
    assert_eq!([0, 1, 2].map(used), [vec!["a/e/mod"], vec!["a/e/mod"], vec!["a/e/f"]]);
    assert_eq!([3, 4].map(used), [vec!["a/b"], vec!["a/b", "a/e/f"]]);
}

#[test]
fn grouped_imports_are_read() {
    let spread = |import| spread(import).join(" ");
    assert_eq!(spread("crate::fs"), "crate::fs");
    assert_eq!(
        spread("crate::{fs, rpc::{self, Client}}"),
        "crate::fs crate::rpc::self crate::rpc::Client"
    );
    assert_eq!(spread("a::{b::{c, d}, e::{f}}"), "a::b::c a::b::d a::e::f");
}
