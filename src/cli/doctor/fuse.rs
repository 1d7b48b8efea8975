//! What FUSE needs of the machine: the device, the helper for ordinary users, the kernel.

use std::env;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, fstat, makedev};
use rustix::io::Errno;

use super::finding::Finding;
use super::scene::Scene;
use crate::cli::kernel::{self, names};
use crate::daemon::offer::{Offer, offer};
use crate::daemon::timeouts::request_timeouts;
use crate::sys::text_of;

/// Its number (devices.txt: 10, 229).
const FUSE: (u32, u32) = (10, 229);

/// Linux 5.4: what this program was tried with begins there.
const OLDEST: (u32, u32) = (7, 31);

/// `S_ISUID`.
const SETUID: u32 = 0o4000;

pub(super) fn device(_: &Scene) -> Finding {
    let opened = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    let is = |error: Errno| format!("it cannot be opened: {}", text_of(&error.into()));
    let means = "nothing can be mounted";
    match opened {
        Ok(device) if fstat(&device).is_ok_and(|stat| stat.st_rdev == makedev(FUSE.0, FUSE.1)) => {
            Finding::ok("it opens for reading and writing", "the kernel serves FUSE")
        }
        Ok(_) => Finding::to_do("it is not the device 10:229", means, "mknod /dev/fuse c 10 229"),
        Err(error @ (Errno::NOENT | Errno::NODEV | Errno::NXIO)) => Finding::to_do(
            is(error),
            means,
            "load the module by `modprobe fuse`; start a container with `--device /dev/fuse`",
        ),
        Err(error) => Finding::to_do(
            is(error),
            means,
            "`chmod 666 /dev/fuse` as root; start a container with `--device /dev/fuse`",
        ),
    }
}

pub(super) fn helper(scene: &Scene) -> Finding {
    let path = env::var_os("PATH").unwrap_or_default();
    let there = env::split_paths(&path).map(|dir| dir.join("fusermount3"));
    let there: Vec<_> = there.filter(|it| it.is_file()).collect();
    let is_setuid = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|stat| stat.mode() & SETUID != 0 && stat.uid() == 0)
    };
    let Some(first) = there.first() else {
        let todo = "install the package fuse3";
        return no_helper(scene, "it is not on PATH".to_owned(), todo.to_owned());
    };
    if is_setuid(first) {
        return Finding::ok(first.display().to_string(), "ordinary users can mount");
    }
    // Whoever put it there: rights are given to no file by its name.
    let is = format!("{} is not setuid root", first.display());
    no_helper(
        scene,
        is,
        match there.iter().find(|path| is_setuid(path)) {
            Some(whole) => format!(
                "{} hides {}, which is: remove it, or put it behind on PATH",
                first.display(),
                whole.display()
            ),
            None => "install the package fuse3 again, which makes it so".to_owned(),
        },
    )
}

fn no_helper(scene: &Scene, is: String, todo: String) -> Finding {
    match scene.is_root {
        true => Finding::note(is, "root mounts without it, ordinary users cannot mount", todo),
        false => Finding::to_do(is, "an ordinary user cannot mount", todo),
    }
}

pub(super) fn configuration(scene: &Scene) -> Finding {
    let text = fs::read_to_string("/etc/fuse.conf").unwrap_or_default();
    let allows = text.lines().any(|line| line.trim() == "user_allow_other");
    match (allows, scene.is_root) {
        (true, _) => {
            Finding::ok("user_allow_other is set", "mounts of ordinary users may let others in")
        }
        (false, true) => Finding::ok(
            "user_allow_other is not set",
            "root's mounts let others in all the same, those of ordinary users do not",
        ),
        (false, false) => Finding::note(
            "user_allow_other is not set",
            "nobody but you, not even root, enters what you mount",
            "for `slowfs mount --allow-other` write user_allow_other into /etc/fuse.conf, as root",
        ),
    }
}

pub(super) fn protocol(scene: &Scene) -> Finding {
    let linux = kernel::release();
    let told = offer().ok().map(|offer| offer.protocol).or_else(|| {
        let text = &scene.answered().next()?.1.info.fuse_protocol;
        let (major, minor) = text.split_once('.')?;
        Some((major.parse().ok()?, minor.parse().ok()?))
    });
    match told {
        Some(version) if version >= OLDEST => {
            let (major, minor) = version;
            Finding::ok(format!("{major}.{minor}, {linux}"), "new enough")
        }
        Some((major, minor)) => Finding::note(
            format!("{major}.{minor}, {linux}"),
            "older than what slowfs was tried with: it may refuse to mount",
            "use Linux 5.4 or later",
        ),
        None => unknown(linux),
    }
}

/// Of a kernel that tells an ordinary user nothing without a mount.
fn unknown(is: String) -> Finding {
    Finding::ok(is, "what the kernel offers is told to root, or of a mount that is there")
}

pub(super) fn features(_: &Scene) -> Finding {
    match offer() {
        Ok(offer) => of_offer(&offer),
        Err(_) => unknown("they cannot be seen without a mount".to_owned()),
    }
}

fn of_offer(offer: &Offer) -> Finding {
    let (there, missing) = kernel::features(offer);
    match missing.last() {
        None => Finding::ok(names(&there), "all that slowfs uses is there"),
        Some(newest) => Finding::note(
            format!("without {}", names(&missing)),
            missing.iter().map(|feature| feature.harm).collect::<Vec<_>>().join(", "),
            format!("use {} or later", newest.since),
        ),
    }
}

pub(super) fn timeouts(_: &Scene) -> Finding {
    let set = request_timeouts();
    if set.is_empty() {
        return Finding::ok("none", "the kernel lets operations be held for any time");
    }
    let listed = |told: fn(&(&str, u64)) -> String| set.iter().map(told).collect::<Vec<_>>();
    Finding::to_do(
        listed(|(name, seconds)| format!("fs.fuse.{name} is {seconds} s")).join(", "),
        "the kernel aborts a mount when a fault holds an operation that long",
        format!("`sysctl {}`, as root", listed(|(name, _)| format!("fs.fuse.{name}=0")).join(" ")),
    )
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;
    use crate::cli::kernel::tests::without;

    #[test]
    fn what_a_kernel_lacks_is_told_with_what_is_lost() {
        assert_eq!(of_offer(&without(&[])).verdict, Verdict::Ok);
        let lacking = of_offer(&without(&[37]));
        assert_eq!(lacking.verdict, Verdict::Note);
        assert_eq!(lacking.is, "without passthrough");
        assert_eq!(lacking.todo.unwrap(), "use Linux 6.9 or later");
        let older = Offer { tells_mounts_apart: false, ..without(&[12, 20]) };
        let older = of_offer(&older);
        assert!(older.is.contains("auto_inval_data, posix_acl"), "{}", older.is);
    }
}
