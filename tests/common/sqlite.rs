//! SQLite, by its shell.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use super::text_of;

/// A session of the shell of SQLite.
pub struct Session {
    shell: Child,
    answers: BufReader<ChildStdout>,
}

impl Session {
    /// A shell that has run these statements.
    pub fn start(database: &Path, setup: &str) -> Session {
        let mut shell = Command::new("sqlite3");
        shell.arg(database).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().expect("this test needs sqlite3");
        let answers = BufReader::new(shell.stdout.take().unwrap());
        let mut session = Session { shell, answers };
        session.ask(setup);
        session
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.shell.id()
    }

    /// Runs these statements to their end.
    pub fn ask(&mut self, statements: &str) {
        let stdin = self.shell.stdin.as_mut().unwrap();
        writeln!(stdin, "{statements}\nSELECT 'done';").unwrap();
        let mut line = String::new();
        while line.trim() != "done" {
            line.clear();
            assert_ne!(self.answers.read_line(&mut line).unwrap(), 0, "sqlite3 has ended");
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}

/// What a shell of its own answers.
pub fn ask_once(database: &Path, statements: &str) -> String {
    let output = Command::new("sqlite3").arg(database).arg(statements).output().unwrap();
    text_of(&output).trim().to_owned()
}
