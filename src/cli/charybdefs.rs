//! charybdefs's own grammar, as libfuse 2 reads it: options before or after the mountpoint, `-o`
//! lists in any split, `-f`, `-d`, `-s`.
//!
//! Everything else is `slowfs mount`: this module only translates. What differs by name: the type
//! is fuse.charybdefs, the source charybdefs, clients are served on every address, and only the
//! mounting user gets in unless `allow_other` is given.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::process::ExitCode;

use super::mount::{self, MountArgs};
use super::options::{self, MountOption};
use super::typed::Typed;
use super::{outcome, output, version};

/// The name that this grammar goes by.
pub(super) const NAME: &str = "charybdefs";

const USAGE: &str = "\
usage: charybdefs MOUNTPOINT -omodules=subdir,subdir=DIR [-f] [-d] [-s] [-o OPTION,...]

    -omodules=subdir,subdir=DIR   the directory to mirror
    -f                            stay in the foreground
    -d, -odebug                   the same, and log each operation
    -s                            one thread
    -o allow_other, allow_root, ro, fsname=, subtype=, ... as for any FUSE filesystem
    -o listen=ADDR:PORT, log_file=FILE, seed=N, ...        as for `slowfs mount`

This is slowfs under charybdefs's name; `slowfs help` tells of the rest.";

/// Runs the words after the program's name.
pub(super) fn run(words: Vec<OsString>) -> ExitCode {
    if words.iter().any(|w| w == "-h" || w == "--help") {
        output::out(USAGE);
        return ExitCode::SUCCESS;
    }
    if words.iter().any(|w| w == "-V" || w == "--version") {
        output::out(&format!("{}, as charybdefs", version::short()));
        return ExitCode::SUCCESS;
    }
    // pkill, killall and pgrep look for the thread's name, which is that of the file executed.
    let _ = rustix::thread::set_name(c"charybdefs");
    match parse(words) {
        Ok(mut args) => {
            // Its users send SIGHUP to end it.
            args.hangup_ends = true;
            args.unannounced = true;
            outcome(NAME, mount::mount(&args))
        }
        Err(reason) => {
            output::complain(NAME, &reason);
            ExitCode::from(2)
        }
    }
}

/// What `slowfs mount` would be told.
fn parse(words: Vec<OsString>) -> Result<MountArgs, String> {
    let mut grammar = Grammar::default();
    grammar.typed.mount(MountOption::Source(NAME.to_owned()));
    grammar.typed.mount(MountOption::Subtype(NAME.to_owned()));
    grammar.typed.mount(MountOption::AllowOther(false));
    // The last one counts, so that `-o listen=` overrides it.
    grammar.typed.own("--listen=0.0.0.0:9090");
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--" {
            words.by_ref().try_for_each(|w| grammar.mountpoint(w))?;
        } else if word == "-o" {
            let list = words.next().ok_or("-o needs its options")?;
            grammar.list(&list)?;
        } else if let Some(list) = word.as_bytes().strip_prefix(b"-o") {
            grammar.list(OsStr::from_bytes(list))?;
        } else if word.as_bytes().starts_with(b"-") && word != "-" {
            grammar.flag(&word)?;
        } else {
            grammar.mountpoint(word)?;
        }
    }
    grammar.finish()
}

#[derive(Default)]
struct Grammar {
    typed: Typed,
    mountpoint: Option<OsString>,
    foreground: bool,
    subdir: bool,
}

impl Grammar {
    fn mountpoint(&mut self, word: OsString) -> Result<(), String> {
        match &self.mountpoint {
            None => self.mountpoint = Some(word),
            Some(first) => {
                let (first, word) = (first.display(), word.display());
                return Err(format!("two mountpoints, `{first}` and `{word}`"));
            }
        }
        Ok(())
    }

    fn flag(&mut self, word: &OsStr) -> Result<(), String> {
        match word.to_str() {
            Some("-f") => self.foreground = true,
            Some("-d") => self.typed.option(OsStr::new("debug"))?,
            Some("-s") => self.typed.own("--threads=1"),
            Some("-r") => self.typed.option(OsStr::new("ro"))?,
            _ => {
                return Err(format!(
                    "unknown option `{}`; -h lists those there are",
                    word.display()
                ));
            }
        }
        Ok(())
    }

    fn list(&mut self, list: &OsStr) -> Result<(), String> {
        options::split(list).iter().try_for_each(|option| self.option(option))
    }

    fn option(&mut self, option: &OsStr) -> Result<(), String> {
        let bytes = option.as_bytes();
        if let Some(modules) = bytes.strip_prefix(b"modules=") {
            let other = modules.split(|b| *b == b':').find(|module| *module != b"subdir");
            return other.map_or(Ok(()), |module| {
                let module = OsStr::from_bytes(module).display();
                Err(format!("unknown module `{module}` in `{}`; there is subdir", option.display()))
            });
        }
        self.subdir |= bytes.strip_prefix(b"subdir=").is_some_and(|dir| !dir.is_empty());
        self.typed.option(option)
    }

    fn finish(mut self) -> Result<MountArgs, String> {
        let mountpoint = self.mountpoint.ok_or("no mountpoint; -h shows how to call it")?;
        if !self.subdir {
            return Err("no directory to mirror: add -omodules=subdir,subdir=DIR \
                        (charybdefs would mirror /, which slowfs does not)"
                .to_owned());
        }
        if !(self.foreground || self.typed.debug) {
            self.typed.own("--daemon");
        }
        self.typed.into_args(mountpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<MountArgs, String> {
        parse(line.split_whitespace().map(OsString::from).collect())
    }

    /// What a line comes to: mountpoint, directory, in the background, log each operation, others
    /// get in.
    fn told(line: &str) -> (String, String, bool, bool, bool) {
        let args = read(line).unwrap_or_else(|reason| panic!("{line}: {reason}"));
        let config = args.config().unwrap();
        assert_eq!(config.mount.subtype, "charybdefs");
        assert_eq!(config.mount.source.as_deref(), Some(OsStr::new("charybdefs")));
        assert_eq!(config.ports.listen.unwrap().to_string(), "0.0.0.0:9090");
        (
            config.mountpoint.display().to_string(),
            config.backing.display().to_string(),
            args.daemon,
            config.fs.log_ops,
            config.mount.allow_other,
        )
    }

    #[test]
    fn known_invocations_are_read_as_charybdefs_reads_them() {
        let is =
            |daemon, debug, others| ("/mnt".to_owned(), "/b".to_owned(), daemon, debug, others);
        for (line, want) in [
            ("/mnt -omodules=subdir,subdir=/b -oallow_other,nonempty", is(true, false, true)),
            ("/mnt -omodules=subdir,subdir=/b,allow_other -f", is(false, false, true)),
            ("/mnt -oallow_other,modules=subdir,subdir=/b", is(true, false, true)),
            (
                "-f /mnt -omodules=subdir,subdir=/b -oallow_other,nonempty,debug",
                is(false, true, true),
            ),
            ("-f -d /mnt -omodules=subdir,subdir=/b", is(false, true, false)),
            ("-d /mnt -omodules=subdir,subdir=/b", is(false, true, false)),
            ("-omodules=subdir /mnt -o subdir=/b -s", is(true, false, false)),
            ("-o subdir=/b -o modules=subdir -o allow_other -- /mnt", is(true, false, true)),
            (
                "-oallow_root,ro,default_permissions,modules=subdir,subdir=/b /mnt",
                is(true, false, false),
            ),
        ] {
            assert_eq!(told(line), want, "{line}");
        }
        assert_eq!(read("/mnt -s -osubdir=/b").unwrap().config().unwrap().fs.threads, 1);
    }

    #[test]
    fn options_of_slowfs_mount_work_as_o_options() {
        let line = "/mnt -osubdir=/b,listen=127.0.0.1:9191,seed=7,fsname=mine,subtype=other";
        let config = read(line).unwrap().config().unwrap();
        assert_eq!(config.ports.listen.unwrap().to_string(), "127.0.0.1:9191");
        assert_eq!(config.seed, Some(7));
        assert_eq!(config.mount.source.as_deref(), Some(OsStr::new("mine")));
        assert_eq!(config.mount.subtype, "other");
    }

    #[test]
    fn what_cannot_be_is_refused_by_name() {
        for (line, part) in [
            ("/mnt", "subdir=DIR"),
            ("/mnt -omodules=subdir", "subdir=DIR"),
            ("/mnt -omodules=subdir,subdir=", "subdir=DIR"),
            ("-osubdir=/b", "no mountpoint"),
            ("/mnt -osubdir=/b,alow_other", "`alow_other`; did you mean allow_other"),
            ("/mnt -osubdir=/b -q", "`-q`"),
            ("/mnt -osubdir=/b --foreground", "`--foreground`"),
            ("/mnt -omodules=subdir:iconv,subdir=/b", "`iconv`"),
            ("/mnt /mnt2 -osubdir=/b", "`/mnt2`"),
            ("/mnt -osubdir=/b -o", "-o needs"),
            ("/mnt -osubdir=/b,threads=many", "many"),
            ("/mnt -osubdir=/b,allow_other,allow_root", "allow_root"),
        ] {
            let reason = match read(line) {
                Err(reason) => reason,
                Ok(args) => args.config().map(|_| ()).unwrap_err().to_string(),
            };
            assert!(reason.contains(part) && !reason.contains('\n'), "{line}: {reason}");
        }
    }
}
