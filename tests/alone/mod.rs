//! Scripts that run alone: in network, process and mount namespaces of their own, so that port 9090,
//! pkill and the mount table are theirs. What a script leaves behind ends with its namespaces.
#![allow(dead_code, unreachable_pub, reason = "each test file uses a part of it")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How long a script may take before it counts as hung, in seconds.
const PATIENCE: &str = "180";

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

/// Runs `script` by bash in a fresh directory with `raw` and `mnt` in it, after prelude.sh, with
/// `slowfs` and `charybdefs` first on PATH. It must end with success.
pub fn run(script: &str) {
    let scratch = tempfile::Builder::new().prefix("slowfs-alone-").tempdir().unwrap();
    // Other users must be able to reach the mount.
    fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o755)).unwrap();
    let bin = scratch.path().join("bin");
    fs::create_dir(&bin).unwrap();
    for name in ["slowfs", "charybdefs"] {
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_slowfs"), bin.join(name)).unwrap();
    }
    // The system's python3 has python3-thrift; one that comes first on PATH may not.
    std::os::unix::fs::symlink("/usr/bin/python3", bin.join("python3")).unwrap();
    let path = std::env::var("PATH").unwrap_or_default();
    let prelude = repository().join("tests/alone/prelude.sh");
    let script = format!(". {}\n{script}", prelude.display());
    let output = Command::new("timeout")
        .args(["--kill-after=5", PATIENCE, "unshare", "--net", "--mount", "--pid", "--fork"])
        .args(["--kill-child", "--mount-proc", "bash", "-c", &script])
        .current_dir(scratch.path())
        .env("PATH", format!("{}:{path}:/usr/sbin:/sbin", bin.display()))
        .env("REPOSITORY", repository())
        .env("PYTHONPATH", repository().join("idl/gen-py"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env_remove("SLOWFS_ADDR")
        .output()
        .unwrap();
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        said(&output.stdout),
        said(&output.stderr)
    );
}
