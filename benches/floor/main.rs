//! The parts of `benches/floor.py` that must be fast themselves: a minimal mirror to measure against,
//! and what each row measures.
//!
//! `floor mount BACKING MOUNTPOINT` serves the minimal mirror until it is unmounted. `floor row NAME
//! DIRECTORY BACKING CLIENTS SECONDS` prints the microseconds of one operation on DIRECTORY, `floor
//! rows` the names.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a bench may fail by panic, and its numbers are small"
)]

mod minimal;
mod nodes;
mod rows;

use std::path::Path;
use std::time::Duration;

use fuser::{Config, MountOption, Session, SessionACL};
use slowfs::fs::FsOptions;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["mount", backing, mountpoint] => mount(Path::new(backing), Path::new(mountpoint)),
        ["rows"] => rows::ROWS.iter().for_each(|row| println!("{}", row.name)),
        ["row", name, directory, backing, clients, seconds] => {
            let row = rows::ROWS.iter().find(|row| row.name == name);
            let row = row.unwrap_or_else(|| panic!("no row is called {name:?}: see `floor rows`"));
            let time = Duration::from_secs_f64(seconds.parse().unwrap());
            let place = rows::Place { directory: directory.into(), backing: backing.into() };
            println!("{}", row.measure(&place, clients.parse().unwrap(), time));
        }
        _ => println!("run benches/floor.py, which runs this (`make bench`)"),
    }
}

/// Mounted, threaded and agreed with the kernel as slowfs is.
fn mount(backing: &Path, mountpoint: &Path) {
    let mut config = Config::default();
    let source = MountOption::FSName("minimal".to_owned());
    config.mount_options = vec![source, MountOption::DefaultPermissions];
    config.acl = SessionACL::All;
    config.n_threads = Some(FsOptions::default().threads);
    config.clone_fd = true;
    let mirror = nodes::Minimal::new(backing);
    Session::new(mirror, mountpoint, &config).unwrap().run().unwrap();
}
