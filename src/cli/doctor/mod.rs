//! `slowfs doctor`: what of this machine and its mounts needs doing. Each check is a row of [`CHECKS`]: it
//! says what is, what that means, and what to do about it. Changes nothing, but that dead sockets go, as with
//! every look for them; waits for no mount and no process. No locks.
//!
//! ```text
//! fuse, rights, reach, mounts  ->  scene, finding;  report  ->  finding
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use self::finding::Finding;
use self::scene::Scene;
use super::output;

mod finding;
mod fuse;
mod mounts;
mod reach;
mod report;
mod rights;
mod scene;

#[cfg(test)]
pub(super) use self::report::field_names;

/// What `slowfs doctor` is told.
#[derive(Debug, clap::Args)]
pub(super) struct DoctorArgs {
    /// Check the machine, and of its mounts only this one
    #[arg(value_name = "MOUNT")]
    mountpoint: Option<PathBuf>,
    /// Print JSON, one object
    #[arg(long)]
    json: bool,
}

/// A check: its name, and how it is done.
struct Check {
    name: &'static str,
    look: fn(&Scene) -> Finding,
}

const fn check(name: &'static str, look: fn(&Scene) -> Finding) -> Check {
    Check { name, look }
}

/// All of them, in the order in which a start needs what they look at.
const CHECKS: [Check; 16] = [
    check("/dev/fuse", fuse::device),
    check("fusermount3", fuse::helper),
    check("fuse.conf", fuse::configuration),
    check("FUSE protocol", fuse::protocol),
    check("kernel features", fuse::features),
    check("request timeouts", fuse::timeouts),
    check("capabilities", rights::capabilities),
    check("/proc", rights::processes),
    check("descriptors", rights::descriptors),
    check("limits", rights::limits),
    check("port 9090", reach::port),
    check("control sockets", reach::sockets),
    check("mounts", mounts::answers),
    check("dead mounts", mounts::dead),
    check("open beneath", mounts::beneath),
    check("faults", mounts::faults),
];

/// Looks at all of it.
pub(super) fn run(args: &DoctorArgs) -> ExitCode {
    let scene = match Scene::look(args.mountpoint.as_deref()) {
        Ok(scene) => scene,
        Err(error) => {
            output::error(&format!("{error:#}"));
            return ExitCode::FAILURE;
        }
    };
    let found: Vec<_> = CHECKS.iter().map(|check| (check.name, (check.look)(&scene))).collect();
    output::out(&if args.json { report::json(&found).to_string() } else { report::text(&found) });
    if report::is_fine(&found) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
