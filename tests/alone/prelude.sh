# Read by every script that runs alone; see mod.rs.
set -Eeuo pipefail
exec 9>&2 # a command's standard error may be redirected when the trap runs
trap 'echo "FAILED in line $LINENO: $BASH_COMMAND" >&9; cat log said >&9 2>/dev/null || true' ERR
ip link set lo up
# Mounts of other scripts are nobody's business here.
mkdir -p /run/slowfs
mount -t tmpfs -o mode=755 none /run/slowfs
install -d -m 700 -o 65534 -g 65534 /tmp/slowfs-65534
mount -t tmpfs -o mode=700,uid=65534,gid=65534 none /tmp/slowfs-65534
leave_others() {
    local other
    (findmnt -rn -t fuse.slowfs,fuse.charybdefs -o TARGET || true) | while read -r other; do
        umount -l "$(printf '%b' "$other")" # a space is \x20 there
    done
}
leave_others
mkdir -p raw mnt

die() { echo "FAILED: $*" >&9; cat log said >&9 2>/dev/null || true; trap - ERR; exit 1; }

# The program may have been built where other users do not reach it, as below /root.
program_for_users() {
    cp "$(readlink -f bin/slowfs)" bin/slowfs.copy
    mv bin/slowfs.copy bin/slowfs
}

# soon COMMAND...: until it succeeds, within 20 seconds
soon() {
    local end=$((SECONDS + 20))
    until "$@"; do
        ((SECONDS < end)) || die "waited 20 s for: $*"
        sleep 0.02
    done
}

# within MS COMMAND...: it succeeds, and in that time
within() {
    local limit=$1 began took; shift
    began=$(date +%s%N)
    "$@"
    took=$((($(date +%s%N) - began) / 1000000))
    ((took <= limit)) || die "took $took ms of $limit: $*"
}

# refused COMMAND...: fails and says so on standard error, kept in `said`
refused() { if "$@" >/dev/null 2>said; then die "was not refused: $*"; fi; }

# says WORD...: each is in `said`, on a line of the program's own
says() {
    local word
    for word in "$@"; do
        grep -E '^(slowfs|charybdefs|umount|mount|fusermount3?): ' said | grep -qF -- "$word" || die "'$word' was not said"
    done
}

# follow BEGINNING [COMMAND...]: the command with that beginning among those that `said` shows is run, by another
# command; it need not succeed
follow() {
    local tip
    tip=$(grep -oE '`[^`]*`' said | tr -d '`' | grep -- "^$1") || die "no tip $1 in $(cat said)"
    (cd / && "${@:2}" bash -c "$tip")
}

is_mounted() { findmnt -rn "$1" >/dev/null; }
is_gone() { ! is_mounted "$1"; }
# The daemons that run; threads do not count.
running() { pgrep -x "$1" >/dev/null; }
ended() { ! running "$1"; }
port_open() { slowfs ping --addr 127.0.0.1:9090 >/dev/null 2>&1; }

# answers DIR: it is a mirror of raw, and works
answers() {
    [ "$(stat -f -c %T "$1")" = fuseblk ] || [ "$(stat -f -c %T "$1")" = fuse ] || die "$1 is not on FUSE"
    echo hello >"$1/probe"
    [ "$(cat raw/probe)" = hello ] || die "$1 does not mirror raw"
    rm "$1/probe"
}
