//! The options of `-o`, as charybdefs's grammar and mount(8)'s take them, in terms of `slowfs mount`.
//!
//! Invariant: an option is either honoured, or known to make no difference here, or refused by
//! name; none is dropped silently.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::{Args, Command, FromArgMatches};

use super::mount::MountArgs;
use super::options::{FSTAB, MountOption, TUNING, falsifies, names};
use crate::fault::suggest;

/// What has been typed so far in a grammar that is not `slowfs mount`'s own.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// Options of `slowfs mount`, as its own grammar spells them.
    own: Vec<OsString>,
    mount: Vec<MountOption>,
    /// Whether `debug` was among the options.
    pub(super) debug: bool,
}

impl Typed {
    /// Takes one option of `slowfs mount` in its own spelling.
    pub(super) fn own(&mut self, word: impl Into<OsString>) {
        self.own.push(word.into());
    }

    /// Takes one option of the mount itself.
    pub(super) fn mount(&mut self, option: MountOption) {
        self.mount.push(option);
    }

    /// Takes one option of `-o`: of the mount, of `slowfs mount` with underscores or dashes
    /// (`listen=ADDR:PORT`, `log_ops`), or one that makes no difference.
    ///
    /// # Errors
    /// It is none of these; one line that names it.
    pub(super) fn option(&mut self, option: &OsStr) -> Result<(), String> {
        if let Some(option) = option.to_str().and_then(|text| text.parse().ok()) {
            self.mount.push(option);
            return Ok(());
        }
        let (name, value) = halves(option);
        if name == "debug" {
            self.debug = true;
            self.own("--log-ops");
            return Ok(());
        }
        let long = name.replace('_', "-");
        if own_options().any(|own| own == long) {
            let mut word = OsString::from(format!("--{long}"));
            if let Some(value) = value {
                word.push("=");
                word.push(value);
            }
            self.own.push(word);
            return Ok(());
        }
        let known = TUNING.iter().chain(&FSTAB).any(|known| match known.strip_suffix('=') {
            Some(known) => known == name && value.is_some(),
            None => *known == name && value.is_none(),
        });
        let comment = name.starts_with("x-") || name.starts_with("X-");
        // mount(8) tells its helper who mounts: `user` becomes `user=NAME`.
        if known || comment || name == "user" || name == "users" {
            return Ok(());
        }
        Err(unknown(option, &name))
    }

    /// What `slowfs mount` would be told.
    ///
    /// # Errors
    /// A value that its option cannot have; one line.
    pub(super) fn into_args(self, mountpoint: OsString) -> Result<MountArgs, String> {
        let own = self.own.into_iter().chain(["--".into(), mountpoint]);
        let mut args = command()
            .try_get_matches_from(own)
            .and_then(|found| MountArgs::from_arg_matches(&found))
            .map_err(|error| {
                let text = error.to_string();
                let first = text.lines().take_while(|l| !l.is_empty()).map(str::trim);
                first.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned()
            })?;
        args.options = self.mount;
        Ok(args)
    }
}

/// The grammar of `slowfs mount`, without the program's name; the last of a kind counts.
fn command() -> Command {
    let command = Command::new("mount").no_binary_name(true).disable_help_flag(true);
    MountArgs::augment_args(command).args_override_self(true)
}

/// The long options of `slowfs mount`. Whether to go to the background is the grammar's affair, and a line
/// on standard output is none of these grammars'.
fn own_options() -> impl Iterator<Item = String> {
    let command = command();
    let longs = command.get_arguments().filter_map(|a| a.get_long().map(str::to_owned));
    longs.filter(|long| long != "daemon" && long != "json").collect::<Vec<_>>().into_iter()
}

/// `name` and what follows the first `=`, if there is one.
fn halves(option: &OsStr) -> (String, Option<&OsStr>) {
    let bytes = option.as_bytes();
    let mut parts = bytes.splitn(2, |b| *b == b'=');
    let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    (name, parts.next().map(OsStr::from_bytes))
}

fn unknown(option: &OsStr, name: &str) -> String {
    let own: Vec<_> = own_options().map(|own| own.replace('-', "_")).collect();
    let mut known: Vec<&str> = own.iter().map(String::as_str).collect();
    known.extend(names());
    known.extend(TUNING.iter().chain(&FSTAB));
    let option = option.display();
    if let Some(why) = falsifies(name) {
        return format!("option `{option}`: {why}");
    }
    match suggest::closest(name, known) {
        Some(near) => format!("unknown option `{option}`; did you mean {near}?"),
        None => format!("unknown option `{option}`"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::options::split;
    use super::*;

    #[test]
    fn options_are_honoured_or_known_or_refused_by_name() {
        let typed = |option: &str| Typed::default().option(OsStr::new(option));
        let fine = "ro user user=root x-systemd.automount x-initrd.mount _netdev nofail comment=a \
                    allow_root listen=127.0.0.1:0 log_ops probability_scale=auto max_write=4096 \
                    use_ino debug subdir=/data";
        for option in fine.split_whitespace() {
            assert_eq!(typed(option), Ok(()), "{option}");
        }
        assert!(
            typed("allow_othr").unwrap_err().contains("`allow_othr`; did you mean allow_other")
        );
        assert!(typed("lsten=1").unwrap_err().contains("did you mean listen"));
        for option in ["uid=3", "gid=3", "umask=022", "rellinks"] {
            let told = typed(option).unwrap_err();
            assert!(told.contains(&format!("`{option}`")), "{told}");
            assert!(told.contains("as the backing has them"), "{told}");
        }
        for option in ["umask=022", "uid=1", "daemon", "json", "iocharset=utf8", "use_ino=1"] {
            assert!(typed(option).unwrap_err().contains(&format!("`{option}`")), "{option}");
        }
    }

    #[test]
    fn the_last_of_a_kind_counts_but_each_fault_does() {
        let mut typed = Typed::default();
        let list = r"threads=2,fault=error EIO -m mkdir\,rmdir,threads=3,fault=hang -m fsync";
        split(OsStr::new(list)).iter().for_each(|option| typed.option(option).unwrap());
        let config = typed.into_args("/mnt".into()).unwrap().config().unwrap();
        assert_eq!(config.fs.threads, 3);
        assert_eq!(config.faults.len(), 2);
    }

    #[test]
    fn values_are_checked_as_those_of_slowfs_mount() {
        let mut typed = Typed::default();
        typed.option(OsStr::new("listen=nowhere")).unwrap();
        let reason = typed.into_args("/mnt".into()).unwrap_err();
        assert!(reason.contains("nowhere") && !reason.contains('\n'), "{reason}");
    }
}
