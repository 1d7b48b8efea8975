//! `slowfs --version`: which program this is, and what it uses of this kernel. No locks.

use std::io;

use super::kernel::{self, names};
use crate::daemon::offer::{Offer, offer};
use crate::fs::LIBRARY_PROTOCOL;

/// The commit that was built, as build.rs has found it.
const COMMIT: Option<&str> = option_env!("SLOWFS_COMMIT");

/// How much of a commit tells it from others in one line.
const SHORT: usize = 12;

/// Version and commit, on one line.
pub(super) fn short() -> String {
    of_commit(COMMIT, cfg!(debug_assertions))
}

fn of_commit(commit: Option<&str>, is_debug: bool) -> String {
    let version = concat!("slowfs ", env!("CARGO_PKG_VERSION"));
    match commit {
        Some(commit) => format!("{version} ({})", commit.get(..SHORT).unwrap_or(commit)),
        None if is_debug => format!("{version} (debug build)"),
        None => version.to_owned(),
    }
}

/// The same, and what there is of FUSE.
pub(super) fn long() -> String {
    let commit = COMMIT.unwrap_or("unknown");
    format!("{}\ncommit: {commit}\n{}", short(), of_kernel(&offer(), &kernel::release()))
}

/// The kernel tells it to who may mount.
fn of_kernel(offer: &io::Result<Offer>, linux: &str) -> String {
    let own = LIBRARY_PROTOCOL;
    let Ok(offer) = offer else {
        return format!(
            "FUSE protocol: {}.{} here; {linux} tells its own to root only, as it does its features",
            own.0, own.1
        );
    };
    let (there, missing) = kernel::features(offer);
    let (major, minor) = offer.protocol;
    let protocol = format!("FUSE protocol: {}.{} here, {major}.{minor} in {linux}", own.0, own.1);
    let mut text = format!("{protocol}\nkernel features: {}", names(&there));
    if !missing.is_empty() {
        text += &format!("\nnot in this kernel: {}", names(&missing));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::kernel::tests::without;
    use super::*;

    #[test]
    fn a_line_names_the_commit_where_it_is_known() {
        let version = concat!("slowfs ", env!("CARGO_PKG_VERSION"));
        let commit = Some("58cfeb6a0123456789abcdef0123456789abcdef");
        assert_eq!(of_commit(commit, false), format!("{version} (58cfeb6a0123)"));
        assert_eq!(of_commit(Some("v0.1"), true), format!("{version} (v0.1)"));
        assert_eq!(of_commit(None, true), format!("{version} (debug build)"));
        assert_eq!(of_commit(None, false), version);
    }

    #[test]
    fn what_the_kernel_offers_and_lacks_is_told() {
        let (major, minor) = LIBRARY_PROTOCOL;
        let told = of_kernel(&Ok(without(&[37])), "Linux 6.8.0");
        let lines: Vec<_> = told.lines().collect();
        assert_eq!(lines[0], format!("FUSE protocol: {major}.{minor} here, 7.41 in Linux 6.8.0"));
        assert!(lines[1].starts_with("kernel features: auto_inval_data, posix_acl"), "{told}");
        assert_eq!(lines[2..], ["not in this kernel: passthrough"]);
        assert_eq!(of_kernel(&Ok(without(&[])), "Linux 6.9").lines().count(), 2);
        let refused = of_kernel(&Err(io::ErrorKind::PermissionDenied.into()), "Linux 6.8.0");
        assert!(refused.contains("Linux 6.8.0 tells its own to root only"), "{refused}");
    }
}
