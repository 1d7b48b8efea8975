//! Whether a pattern can match anything below a mirrored directory. No locks.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::words::{Pattern, visible};

/// Where a mirror is. Patterns are held against whole paths, which begin with that of the backing
/// directory (charybdefs-contract, section 2).
#[derive(Clone, Debug, Default)]
pub struct Reach {
    /// The backing directory.
    pub backing: PathBuf,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
}

impl Reach {
    /// That nothing here ever matches the pattern, if that is sure, and what may be meant. A pattern whose
    /// automaton would be too large is not judged.
    #[must_use]
    pub(super) fn missed_by(&self, pattern: &Pattern) -> Option<String> {
        if self.may_match(pattern) {
            return None;
        }
        let meant = self.meant_by(pattern.as_str()).map(|meant| match may_be_directory(&meant) {
            true => format!("; did you mean '{meant}' or, for what is below it, '{meant}/.*'?"),
            false => format!("; did you mean '{meant}'?"),
        });
        let meant = meant.unwrap_or_default();
        let base = visible(&self.backing.to_string_lossy());
        Some(format!("its pattern matches no path here, since each begins with {base}/{meant}"))
    }

    /// Whether some path below the directory may match.
    fn may_match(&self, pattern: &Pattern) -> bool {
        let Some(sieve) = pattern.sieve() else { return true };
        let base = self.backing.as_os_str().as_bytes();
        let root = base.strip_suffix(b"/").unwrap_or(base);
        let mut path = root.iter().chain(b"/");
        let mut state = sieve.start();
        !path.any(|byte| {
            state = sieve.step(state, *byte);
            sieve.is_dead(state)
        })
    }

    /// One that is near and may match: the same path of the backing, or below any directory.
    fn meant_by(&self, source: &str) -> Option<String> {
        let below = |dir: &Path| {
            let rest = source.strip_prefix(dir.to_str()?)?;
            Some(format!("{}{rest}", self.backing.to_str()?))
        };
        let anywhere = format!(".*/{}", source.trim_start_matches(['^', '/']));
        let mut all = below(&self.mountpoint).into_iter().chain([anywhere]);
        let lives = |source: &String| Pattern::new(source).is_ok_and(|p| self.may_match(&p));
        all.find(lives).map(|source| visible(&source))
    }
}

/// Whether a pattern ends in a plain name without an ending, as directories mostly have.
fn may_be_directory(source: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    source.rsplit('/').next().is_some_and(|name| !name.is_empty() && name.chars().all(plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_match_nothing_here_is_told_with_what_may_be_meant() {
        let reach = Reach { backing: "/data/raw".into(), mountpoint: "/mnt/etcd2".into() };
        let told = |source: &str| reach.missed_by(&Pattern::new(source).unwrap());
        for source in [
            "",
            ".*",
            "/data/raw",
            "/data/raw/.*",
            ".*/wal/.*",
            "(/data|/other)/raw/x",
            "/data/.*",
            "/[a-z]+/raw/a|b",
            ".*wal",
            "(?!/data).*|/data/raw/x",
            r"/data/raw/(a)\1",
        ] {
            let known = source == "/data/raw";
            assert_eq!(told(source).is_some(), known, "{source}: {:?}", told(source));
        }
        for (source, meant) in [
            ("member/wal", "'.*/member/wal' or, for what is below it, '.*/member/wal/.*'"),
            ("/mnt/etcd2/member/.*", "'/data/raw/member/.*'"),
            ("/wal/.*", "'.*/wal/.*'"),
            ("^wal/.*", "'.*/wal/.*'"),
            ("/data/raws/.*", "'.*/data/raws/.*'"),
        ] {
            let expected = format!(
                "its pattern matches no path here, since each begins with /data/raw/; did you mean {meant}?"
            );
            assert_eq!(told(source).as_deref(), Some(&*expected), "{source}");
        }
    }
}
