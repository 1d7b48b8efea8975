# Read by each example: mounts a mirror of a fresh directory, and goes into it. What is started in the
# background, the mount and the directory end with the example.
set -euo pipefail
export LC_ALL=C
unset SLOWFS_ADDR
dir=$(mktemp -d) raw=$(basename "$0" .sh)
export TMPDIR=$dir
mkdir "$dir/$raw" "$dir/mnt"
user=() # Servers must not be root.
if [ "$(id -u)" = 0 ]; then
    user=(setpriv --reuid=nobody --regid=nogroup --clear-groups)
    chown nobody "$dir" "$dir/$raw"
fi
end() {
    local jobs; jobs=$(jobs -p)
    [ -z "$jobs" ] || kill $jobs 2>/dev/null || true
    wait
    cd / && slowfs umount --force "$dir/mnt" >/dev/null && rm -r "$dir"
}
trap end EXIT
slowfs mount "$dir/$raw" "$dir/mnt" --listen none --daemon --end-with $$ \
    --log-file "$dir/slowfs.log" >/dev/null
cd "$dir/mnt" # slowfs's commands ask the mount around the working directory.

# took COMMAND...: and how long that took
took() {
    local began=${EPOCHREALTIME/./}
    "$@"
    echo "$(((${EPOCHREALTIME/./} - began) / 1000)) ms: $*"
}
# ready COMMAND...: waits until it succeeds
ready() {
    local end=$((SECONDS + 60))
    until "$@" >/dev/null 2>&1; do ((SECONDS < end)) || return 1; sleep 0.1; done
}
