#!/usr/bin/env bash
# Runs over a list of delays, repeated, in random order; goes on where an interrupted one stopped.
# usage: [VARIABLE=value ...] sweep.sh paper|custom|MICROSECONDS,...
# README.md beside it lists the variables.
set -euo pipefail
exec "${PYTHON:-/usr/bin/python3}" "$(dirname "$(readlink -f "$0")")/sweep.py" "$@"
