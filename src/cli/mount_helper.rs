//! mount(8)'s grammar: `mount.fuse.slowfs SOURCE MOUNTPOINT [-sfnv] [-t TYPE] [-o OPTION,...]`.
//!
//! mount(8) runs /sbin/mount.fuse.slowfs for `-t fuse.slowfs` where there is one. Where there is
//! none it runs /sbin/mount.fuse (package fuse3), which runs `slowfs SOURCE MOUNTPOINT -o ...` found
//! on PATH: the same grammar under the program's own name. The command returns when the mount
//! answers; SOURCE is the directory to mirror unless `subdir=` names another.
//!
//! mount(8) hands on what differs from its defaults (rw, suid, dev, exec, async) and swallows the
//! rest: devices and setuid work unless `nodev` and `nosuid` are among the options.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use rustix::mount::MountFlags;

use super::mount::{self, MountArgs};
use super::options::{self, MountOption};
use super::typed::Typed;
use super::{outcome, output};

/// The names that mount(8) calls a helper of this filesystem by.
const NAMES: [&str; 2] = ["mount.fuse.slowfs", "mount.slowfs"];

/// Whether `program` with these words is a call by mount(8) or by its FUSE helper.
pub(super) fn is_meant(program: &str, words: &[OsString]) -> bool {
    // No command of ours has a slash in its name; the mountpoint comes second, before any option.
    let source = words.first().is_some_and(|w| w.as_bytes().contains(&b'/'));
    let mountpoint = words.get(1).is_some_and(|w| !w.as_bytes().starts_with(b"-"));
    NAMES.contains(&program) || (source && mountpoint)
}

/// Runs the words after the program's name.
pub(super) fn run(words: Vec<OsString>) -> ExitCode {
    // The daemon's name is the same, however it was mounted.
    let _ = rustix::thread::set_name(c"slowfs");
    match parse(words) {
        Ok(None) => ExitCode::SUCCESS,
        Ok(Some(mut args)) => {
            // Whoever mounts by mount(8), or at boot, expects no word of success.
            args.silent = true;
            args.unannounced = true;
            outcome("slowfs", mount::mount(&args))
        }
        Err(reason) => {
            output::complain("slowfs", &reason);
            // "incorrect invocation" in mount(8)'s terms.
            ExitCode::FAILURE
        }
    }
}

/// What `slowfs mount` would be told; None for a mount that is only pretended (`-f`).
fn parse(words: Vec<OsString>) -> Result<Option<MountArgs>, String> {
    let mut places = Vec::new();
    let mut lists = Vec::new();
    let (mut fake, mut sloppy) = (false, false);
    let mut typed = Typed::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(flags) = word.as_bytes().strip_prefix(b"-") else {
            places.push(word);
            continue;
        };
        if word == "-t" {
            let kind = words.next().ok_or("-t needs a type")?;
            if let Some(subtype) = kind.to_str().and_then(|kind| kind.strip_prefix("fuse.")) {
                typed.mount(MountOption::Subtype(subtype.to_owned()));
            }
        } else if word == "-o" {
            lists.push(words.next().ok_or("-o needs its options")?);
        } else if let Some(list) = flags.strip_prefix(b"o") {
            lists.push(OsStr::from_bytes(list).to_owned());
        } else {
            for flag in flags {
                match flag {
                    b'f' => fake = true,
                    b's' => sloppy = true,
                    b'r' => typed.option(OsStr::new("ro"))?,
                    b'n' | b'v' | b'w' => {}
                    _ => return Err(format!("unknown option `{}`", word.display())),
                }
            }
        }
    }
    let Ok([source, mountpoint]) = <[OsString; 2]>::try_from(places) else {
        return Err("usage: mount.fuse.slowfs SOURCE MOUNTPOINT [-sfnv] [-o OPTION,...]".to_owned());
    };
    typed.mount(MountOption::Source(source.to_string_lossy().into_owned()));
    // The last one counts, so that `-o subdir=` overrides it.
    let mut subdir = OsString::from("--subdir=");
    subdir.push(&source);
    typed.own(subdir);
    typed.own("--daemon");
    typed.mount(MountOption::Clear(MountFlags::NODEV | MountFlags::NOSUID));
    for option in lists.iter().flat_map(|list| options::split(list)) {
        match typed.option(&option) {
            Err(reason) if sloppy => output::warning(&reason),
            other => other?,
        }
    }
    let args = typed.into_args(mountpoint)?;
    Ok((!fake).then_some(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Option<MountArgs>, String> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    #[test]
    fn mount_and_its_fuse_helper_are_recognised() {
        let words = |line: &str| line.split_whitespace().map(OsString::from).collect::<Vec<_>>();
        assert!(is_meant("mount.fuse.slowfs", &words("raw mnt")));
        assert!(is_meant("mount.slowfs", &[]));
        assert!(is_meant("slowfs", &words("/data/raw /mnt/x -o rw")));
        assert!(!is_meant("slowfs", &words("mount /mnt/x")));
        assert!(!is_meant("slowfs", &words("/data/raw")));
        assert!(!is_meant("slowfs", &words("/mnt/x --subdir /data/raw")));
        assert!(!is_meant("slowfs", &[]));
    }

    #[test]
    fn the_source_is_mirrored_and_shown() {
        let line = "/raw /mnt -n -o rw,noexec,_netdev,x-systemd.automount -o listen=none -v";
        let args = read(line).unwrap().unwrap();
        assert!(args.daemon);
        let config = args.config().unwrap();
        assert_eq!(config.backing.display().to_string(), "/raw");
        assert_eq!(config.mountpoint.display().to_string(), "/mnt");
        assert_eq!(config.mount.source.as_deref(), Some(OsStr::new("/raw")));
        assert_eq!(config.ports.listen, None);
        let other = read("none /mnt -t fuse.mine -o subdir=/raw").unwrap().unwrap();
        let config = other.config().unwrap();
        assert_eq!(config.backing.display().to_string(), "/raw");
        assert_eq!(config.mount.subtype, "mine");
    }

    #[test]
    fn sloppy_ignores_what_is_unknown_and_fake_mounts_nothing() {
        assert!(read("/raw /mnt -o nonsense").unwrap_err().contains("`nonsense`"));
        assert!(read("/raw /mnt -s -o nonsense").unwrap().is_some());
        assert!(read("/raw /mnt -sf -o nonsense").unwrap().is_none());
        assert!(read("/raw").unwrap_err().contains("usage"));
        assert!(read("/raw /mnt -q").unwrap_err().contains("`-q`"));
    }
}
