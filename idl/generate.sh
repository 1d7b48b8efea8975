#!/bin/sh
# Makes idl/gen-py, the Python stubs of both interfaces, with Debian's thrift-compiler.
#   generate.sh           writes them
#   generate.sh --check   fails if the committed ones differ from what the compiler makes
set -eu
cd "$(dirname "$0")"

usage() { echo "usage: $0 [--check]" >&2; exit 2; }
[ $# -le 1 ] || usage
case "${1-}" in ''|--check) ;; *) usage ;; esac

wanted=0.17.0
command -v thrift >/dev/null || {
    echo "$0: no thrift compiler: apt-get install thrift-compiler" >&2; exit 1; }
found=$(thrift --version | sed 's/^Thrift version //')
[ "$found" = "$wanted" ] || {
    echo "$0: thrift compiler $found found, $wanted wanted: others write other stubs" >&2; exit 1; }

fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
for idl in charybdefs slowfs; do
    # The missing field ids are the point of charybdefs.thrift: only that warning is dropped.
    thrift --gen py -out "$fresh" "$idl.thrift" >"$fresh/warnings" 2>&1 || {
        cat "$fresh/warnings" >&2; exit 1; }
    grep -v -e 'No field key specified for' -e '^$' "$fresh/warnings" >&2 || true
done
rm -f "$fresh/warnings"
find "$fresh" -name '*-remote' -exec chmod 755 {} +

if [ "${1-}" = --check ]; then
    diff -r -x __pycache__ -x '*.pyc' gen-py "$fresh" || {
        echo "$0: idl/gen-py is stale: run idl/generate.sh and commit" >&2; exit 1; }
else
    rm -rf gen-py
    mkdir gen-py
    cp -R "$fresh"/. gen-py/
fi
