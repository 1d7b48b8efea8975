//! What the documents name is there: files, and the headings that links lead to.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::{Path, PathBuf};

/// Folders whose files the documents name from the root of the repository.
const FOLDERS: [&str; 12] = [
    "src/",
    "tests/",
    "benches/",
    "examples/",
    "docs/",
    "idl/",
    "scripts/",
    "fuzz/",
    "devices/",
    "python/",
    "go/",
    "packaging/",
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every document: its path from the root, and its text.
fn documents() -> Vec<(PathBuf, String)> {
    let mut documents = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = folder.join(entry.file_name());
            let is_made = ["target", "node_modules"].iter().any(|made| entry.file_name() == *made);
            if entry.file_type().unwrap().is_dir() {
                let is_hidden = entry.file_name().to_string_lossy().starts_with('.');
                folders.extend((!is_made && !is_hidden).then_some(name));
            } else if name.extension().is_some_and(|ending| ending == "md") {
                documents.push((name.clone(), fs::read_to_string(root().join(name)).unwrap()));
            }
        }
    }
    for page in ["README.md", "docs/README.md", "examples/databases/README.md", "python/README.md"]
    {
        assert!(documents.iter().any(|(name, _)| name == Path::new(page)), "{page}");
    }
    documents
}

/// Where the links of a text lead, `[text](there)`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to)
}

/// What stands between backquotes, without the code blocks between three.
fn quoted(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split('`').skip(1).step_by(2)).collect()
}

/// The anchors of a text's headings, as code hosts make them.
fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
    headings
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| heading.chars().filter(kept).collect::<String>().replace(' ', "-"))
        .collect()
}

#[test]
fn links_lead_to_files_and_headings_that_are_there() {
    let mut wrong = Vec::new();
    for (document, text) in documents() {
        for link in links(&text).filter(|link| !link.contains("://")) {
            let (file, anchor) = link.split_once('#').map_or((link, None), |(f, a)| (f, Some(a)));
            let target = match file {
                "" => root().join(&document),
                file => root().join(document.parent().unwrap()).join(file),
            };
            let there = target.exists()
                && anchor.is_none_or(|anchor| {
                    let text = fs::read_to_string(&target).unwrap();
                    anchors(&text).iter().any(|known| known == anchor)
                });
            if !there {
                wrong.push(format!("{}: {link}", document.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "links that lead nowhere:\n{}", wrong.join("\n"));
}

#[test]
fn files_that_are_named_are_there() {
    let mut wrong = Vec::new();
    let mut named = 0;
    for (document, text) in documents() {
        // What has changed is told by the names of its time.
        if document.ends_with("CHANGELOG.md") {
            continue;
        }
        let is_path = |word: &&str| FOLDERS.iter().any(|folder| word.starts_with(folder));
        for word in quoted(&text).into_iter().filter(is_path) {
            // A pattern stands for the folder that it begins with.
            let path = word.split(['*', '{', ' ']).next().unwrap();
            named += 1;
            if !root().join(path).exists() {
                wrong.push(format!("{}: {word}", document.display()));
            }
        }
    }
    assert!(named > 20, "only {named} paths found");
    assert!(wrong.is_empty(), "named, and not there:\n{}", wrong.join("\n"));
}

/// The index has a line for each page of docs/, and the README leads there and fits a few screens.
#[test]
fn the_index_has_every_page_once() {
    let index = fs::read_to_string(root().join("docs/README.md")).unwrap();
    let of_docs: Vec<_> = links(&index).filter(|link| !link.starts_with("../")).collect();
    let mut pages: Vec<_> = documents().into_iter().map(|(document, _)| document).collect();
    pages.retain(|page| page.starts_with("docs") && !page.ends_with("README.md"));
    for page in &pages {
        let name = page.file_name().unwrap().to_str().unwrap();
        assert_eq!(of_docs.iter().filter(|link| **link == name).count(), 1, "{name}");
    }
    assert_eq!(of_docs.len(), pages.len(), "{of_docs:?}");
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    assert!(links(&readme).any(|link| link == "docs/README.md"));
    let lines = readme.lines().count();
    assert!(lines <= 130, "the README has {lines} lines: move what not everybody needs to docs/");
}

#[test]
fn documents_are_read_as_they_are_written() {
    let text = "# A *b*, c-d\n[x](y.md#z) and `src/a.rs`\n```\n`not this`\n```\n`docs/b.md`\n";
    assert_eq!(links(text).collect::<Vec<_>>(), ["y.md#z"]);
    assert_eq!(quoted(text), ["src/a.rs", "docs/b.md"]);
    assert_eq!(anchors(text), ["a-b-c-d"]);
}

/// The Rust files below a directory of the tests.
fn sources(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let (dirs, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files =
        files.into_iter().filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    files.chain(dirs.iter().flat_map(|dir| sources(dir))).collect()
}

/// `make test-long` runs each file that has a long form: its whole binary, or its module of it.
#[test]
fn what_has_a_long_form_is_run_at_that_length() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let runs: Vec<Vec<&str>> = makefile
        .lines()
        .filter(|line| line.contains("SLOWFS_TESTS=long"))
        .map(|line| line.split(' ').collect())
        .collect();
    let tests = root().join("tests");
    let mut missing = Vec::new();
    for path in sources(&tests) {
        let name = path.strip_prefix(&tests).unwrap().with_extension("");
        let parts: Vec<_> = name.iter().map(|part| part.to_str().unwrap()).collect();
        let long = fs::read_to_string(&path).unwrap().contains(concat!("long_or", "("));
        if !long || parts[0] == "common" {
            continue;
        }
        let module = parts.get(1).map(|module| format!("{module}::"));
        let is_run = runs.iter().any(|words| {
            let only: Vec<_> = words.iter().filter(|word| word.ends_with("::")).collect();
            let of_it = words.windows(2).any(|two| two == ["--test", parts[0]]);
            of_it && (only.is_empty() || only.iter().any(|only| Some(**only) == module.as_deref()))
        });
        if !is_run {
            missing.push(name);
        }
    }
    assert!(missing.is_empty(), "`make test-long` does not run {missing:?}");
}
