//! `slowfs demo`: delays, a torn write that is healed, and a power cut, on temporary directories.
//!
//! Each is shown by what a program and the directory behind the mount see, and checked. No locks.

mod delays;
mod power;
mod spoken;
mod torn;

use std::net::TcpListener;

use anyhow::bail;

use super::output;
use super::trial::{Wanted, on_mirrors};

/// What `slowfs demo` is told: nothing.
#[derive(Debug, clap::Args)]
pub(super) struct DemoArgs {}

/// Runs the demonstration; everything it makes is gone afterwards.
///
/// # Errors
/// Something could not be set up, or a fault did not do what it should.
pub(super) fn run(_: &DemoArgs) -> anyhow::Result<()> {
    let usual = "127.0.0.1:9090";
    let free = TcpListener::bind(usual).is_ok();
    let listen = if free { usual } else { "127.0.0.1:0" };
    let plain = Wanted { name: "demo", listen, options: Vec::new(), images: false };
    // One that remembers what is not durable takes longer for each write: the delays have one that does not.
    let options = ["--track-unsynced", "--unsynced-age", "1h"].map(Into::into).to_vec();
    let tracked = Wanted { name: "power", listen: "127.0.0.1:0", options, images: true };
    on_mirrors(&[plain, tracked], |mirrors| {
        let [plain, tracked] = mirrors else { bail!("two mirrors, not {}", mirrors.len()) };
        let (mnt, raw) = (plain.mnt.display(), plain.raw.display());
        output::out(&format!("mounted {mnt} over {raw}\n"));
        delays::show(plain)?;
        torn::show(plain)?;
        power::show(tracked)
    })?;
    output::out("\nunmounted");
    Ok(())
}
