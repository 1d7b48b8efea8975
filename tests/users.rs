//! charybdefs's known users, replayed from start to stop: the scripts in tests/users do what their
//! harnesses do, against the program under charybdefs's name.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;

fn replay(user: &str) {
    alone::run(&format!(
        "export PYTHONPATH+=:$REPOSITORY/tests/users\n. $REPOSITORY/tests/users/{user}.sh"
    ));
}

#[test]
fn mongodb_and_percona() {
    replay("mongodb");
}

#[test]
fn cockroachdb_roachtest() {
    replay("cockroachdb");
}

#[test]
fn jepsen() {
    replay("jepsen");
}

#[test]
fn jepsen_where_it_is_installed() {
    replay("jepsen_installed");
}

#[test]
fn scylla_cluster_tests() {
    replay("scylla");
}

#[test]
fn a_java_client() {
    replay("java");
}

#[test]
fn go_clients() {
    replay("go");
}

#[test]
fn the_etcd_workflow() {
    replay("etcd");
}

#[test]
fn every_script_is_replayed() {
    let directory = alone::repository().join("tests/users");
    let names = std::fs::read_dir(directory).unwrap().map(|e| e.unwrap().file_name());
    let scripts: Vec<_> =
        names.filter_map(|n| n.to_str()?.strip_suffix(".sh").map(str::to_owned)).collect();
    assert!(scripts.len() >= 8, "{scripts:?}");
    for script in scripts {
        assert!(include_str!("users.rs").contains(&format!("replay({script:?})")), "{script}");
    }
}
