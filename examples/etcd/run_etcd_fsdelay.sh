#!/usr/bin/env bash
# One run: puts to an etcd leader whose write-ahead log is delayed (delay) or not (baseline).
# usage: [VARIABLE=value ...] run_etcd_fsdelay.sh baseline|delay
# README.md beside it lists the variables. The results go below ./results.
set -euo pipefail
# exec: the signals sent to this script are Python's to handle, which clears the fault first.
exec "${PYTHON:-/usr/bin/python3}" "$(dirname "$(readlink -f "$0")")/experiment.py" "$@"
