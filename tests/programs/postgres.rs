//! PostgreSQL: pgbench's transactions outlive crashes of the server, its sums agree, and amcheck
//! and the data checksums find nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::common::{long_or, stdout_of, text_of};
use crate::server::Server;
use crate::{Check, PATIENCE, as_nobody, nobodys};

cases!(in_memory: pgbench);

const CLIENTS: u64 = 4;
/// With the first, PostgreSQL writes its log and then syncs it; with the second (O_DSYNC), writing
/// is syncing.
const SYNC_METHODS: [&str; 2] = ["fdatasync", "open_datasync"];

fn pgbench(dir: &Path) -> Check {
    let data = nobodys(dir.join("postgres"));
    let mut init = tool("initdb");
    init.args(["--username=postgres", "--auth=trust", "--no-locale", "--data-checksums"]);
    // Small log segments: many are made, renamed and removed. The first recovery syncs every file.
    init.args(["--wal-segsize=1", "--no-sync"]).arg("--pgdata").arg(&data);
    stdout_of(&mut init);
    let server = serve(&data, SYNC_METHODS[0]);
    stdout_of(client(&data, "pgbench").args(["--initialize", "--quiet"]));
    server.kill();
    let crashes = long_or(20, 2);
    let mut committed = 0;
    for crash in 0..crashes {
        let server = serve(&data, SYNC_METHODS[crash as usize % 2]);
        must_hold(&data, committed, crash);
        committed += bench_until_crash(&data, || match crash % 4 {
            0 | 3 => server.kill(),
            // What `pg_ctl stop -m immediate` does: no checkpoint, no farewell.
            _ => drop(server.end(Signal::QUIT)),
        });
    }
    Box::new(move |dir| {
        let data = dir.join("postgres");
        let server = serve(&data, SYNC_METHODS[0]);
        must_hold(&data, committed, crashes);
        stdout_of(client(&data, "pg_amcheck").args(["--install-missing", "--heapallindexed"]));
        // Fast: with a last checkpoint, as pg_checksums wants it.
        assert!(server.end(Signal::INT).success());
        let said = stdout_of(tool("pg_checksums").arg("--check").arg("--pgdata").arg(&data));
        assert!(said.contains("Bad checksums:  0"), "{said}");
        println!("{committed} transactions, {crashes} crashes: none is lost");
    })
}

/// Runs pgbench with a checkpoint in the middle, until enough is committed, and crashes the server.
/// Says how many transactions pgbench knows to be committed.
fn bench_until_crash(data: &Path, crash: impl FnOnce()) -> u64 {
    let rows: u64 = query(data, "SELECT count(*) FROM pgbench_history").parse().unwrap();
    let clients = CLIENTS.to_string();
    let mut bench = client(data, "pgbench");
    bench.args(["--no-vacuum", "--time=3600", "--jobs=2", "--client", &clients]);
    let bench = bench.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let enough = long_or(1000, 200);
    wait_for_rows(data, rows + enough / 2);
    query(data, "CHECKPOINT");
    wait_for_rows(data, rows + enough);
    crash();
    let said = text_of(&bench.wait_with_output().unwrap());
    let processed = said.split("actually processed: ").nth(1).expect(&said);
    processed.lines().next().unwrap().parse().expect(&said)
}

/// Waits inside the server, which takes no time from it.
fn wait_for_rows(data: &Path, rows: u64) {
    let enough = format!("(SELECT count(*) >= {rows} FROM pgbench_history)");
    let pause = "PERFORM pg_sleep(0.005)";
    query(data, &format!("DO $$ BEGIN WHILE NOT {enough} LOOP {pause}; END LOOP; END $$"));
}

/// Every transaction adds its delta to one row of each of three tables, and itself to the history.
/// Those that were under way in a crash may have been committed too, one of each client.
fn must_hold(data: &Path, committed: u64, crashes: u64) {
    let sums = query(
        data,
        "SELECT (SELECT sum(abalance) FROM pgbench_accounts) = sum(delta)
            AND (SELECT sum(bbalance) FROM pgbench_branches) = sum(delta)
            AND (SELECT sum(tbalance) FROM pgbench_tellers) = sum(delta)
            OR count(*) = 0, count(*) FROM pgbench_history",
    );
    let (equal, rows) = sums.split_once('|').unwrap();
    assert_eq!(equal, "t", "{sums}");
    let rows: u64 = rows.parse().unwrap();
    let possible = committed..=committed + crashes * CLIENTS;
    assert!(possible.contains(&rows), "{rows} rows, {possible:?} are possible");
}

fn serve(data: &Path, sync_method: &str) -> Server {
    let mut command = tool("postgres");
    command.arg("-D").arg(data).args(["-c", "listen_addresses=", "-c"]);
    command.arg(format!("unix_socket_directories={}", data.display()));
    command.args(["-c", &format!("wal_sync_method={sync_method}")]);
    Server::start(&mut command)
}

/// What a query answers, unadorned.
fn query(data: &Path, query: &str) -> String {
    let options = ["--no-psqlrc", "--tuples-only", "--no-align", "--command", query];
    stdout_of(client(data, "psql").args(options)).trim().to_owned()
}

/// A program that talks to the server.
fn client(data: &Path, name: &str) -> Command {
    let mut command = tool(name);
    command.env("PGHOST", data).env("PGUSER", "postgres").env("PGDATABASE", "postgres");
    command.env("PGOPTIONS", format!("-c statement_timeout={}", PATIENCE.as_millis()));
    command
}

/// A program of PostgreSQL's newest version that is installed; Debian has them out of PATH.
fn tool(name: &str) -> Command {
    let versions = std::fs::read_dir("/usr/lib/postgresql").expect("PostgreSQL is installed");
    let version = |path: &PathBuf| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|v| v.unwrap().path()).filter(|p| p.join("bin/postgres").exists());
    as_nobody(newest.max_by_key(version).expect("PostgreSQL's server").join("bin").join(name))
}
