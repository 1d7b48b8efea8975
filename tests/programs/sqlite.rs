//! SQLite: several processes move money between accounts while others count it, all are killed in
//! the middle, and then no committed transfer may be missing and none be there by half.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};

use crate::common::{long_or, stdout_of};
use crate::{Check, as_nobody, nobodys, wait_for};

cases!(in_memory: rollback_journal, write_ahead_log);

const WRITERS: u64 = 3;
const READERS: u64 = 2;
const ACCOUNTS: u64 = 100;
const BALANCE: u64 = 1000;

/// What every session begins with. Readers map the file: SQLite then mixes loads from the mapping
/// with writes through system calls.
const SETUP: &str = ".timeout 100000\nPRAGMA synchronous=FULL;\nPRAGMA wal_autocheckpoint=30;\n";
const MAPPED: &str = "PRAGMA mmap_size=100000000;\n";
/// Comes before the first answer that counts.
const READY: &str = "ready";

fn rollback_journal(dir: &Path) -> Check {
    transfers(dir, &["delete", "truncate", "persist"])
}

fn write_ahead_log(dir: &Path) -> Check {
    transfers(dir, &["wal"])
}

#[test]
fn a_lost_transfer_is_noticed() {
    crate::must_notice(crate::in_memory, write_ahead_log, |dir| {
        sql(&dir.join("sqlite/bank.db"), "DELETE FROM transfer WHERE n = 2;");
    });
}

/// Rounds of transfers, each with one of these kinds of journal, all ended by SIGKILL.
fn transfers(dir: &Path, journals: &[&str]) -> Check {
    let database = nobodys(dir.join("sqlite")).join("bank.db");
    let ids = format!("SELECT 0 UNION ALL SELECT id + 1 FROM ids WHERE id < {ACCOUNTS} - 1");
    let tables = format!(
        "PRAGMA journal_mode={};
         CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL);
         CREATE TABLE transfer(writer, n, source, target, memo, PRIMARY KEY(writer, n));
         CREATE INDEX sources ON transfer(source);
         CREATE INDEX targets ON transfer(target);
         WITH RECURSIVE ids(id) AS ({ids}) INSERT INTO account SELECT id, {BALANCE} FROM ids;",
        journals[0]
    );
    sql(&database, &tables);
    let mut committed = Vec::new();
    for (round, journal) in (0..long_or(30, 3)).zip(journals.iter().cycle()) {
        check(&database, &committed);
        committed.extend(round_of_transfers(&database, journal, round * WRITERS));
    }
    Box::new(move |dir| {
        check(&dir.join("sqlite/bank.db"), &committed);
        let (sum, sessions) = (committed.iter().sum::<u64>(), committed.len());
        println!("{sum} transfers by {sessions} writers that were killed: none is lost");
    })
}

/// Has the writers work until enough is committed, kills everybody, and says how many transfers of
/// each writer were reported as committed.
fn round_of_transfers(database: &Path, journal: &str, first: u64) -> Vec<u64> {
    let setup = format!("{SETUP}PRAGMA journal_mode={journal};\n");
    let writer = |w| Session::start(database, &setup, move |n| transfer(w, n), |n| n.to_string());
    let count = |_| "SELECT sum(balance) FROM account;\n".to_owned();
    let all = |_| (ACCOUNTS * BALANCE).to_string();
    let setup_mapped = format!("{setup}{MAPPED}");
    let mut readers: Vec<_> =
        (0..READERS).map(|_| Session::start(database, &setup_mapped, count, all)).collect();
    let mut writers: Vec<_> = (first..first + WRITERS).map(writer).collect();
    let enough = long_or(100, 60);
    wait_for("transfers to be committed and money to be counted", || {
        writers.iter_mut().chain(&mut readers).for_each(Session::must_live);
        let done: u64 = writers.iter().map(Session::done).sum();
        (done >= enough && readers.iter().all(|r| r.done() > 0)).then_some(())
    });
    writers.iter_mut().chain(&mut readers).for_each(Session::kill);
    readers.into_iter().for_each(|reader| assert!(reader.end() > 0));
    writers.into_iter().map(Session::end).collect()
}

/// One transfer, which answers its number when it is committed.
fn transfer(writer: u64, n: u64) -> String {
    let (source, target) = ((writer + 7 * n) % ACCOUNTS, (3 * writer + 11 * n + 1) % ACCOUNTS);
    format!(
        "BEGIN IMMEDIATE;
         UPDATE account SET balance = balance - 1 WHERE id = {source};
         UPDATE account SET balance = balance + 1 WHERE id = {target};
         INSERT INTO transfer VALUES({writer}, {n}, {source}, {target}, printf('%0700d', {n}));
         COMMIT;
         SELECT {n};\n"
    )
}

/// What SQLite and the accounts themselves say of a database in which each writer has this many
/// transfers committed; one more may have been, when it was killed before it could say so.
fn check(database: &Path, committed: &[u64]) {
    assert_eq!(sql(database, "PRAGMA integrity_check;"), ["ok"]);
    let wrong = format!(
        "SELECT count(*) FROM account WHERE balance <> {BALANCE}
             + (SELECT count(*) FROM transfer WHERE target = id)
             - (SELECT count(*) FROM transfer WHERE source = id);
         SELECT count(*) FROM transfer WHERE memo <> printf('%0700d', n);"
    );
    assert_eq!(sql(database, &wrong), ["0", "0"]);
    // In the order of the writers, one that has committed nothing too.
    let writers = format!(
        "WITH RECURSIVE writers(w) AS (SELECT 0 UNION ALL SELECT w + 1 FROM writers LIMIT {})
         SELECT count(n), total(n) FROM writers LEFT JOIN transfer ON writer = w GROUP BY w;",
        committed.len()
    );
    let there = sql(database, &writers);
    assert_eq!(there.len(), committed.len());
    for (there, known) in there.iter().zip(committed) {
        let exactly = |n: u64| format!("{n}|{:.1}", n as f64 * (n as f64 + 1.0) / 2.0);
        assert!([exactly(*known), exactly(known + 1)].contains(there), "{known}: {there}");
    }
}

/// The lines that SQLite answers.
fn sql(database: &Path, statements: &str) -> Vec<String> {
    let answer =
        stdout_of(as_nobody("sqlite3").args(["-batch", "-bail"]).arg(database).arg(statements));
    answer.lines().map(str::to_owned).collect()
}

/// A process that runs statements until it is killed.
struct Session {
    process: Child,
    /// Answers so far.
    done: Arc<AtomicU64>,
    answers: Option<JoinHandle<()>>,
}

impl Session {
    /// Runs statement 1, 2, 3 ..., each of which must give its answer.
    fn start(
        database: &Path,
        setup: &str,
        statement: impl Fn(u64) -> String + Send + 'static,
        answer: impl Fn(u64) -> String + Send + 'static,
    ) -> Session {
        let mut command = as_nobody("stdbuf");
        command.args(["-oL", "sqlite3", "-batch", "-bail"]).arg(database);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = process.stdin.take().unwrap();
        let setup = format!("{setup}SELECT '{READY}';\n");
        thread::spawn(move || {
            let _ = stdin.write_all(setup.as_bytes());
            // The pipe breaks when the process is killed.
            (1..).try_for_each(|n| stdin.write_all(statement(n).as_bytes()))
        });
        let done = Arc::new(AtomicU64::new(0));
        let counted = done.clone();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let answers = thread::spawn(move || {
            for (n, line) in (1..).zip(lines.skip_while(|line| line != READY).skip(1)) {
                assert_eq!(line, answer(n));
                counted.store(n, Ordering::Relaxed);
            }
        });
        Session { process, done, answers: Some(answers) }
    }

    fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// A session that ended by itself was refused something.
    fn must_live(&mut self) {
        let ended = self.process.try_wait().unwrap();
        let answers = self.answers.as_ref().is_some_and(|answers| !answers.is_finished());
        assert!(ended.is_none() && answers, "SQLite ended: {ended:?}");
    }

    fn kill(&mut self) {
        self.process.kill().unwrap();
    }

    /// How much it had answered when it was killed.
    fn end(mut self) -> u64 {
        self.process.wait().unwrap();
        self.answers.take().unwrap().join().unwrap();
        self.done()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
