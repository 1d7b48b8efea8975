//! The program of tests/aio: operations that have no safe form here, asynchronous ones above all.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

/// The program, compiled at its first use.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aio/aio.c");
        let program =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("aio-{}", std::process::id()));
        let mut compiler = Command::new("cc");
        compiler.args(["-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-o"]).arg(&program);
        compiler.arg(source).args(["-laio", "-luring", "-pthread"]);
        let output = compiler.output().expect("cc runs");
        assert!(output.status.success(), "scripts/setup test: {}", super::text_of(&output));
        // One name for all, that none of those who compile it finds half written.
        let shared = program.with_file_name("aio");
        std::fs::rename(program, &shared).unwrap();
        shared
    })
}

/// What became of one operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// As it was asked for.
    pub word: String,
    /// Bytes, or a negated errno.
    pub result: i64,
    /// The byte that was read throughout, or `mixed`.
    pub byte: String,
}

/// A running program, with its file open.
pub struct Aio {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Aio {
    /// Opens `file` with these flags; `engine` is libaio, uring or plain.
    pub fn new(engine: &str, file: &Path, flags: &str) -> Aio {
        let mut command = Command::new(program());
        command.args([engine]).arg(file).arg(flags);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stdin = child.stdin.take();
        let mut aio = Aio { child, stdin, stdout };
        // Its file is open once it answers.
        assert_eq!(aio.batch(""), []);
        aio
    }

    /// Has a batch carried out, and returns what became of each operation.
    pub fn batch(&mut self, words: &str) -> Vec<Done> {
        writeln!(self.stdin.as_mut().unwrap(), "{words}").unwrap();
        let mut all = Vec::new();
        loop {
            let mut line = String::new();
            assert!(self.stdout.read_line(&mut line).unwrap() > 0, "the program has ended");
            let mut parts = line.split_whitespace();
            let word = parts.next().unwrap().to_owned();
            if word == "done" {
                return all;
            }
            let result = parts.next().unwrap().parse().unwrap();
            all.push(Done { word, result, byte: parts.next().unwrap_or_default().to_owned() });
        }
    }

    /// The results of a batch alone.
    pub fn results(&mut self, words: &str) -> Vec<i64> {
        self.batch(words).into_iter().map(|done| done.result).collect()
    }
}

impl Drop for Aio {
    fn drop(&mut self) {
        // At the end of its input it ends.
        self.stdin = None;
        let _ = self.child.wait();
    }
}
