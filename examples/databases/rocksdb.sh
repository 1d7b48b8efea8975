#!/usr/bin/env bash
# RocksDB's data rots on the disk: its checksums tell, and once the right bytes are back, all is there.
. "$(dirname "$0")/mount.sh"
for n in {1000..1999}; do echo "key$n ==> $(printf '%0100d' "$n")"; done | ldb --db=db --create_if_missing load 2>/dev/null
ldb --db=db compact
count() { ldb --db=db scan 2>&1 | grep -c '^key' || true; }
count
slowfs rot flip -r '.*\.sst' --spots 20 --seed 1
{ ldb --db=db scan 2>&1 || true; } | grep -o 'Corruption: block checksum mismatch'
slowfs injections --json | grep -o '"standing"' | wc -l
slowfs heal --all
count

# What one sees:
#> 1000
#> 20 spots changed in 1 file of 5000+ bytes, with seed 1; `slowfs heal --all` undoes it
#> Corruption: block checksum mismatch
#> 20
#> 20 healed
#> 1000
