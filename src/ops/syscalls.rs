//! What people call a method: its name in any case, or a system call or a command that comes as one.
//! No locks.

use super::Method;

/// Words that are no method's name, and the methods that they come as.
const COMES_AS: [(&[&str], &str); 33] = [
    (&["stat", "lstat", "fstat", "fstatat", "newfstatat", "statx", "lookup"], "getattr"),
    (&["close"], "flush (each close) or release (the last)"),
    (&["mmap", "munmap", "map"], "read (pages come in) or write (they are written back)"),
    (&["msync"], "fdatasync"),
    (&["sync", "syncfs"], "fsync or fdatasync: sync and syncfs themselves ask nothing"),
    (&["sync_file_range"], "write: what is written back"),
    (&["datasync"], "fdatasync"),
    (&["pread", "pread64", "preadv", "preadv2", "readv", "readahead"], "read"),
    (&["pwrite", "pwrite64", "pwritev", "pwritev2", "writev", "append"], "write"),
    (&["sendfile", "splice"], "read or write"),
    (&["aio", "io_uring", "io"], "read, write, fsync or fdatasync"),
    (&["openat", "openat2"], "open (a file that is there) or create (a new one)"),
    (&["creat", "touch"], "create"),
    (&["exec", "execve"], "open or read"),
    (&["remove", "delete", "rm", "unlinkat"], "unlink (a file) or rmdir (a directory)"),
    (&["mv", "move", "renameat", "renameat2"], "rename"),
    (&["mkdirat"], "mkdir"),
    (&["mknodat", "mkfifo"], "mknod"),
    (&["linkat", "hardlink"], "link"),
    (&["symlinkat", "softlink"], "symlink"),
    (&["readlinkat"], "readlink"),
    (&["ls", "list", "dir", "getdents", "getdents64", "readdirplus"], "opendir or readdir"),
    (&["closedir"], "releasedir"),
    (&["df", "statvfs", "fstatfs", "fstatvfs"], "statfs"),
    (&["fchmod", "fchmodat"], "chmod"),
    (&["fchown", "lchown", "fchownat"], "chown"),
    (&["setattr"], "chmod, chown, truncate, ftruncate or utimens"),
    (&["utime", "utimes", "utimensat", "futimens"], "utimens"),
    (&["faccessat", "faccessat2"], "access"),
    (&["seek", "llseek", "_llseek"], "lseek"),
    (&["fcntl", "lockf", "setlk", "getlk"], "lock"),
    (&["xattr", "fsetxattr", "fgetxattr"], "getxattr, setxattr, listxattr or removexattr"),
    (&["any", "every", "everything", "*"], "all"),
];

impl Method {
    /// The method of that name in any case.
    #[must_use]
    pub(crate) fn from_word(word: &str) -> Option<Method> {
        Self::all().find(|method| method.name().eq_ignore_ascii_case(word))
    }

    /// What to write for a word that is no method: one or several, and what each is.
    #[must_use]
    pub(crate) fn comes_as(word: &str) -> Option<&'static str> {
        let known = |words: &[&str]| words.iter().any(|known| known.eq_ignore_ascii_case(word));
        COMES_AS.iter().find(|(words, _)| known(words)).map(|(_, methods)| *methods)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_known_in_any_case() {
        for method in Method::all() {
            assert_eq!(Method::from_word(&method.name().to_ascii_uppercase()), Some(method));
        }
        assert_eq!(Method::from_word("fsyncd"), None);
    }

    #[test]
    fn each_word_leads_to_methods_and_is_none() {
        let mut seen = Vec::new();
        for (words, methods) in COMES_AS {
            for word in words {
                assert!(Method::from_word(word).is_none() && *word != "all", "{word}");
                assert!(!seen.contains(&word), "{word} twice");
                seen.push(word);
            }
            let told = methods.split(": ").next().unwrap();
            let named = told.split(" or ").flat_map(|part| part.split(", "));
            for name in named.map(|name| name.split(" (").next().unwrap()) {
                assert!(name == "all" || Method::from_name(name).is_some(), "{name} of {methods}");
            }
        }
        assert_eq!(Method::comes_as("STAT"), Some("getattr"));
        assert_eq!(Method::comes_as("fsycn"), None);
    }
}
