//! Whether a pattern can match anything below a mirrored directory. No locks.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::words::{self, Pattern, visible};

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
    /// A path of the mount, or of the backing, as patterns see it; none if it is neither. Its names are taken
    /// as they are.
    #[must_use]
    pub(crate) fn place(&self, path: &Path) -> Option<PathBuf> {
        let mut parts = path.components();
        if !path.is_absolute() || parts.any(|part| part == Component::ParentDir) {
            return None;
        }
        let mut roots = [&self.mountpoint, &self.backing];
        // One may lie in the other.
        roots.sort_by_key(|root| std::cmp::Reverse(root.components().count()));
        let rest = roots.into_iter().find_map(|root| path.strip_prefix(root).ok())?;
        Some(self.backing.components().chain(rest.components()).collect())
    }

    /// That nothing here ever matches the pattern, if that is sure, or that it was meant as a glob; and what
    /// may be meant.
    #[must_use]
    pub(super) fn missed_by(&self, pattern: &Pattern) -> Option<String> {
        let source = pattern.as_str();
        let base = visible(&self.backing.to_string_lossy());
        let dead = || format!("its pattern matches no path here, since each begins with {base}/");
        match (self.may_match(pattern), self.meant_by_glob(source)) {
            (false, Some(meant)) => {
                Some(format!("{}; it is no glob: did you mean {meant}?", dead()))
            }
            (false, None) => {
                let meant = self.meant_by(source).map(|meant| match may_be_directory(&meant) {
                    true => {
                        format!("; did you mean '{meant}' or, for what is below it, '{meant}/.*'?")
                    }
                    false => format!("; did you mean '{meant}'?"),
                });
                Some(dead() + &meant.unwrap_or_default())
            }
            (true, Some(meant)) => Some(format!(
                "a star in its pattern repeats the slash before it: it is no glob; did you mean {meant}?"
            )),
            (true, None) => None,
        }
    }

    /// That it cannot be told whether anything here matches: no automaton is the pattern itself.
    #[must_use]
    pub(super) fn unjudged(&self, pattern: &Pattern) -> Option<String> {
        let is_known =
            pattern.sieve().is_some() && pattern.is_sure() || pattern.as_str().is_empty();
        (!is_known && self.may_match(pattern)).then(|| {
            "whether its pattern matches anything here was not judged: it looks around, refers back or is \
             too large for that"
                .to_owned()
        })
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
        let anywhere = format!(".*/{}", source.trim_start_matches(['^', '/']));
        let mut all = self.of_backing(source).into_iter().chain([anywhere]);
        all.find(|source| self.lives(source)).map(|source| visible(&source))
    }

    /// What a pattern means that reads as a glob: as a regular expression, and as a glob.
    fn meant_by_glob(&self, source: &str) -> Option<String> {
        let source = self.of_backing(source).unwrap_or_else(|| source.to_owned());
        let meant = words::meant_by_glob(&source).filter(|meant| self.lives(meant))?;
        // What has more of a regular expression in it would be another glob.
        let glob = (!source.contains(".*") && !source.contains('\\')).then_some(source);
        let glob = glob.map(|glob| format!(", or --glob '{}'", visible(&glob)));
        Some(format!("'{}'{}", visible(&meant), glob.unwrap_or_default()))
    }

    /// The path of the backing that a path of the mount stands for.
    fn of_backing(&self, source: &str) -> Option<String> {
        let rest = source.strip_prefix(self.mountpoint.to_str()?)?;
        Some(format!("{}{rest}", self.backing.to_str()?))
    }

    fn lives(&self, source: &str) -> bool {
        Pattern::new(source).is_ok_and(|pattern| self.may_match(&pattern))
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

    #[test]
    fn a_path_of_the_mount_is_told_as_one_of_the_backing() {
        let reach = Reach { backing: "/data/raw/".into(), mountpoint: "/data".into() };
        let place = |path: &str| reach.place(Path::new(path)).map(|p| p.display().to_string());
        for (path, wanted) in [
            ("/data", "/data/raw"),
            ("/data/", "/data/raw"),
            ("/data/x/./y/", "/data/raw/x/y"),
            ("/data/raw", "/data/raw"),
            ("/data/raw/x", "/data/raw/x"),
            ("/data/rawx", "/data/raw/rawx"),
        ] {
            assert_eq!(place(path).as_deref(), Some(wanted), "{path}");
        }
        for other in ["/", "/dat", "data", "/data/../x", "/databases"] {
            assert_eq!(place(other), None, "{other}");
        }
        let root = Reach { backing: "/".into(), mountpoint: "/mnt".into() };
        assert_eq!(root.place(Path::new("/mnt/a")), Some("/a".into()));
        assert_eq!(root.place(Path::new("/mnt")), Some("/".into()));
    }

    #[test]
    fn a_pattern_that_reads_as_a_glob_is_told_so() {
        let reach = Reach { backing: "/data/raw".into(), mountpoint: "/mnt/etcd2".into() };
        for (source, is_dead, meant) in [
            ("wal/*.log", true, r"'.*/wal/.*\.log', or --glob 'wal/*.log'"),
            ("/mnt/etcd2/wal/*", true, "'/data/raw/wal/.*', or --glob '/data/raw/wal/*'"),
            ("/data/raw/*.log", false, r"'/data/raw/.*\.log', or --glob '/data/raw/*.log'"),
            (".*/wal/*.log", false, r"'.*/wal/.*\.log'"),
        ] {
            let told = reach.missed_by(&Pattern::new(source).unwrap()).unwrap();
            assert!(
                told.contains(&format!("it is no glob: did you mean {meant}?")) == is_dead,
                "{told}"
            );
            assert!(
                told.contains(&format!("it is no glob; did you mean {meant}?")) != is_dead,
                "{told}"
            );
            assert_eq!(told.contains("matches no path here"), is_dead, "{told}");
        }
    }

    #[test]
    fn what_no_automaton_is_was_not_judged() {
        let reach = Reach { backing: "/data/raw".into(), mountpoint: "/mnt/etcd2".into() };
        let unjudged = |source: &str| reach.unjudged(&Pattern::new(source).unwrap()).is_some();
        for judged in ["", ".*", "/data/.*", "member/wal", "(?!/data)/other"] {
            assert!(!unjudged(judged), "{judged}");
        }
        for unsure in ["(?!/data).*", r"/data/raw/(a)\1", ".*a.{20}"] {
            assert!(unjudged(unsure), "{unsure}");
        }
    }
}
