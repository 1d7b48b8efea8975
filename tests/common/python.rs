//! The Python that plays clients and servers.

use std::process::{Command, Stdio};

/// A python3 that has thrift: the one named in SLOWFS_TEST_PYTHON, that on PATH, or the system's.
pub(crate) fn with_thrift() -> String {
    let named = std::env::var("SLOWFS_TEST_PYTHON").ok();
    let candidates = named.into_iter().chain(["python3".into(), "/usr/bin/python3".into()]);
    for python in candidates {
        let test =
            Command::new(&python).args(["-c", "import thrift"]).stderr(Stdio::null()).status();
        if test.is_ok_and(|status| status.success()) {
            return python;
        }
    }
    panic!(
        "no python3 with thrift: apt-get install python3-thrift, or name one in SLOWFS_TEST_PYTHON"
    );
}
