#!/usr/bin/env bash
# Fuzzes what a control connection may bring, from the golden frames on.
# Needs `cargo install cargo-fuzz` and g++; the stable toolchain does.
# usage: fuzz/run.sh [SECONDS]    600 unless told
set -euo pipefail
cd "$(dirname "$0")/.."

command -v cargo-fuzz >/dev/null || {
    echo "fuzz: no cargo-fuzz here: cargo install cargo-fuzz" >&2; exit 1; }

mkdir -p fuzz/corpus/control
while read -r name hex; do
    printf '%b' "$(sed 's/../\\x&/g' <<<"$hex")" >"fuzz/corpus/control/$name"
done <tests/golden/frames.txt

# What one call leaves to the next of its connection.
(cd fuzz/corpus/control && cat power_prepare power_commit unsynced power_on >power-in-place &&
    cat run_load_stored run_start run_read run_stop >scenario && cat trace_start trace_read trace_stop >trace)

# HTTP begins with a letter: a request of each path and method of its table.
grep -oE '(GET|PUT|POST|DELETE) /[a-zA-Z0-9/_-]*' docs/http.md | sort -u | while read -r method path; do
    printf '%s %s HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}' \
        "$method" "$path" >"fuzz/corpus/control/http-$method${path//\//-}"
done

# The words of the calls, and those of the kinds, their parameters and the options as the reference has
# them: a new kind is fuzzed without being named here.
words=fuzz/corpus/words.dict
{ cat fuzz/control.dict; grep -oE '`[a-z_-]+`|^## slowfs [a-z-]+' docs/kinds.md |
    sed 's/^## slowfs //; s/`//g; s/.*/"&"/' | sort -u; } >"$words"

RUSTC_BOOTSTRAP=1 cargo fuzz run control -- -dict="$words" -max_len=2048 \
    -rss_limit_mb=1024 -timeout=5 -max_total_time="${1:-600}"
