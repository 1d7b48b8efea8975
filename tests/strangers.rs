//! What other users have mounted and listen with holds nobody up, and passes for nothing that it is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;

/// `mounts TYPE DIR`: user 1234 has mounted a filesystem there that never answers. `state DIR`: what `ps` says of the mount there.
const HARNESS: &str = r#"
cat >fuse.py <<'END'
import ctypes, os, sys, time
kind, where = sys.argv[1:]
device = os.open('/dev/fuse', os.O_RDWR)
data = f'fd={device},rootmode=40000,user_id=1234,group_id=1234,allow_other'
libc = ctypes.CDLL(None, use_errno=True)
assert libc.mount(b'none', where.encode(), kind.encode(), 6, data.encode()) == 0, ctypes.get_errno()
time.sleep(1000)
END
mounts() { python3 fuse.py "$@" & soon is_mounted "$2"; }
# The sessions of other scripts are nobody's business here.
mkdir -p /run/user
mount -t tmpfs none /run/user
mkdir -p /run/user/1234/slowfs
chown -R 1234 /run/user/1234
state() { python3 -c 'import json, sys
print(*[row["state"] for row in map(json.loads, open("rows")) if sys.argv[1] in (row["mountpoint"], row["socket"])])' "$1"; }
"#;

fn alone(script: &str) {
    alone::run(&format!("{HARNESS}{script}"));
}

#[test]
fn a_filesystem_that_never_answers_holds_no_look_up() {
    alone(
        r#"
mounts fuse.slowfs "$PWD/mnt"
# Where a socket would be, above that, and above a mirror.
mounts fuse.other /run/user/1234/slowfs
within 60000 timeout -k 1 30 slowfs ps --json >rows
[ "$(state "$PWD/mnt")" = 'no socket' ] || die "$(cat rows)"
mounts fuse.other /run/user/1234
mkdir -p deep/mnt
mounts fuse.slowfs "$PWD/deep/mnt"
mounts fuse.other "$PWD/deep"
within 60000 timeout -k 1 30 slowfs ps --json >rows
[ "$(state "$PWD/deep/mnt")" = 'no socket' ] || die "$(cat rows)"
within 60000 timeout -k 1 30 slowfs doctor >table || [ -s table ] || die 'the doctor waits'
"#,
    );
}
