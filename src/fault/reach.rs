//! Whether a pattern can match anything below a mirrored directory. No locks.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::near;
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
    pub(crate) fn missed_by(&self, pattern: &Pattern) -> Option<String> {
        let source = pattern.as_str();
        let is_alive = self.may_match(pattern);
        let Some(meant) = self.meant_by_glob(source) else {
            return (!is_alive).then(|| self.dead(source) + &self.meant_by(source));
        };
        Some(match is_alive {
            true => format!(
                "a star in the pattern repeats the slash before it: it is no glob; did you mean {meant}?"
            ),
            false => format!("{}; it is no glob: did you mean {meant}?", self.dead(source)),
        })
    }

    /// That it cannot be told whether anything here matches: no automaton is the pattern itself.
    #[must_use]
    pub(super) fn unjudged(&self, pattern: &Pattern) -> Option<String> {
        let is_known =
            pattern.sieve().is_some() && pattern.is_sure() || pattern.as_str().is_empty();
        (!is_known && self.may_match(pattern)).then(|| {
            "slowfs cannot tell whether the pattern matches anything here: it looks around, refers back or is \
             too large for that"
                .to_owned()
        })
    }

    /// Whether the directory or some path below it may match.
    fn may_match(&self, pattern: &Pattern) -> bool {
        let Some(sieve) = pattern.sieve() else { return true };
        let base = self.backing.as_os_str().as_bytes();
        let root = base.strip_suffix(b"/").unwrap_or(base);
        let at = root.iter().fold(sieve.start(), |state, byte| sieve.step(state, *byte));
        let itself = if root.is_empty() { sieve.step(at, b'/') } else { at };
        sieve.accepts_at(itself) || sieve.accepts_below(at)
    }

    /// Why a pattern matches nothing.
    fn dead(&self, source: &str) -> String {
        let whole = near::tidied(source);
        let why = match whole != source && self.lives(&whole) {
            true => "no path ends in a slash or has two in a row".to_owned(),
            false => {
                let base = visible(&self.backing.to_string_lossy());
                format!("each begins with {}/", base.trim_end_matches('/'))
            }
        };
        format!("the pattern matches no path here, since {why}")
    }

    /// What is near and may match, as an expression and as a glob: what was typed may have been either.
    fn meant_by(&self, source: &str) -> String {
        let (mountpoint, backing) = self.roots();
        let near = near::patterns(source, mountpoint, backing);
        let pattern = near.into_iter().find(|near| self.lives(near));
        let glob = near::typed_as(source).and_then(|glob| {
            let near = near::globs(&glob, mountpoint, backing);
            near.into_iter().find(|near| self.lives_as_glob(near))
        });
        let is_glob = words::glob_of_regex(source).is_some();
        let may_be_directory =
            |meant: &str| near::may_be_directory(meant) || meant == near::literal(backing);
        let shown = pattern.as_ref().filter(|_| !is_glob || glob.is_none()).map(|meant| {
            let is_directory = may_be_directory(meant);
            let meant = visible(meant);
            match is_directory {
                true => format!("'{meant}' or, for what is below it, '{meant}/.*'"),
                false => format!("'{meant}'"),
            }
        });
        // Where both are the same, what is below is not.
        let glob = glob.and_then(|glob| match pattern.as_ref() == Some(&glob) {
            true => may_be_directory(&glob).then(|| format!("{glob}/**")),
            false => Some(glob),
        });
        let glob = glob.map(|glob| format!("--glob '{}'", visible(&glob)));
        let all: Vec<_> = shown.into_iter().chain(glob).collect();
        if all.is_empty() {
            String::new()
        } else {
            format!("; did you mean {}?", all.join(", or "))
        }
    }

    /// What a pattern means that reads as a glob: as a regular expression, and as a glob.
    fn meant_by_glob(&self, source: &str) -> Option<String> {
        let (mountpoint, backing) = self.roots();
        let mut near = near::typed_globs(source, mountpoint, backing).into_iter();
        let (source, meant) = near.find_map(|source| {
            let meant = words::meant_by_glob(&source).filter(|meant| self.lives(meant))?;
            Some((source, meant))
        })?;
        // What has more of a regular expression in it would be another glob.
        let glob = (!source.contains(".*") && !source.contains('\\')).then_some(source);
        let glob = glob.map(|glob| format!(", or --glob '{}'", visible(&glob)));
        Some(format!("'{}'{}", visible(&meant), glob.unwrap_or_default()))
    }

    /// Both places as text, without the slash that may end them; empty if they are no text.
    fn roots(&self) -> (&str, &str) {
        let [mountpoint, backing] = [&self.mountpoint, &self.backing].map(|path| path.to_str());
        let (mountpoint, backing) = mountpoint.zip(backing).unwrap_or_default();
        (mountpoint.trim_end_matches('/'), backing.trim_end_matches('/'))
    }

    fn lives(&self, source: &str) -> bool {
        Pattern::new(source).is_ok_and(|pattern| self.may_match(&pattern))
    }

    fn lives_as_glob(&self, glob: &str) -> bool {
        words::glob(glob).is_ok_and(|regex| self.lives(&regex))
    }
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
            "/data/raw/member",
        ] {
            assert_eq!(told(source), None, "{source}");
        }
        for (source, meant) in [
            ("member/wal", "'.*/member/wal' or, for what is below it, '.*/member/wal/.*'"),
            (
                "/mnt/etcd2",
                "'/data/raw' or, for what is below it, '/data/raw/.*', or --glob '/data/raw/**'",
            ),
            ("/mnt/etcd2/a.b", "'/data/raw/a.b'"),
            ("/mnt/etcd2/member/.*", "'/data/raw/member/.*', or --glob '/data/raw/member/**'"),
            ("^/mnt/etcd2/.*", "'/data/raw/.*'"),
            ("(/mnt/etcd2/x/.*|/mnt/etcd2/y)", "'(/data/raw/x/.*|/data/raw/y)'"),
            (r"/mnt/etcd2/[^/]*\.log", "--glob '/data/raw/*.log'"),
            ("/member/[^/]*", "--glob 'member/*'"),
            ("/wal/.*", "'.*/wal/.*', or --glob 'wal/**'"),
            ("^wal/.*", "'.*/wal/.*'"),
            ("./member/.*", "'.*/member/.*'"),
            ("a.log|b.txt", "'.*/(a.log|b.txt)'"),
            (r"\.log", r"'.*\.log'"),
            ("/data/raws/.*", "'.*/data/raws/.*', or --glob 'data/raws/**'"),
        ] {
            let expected = format!(
                "the pattern matches no path here, since each begins with /data/raw/; did you mean {meant}?"
            );
            assert_eq!(told(source).as_deref(), Some(&*expected), "{source}");
        }
        for (source, meant) in [
            ("/data/raw/", "'/data/raw' or, for what is below it, '/data/raw/.*'"),
            (".*/wal/", "'.*/wal' or, for what is below it, '.*/wal/.*'"),
            ("/data/raw//a.b", "'/data/raw/a.b'"),
        ] {
            let expected = format!(
                "the pattern matches no path here, since no path ends in a slash or has two in a row; did you mean {meant}?"
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
            ("/wal/*", true, "'.*/wal/.*', or --glob 'wal/*'"),
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
