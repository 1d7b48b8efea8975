//! The token of those who may ask over HTTP: in a file that nobody else reads. No locks.

use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::error::{StartError, strip};

/// Longer than any.
const LONGEST: usize = 4096;

/// What that file has, which is to be of one line.
///
/// # Errors
/// It cannot be read, others may read it, or it has no token.
pub(super) fn read(path: &Path) -> Result<String, StartError> {
    let refused = |why: String| StartError::Token(path.to_owned(), why);
    // A pipe would hold the start up.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path);
    let file = file.map_err(|e| refused(strip(&e).to_string()))?;
    let found = file.metadata().map_err(|e| refused(strip(&e).to_string()))?;
    if !found.is_file() {
        return Err(refused("it is no file".to_owned()));
    }
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(refused(format!(
            "its mode is {mode:03o}, so that others may read it: chmod 600"
        )));
    }
    let own = rustix::process::geteuid().as_raw();
    if found.uid() != own && found.uid() != 0 {
        return Err(refused(format!("it belongs to user {}, not to {own}", found.uid())));
    }
    let mut text = String::new();
    let read = file.take(LONGEST as u64 + 1).read_to_string(&mut text);
    read.map_err(|e: io::Error| refused(strip(&e).to_string()))?;
    let token = text.trim();
    if token.is_empty() {
        let why = "it is empty; make one: (umask 077; head -c 24 /dev/urandom | base64 >FILE)";
        return Err(refused(why.to_owned()));
    }
    if token.len() > LONGEST || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(refused("a token is one line of ASCII without blanks".to_owned()));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_taken_from_a_file_that_nobody_else_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let given = |text: &[u8], mode: u32| {
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            read(&path).map_err(|e| e.to_string())
        };
        assert_eq!(given(b"secret\n", 0o600).as_deref(), Ok("secret"));
        assert_eq!(given(b"secret", 0o400).as_deref(), Ok("secret"));
        for (text, mode, why) in [
            (&b"secret"[..], 0o640, "its mode is 640"),
            (b"secret", 0o604, "its mode is 604"),
            (b"", 0o600, "it is empty"),
            (b" \n", 0o600, "it is empty"),
            (b"two words", 0o600, "one line of ASCII"),
            (b"two\nlines", 0o600, "one line of ASCII"),
            (b"\xff", 0o600, "UTF-8"),
        ] {
            let told = given(text, mode).unwrap_err();
            assert!(told.contains(why) && told.contains("--http-token"), "{told}");
        }
        let long = vec![b'x'; LONGEST + 1];
        assert!(given(&long, 0o600).unwrap_err().contains("one line of ASCII"));
        assert!(read(dir.path()).unwrap_err().to_string().contains("it is no file"));
        assert!(read(&dir.path().join("none")).unwrap_err().to_string().contains("No such file"));
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        std::os::unix::fs::chown(&path, Some(65533), None).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("belongs to user 65533"));
    }
}
