//! What other users have mounted and listen with holds nobody up, and passes for nothing that it is not.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;

/// `mounts TYPE DIR`: user 1234 has mounted a filesystem there that never answers. `socket_for DIR`: where the
/// control socket of a mount there would be. `serves MODE SOCKET`: somebody listens there, and
/// - drips: answers a byte each half second;
/// - floods: answers without an end, and tells in `sent` how much was taken;
/// - hears: tells in `heard` what is asked;
/// - swaps: puts a link to the socket `$VICTIM` in place of its own once somebody has come.
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
cat >serves.py <<'END'
import os, socket, struct, sys, threading, time
mode, path = sys.argv[1:]
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(100)
def drip(peer):
    for byte in b'\x80\1\0\2\0\0\3\0' + b'a' * 768:
        peer.send(bytes([byte]))
        time.sleep(0.5)
def flood(peer):
    sent = 0
    try:
        if not peer.recv(1000): return
        peer.sendall(b'\x80\1\0\2\0\0\0\4info\0\0\0\1')
        while True:
            sent += peer.send(b'\x0b\0\x63' + struct.pack('>i', 60_000) + b'a' * 60_000)
    except OSError:
        open('sent', 'w').write(f'{sent}\n')
def hear(peer):
    open('heard', 'ab').write(peer.recv(1000))
def swap(peer):
    os.symlink(os.environ['VICTIM'], path + '~')
    os.rename(path + '~', path)
    time.sleep(1000)
act = {'drips': drip, 'floods': flood, 'hears': hear, 'swaps': swap}[mode]
while True:
    threading.Thread(target=act, args=[listener.accept()[0]], daemon=True).start()
END
mounts() { python3 fuse.py "$@" & soon is_mounted "$2"; }
socket_for() { python3 -c 'import re, sys
print(re.sub(r"[^a-zA-Z0-9:_./]", lambda at: "\\x%02x" % ord(at[0]), sys.argv[1]).strip("/").replace("/", "-"))' "$1"; }
fails() { ! "$@"; }
serves() { python3 serves.py "$@" & soon test -S "$2"; }
# The sessions of other scripts are nobody's business here.
mkdir -p /run/user
mount -t tmpfs none /run/user
mkdir -p /run/user/1234/slowfs
chown -R 1234 /run/user/1234
# state DIR: what `ps` says of the mount there
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

#[test]
fn who_answers_by_drops_is_not_waited_for() {
    alone(
        r#"
for n in $(seq 20); do serves drips /run/slowfs/$n; done
timeout -k 1 30 slowfs ps --json >rows & ps=$!
most=0
while kill -0 $ps 2>/dev/null; do
    for now in $(sed -n 's/^Threads:\s*//p' /proc/$(pgrep -x slowfs)/status 2>/dev/null); do
        most=$((now > most ? now : most))
    done
done
wait $ps || die 'it waits'
[ "$(state /run/slowfs/7)" = silent ] || die "$(cat rows)"
[ "$(wc -l <rows)" = 20 ] || die "$(cat rows)"
((most > 1 && most < 20)) || die "$most threads"
"#,
    );
}

#[test]
fn who_answers_without_an_end_is_not_listened_to() {
    alone(
        r#"
serves floods /run/slowfs/x
within 30000 slowfs ps --json >rows
[ "$(state /run/slowfs/x)" = wrong ] || die "$(cat rows)"
grep -qF 'is larger than the' rows || die "$(cat rows)"
soon test -s sent
(($(cat sent) < 8000000)) || die "$(cat sent) bytes were taken"
"#,
    );
}

#[test]
fn in_the_place_of_a_user_nobody_else_is_asked() {
    alone(
        r#"
mounts fuse.slowfs "$PWD/mnt"
serves hears "/run/user/1234/slowfs/$(socket_for "$PWD/mnt")"
slowfs ps --json >rows
[ "$(state "$PWD/mnt")" = 'no socket' ] || die "$(cat rows)"
! [ -s heard ] || die "$(cat heard)"
"#,
    );
}

#[test]
fn a_link_in_the_place_of_a_socket_leads_to_nobody() {
    alone(
        r#"
mkdir raw2 mnt2 mnt3
slowfs mount mnt2 --subdir raw --listen none --daemon --log-file log
mounts fuse.slowfs "$PWD/mnt"
socket=/run/user/1234/slowfs/$(socket_for "$PWD/mnt")
export VICTIM=$(echo /run/slowfs/*)
setpriv --reuid 1234 --regid 1234 --clear-groups python3 serves.py swaps "$socket" &
soon test -S "$socket"
# The look at what is left of this one waits for the lock, while the link comes.
slowfs mount mnt3 --subdir raw2 --listen none --daemon --pid-file pid 2>/dev/null
kill -9 "$(cat pid)"
flock /run/slowfs/.lock sleep 100 & soon fails flock -n /run/slowfs/.lock true
slowfs ps --json >rows
test -L "$socket" || die 'nothing was swapped'
[ "$(state "$PWD/mnt")" = wrong ] || die "$(cat rows)"
grep -qF 'it is no socket any more' rows || die "$(cat rows)"
[ "$(state "$PWD/mnt2")" = live ] || die "$(cat rows)"
"#,
    );
}

/// Root sees the mounts of all users, by every command.
#[test]
fn root_is_asked_of_which_users_mount_it_means() {
    alone(
        r#"
mknod -m 666 fuse c 10 229
mount --bind fuse /dev/fuse
program_for_users
mkdir raw2 mnt2 raw3 mnt3
chown 65534 raw raw3 mnt mnt3
at() { local dir=$1; shift; "$@" | grep -qF " at $PWD/$dir," || die "not $dir: $*"; }
theirs() { setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR slowfs "$@"; }
theirs mount mnt --subdir raw --listen none --daemon 2>log
at mnt slowfs ping
slowfs delay 1ms -m fsync
slowfs match "$PWD/raw/f" | grep -qF "$PWD/raw/f meets 1 of 1 fault"
slowfs mount mnt2 --subdir raw2 --listen none --daemon 2>log
refused slowfs clear
says 'there are 2 mounts' "$PWD/mnt" "$PWD/mnt2"
slowfs match "$PWD/raw/f" | grep -qF "$PWD/raw/f meets 1 of 1 fault"
slowfs match "$PWD/raw2/f" | grep -qF "$PWD/raw2/f meets 0 of 0 faults"

# What one's daemon answers holds for the mount by which it was found, for no other.
theirs mount mnt3 --subdir raw3 --listen none --daemon 2>log
first=$(echo /tmp/slowfs-65534/*"${PWD##*-}"-mnt) third=$(echo /tmp/slowfs-65534/*"${PWD##*-}"-mnt3)
cp -l "$first" "$first.kept"
mv "$third" "$third.kept"
ln -f "$third.kept" "$first"
slowfs ps >table
grep -qE "^$PWD/mnt .* wrong +-$" table || die "$(cat table)"
grep -qF "$PWD/mnt cannot be asked: the socket $first of another user answers for $PWD/mnt3" table || die "$(cat table)"
grep -qE "^$PWD/mnt3 .* no socket +-$" table || die "$(cat table)"
! slowfs doctor >table || die 'nothing is to do'
tr -d '\n' <table | tr -s ' ' | grep -qF "ask it by the slowfs that mounted it" || die "$(cat table)"
mv "$first.kept" "$first"
mv "$third.kept" "$third"
slowfs ps >table
for name in mnt mnt2 mnt3; do grep -qE "^$PWD/$name .* live " table || die "$(cat table)"; done
theirs umount mnt
theirs umount mnt3
slowfs umount mnt2
"#,
    );
}
