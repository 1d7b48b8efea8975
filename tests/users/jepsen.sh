# Jepsen's charybdefs: whatever an earlier test left is unmounted first, the failure ignored; then
# the cookbook's script breaks everything, or one call in a hundred, and clears.
cookbook() { python3 "$REPOSITORY/examples/cookbook/recipes.py" "$@" >/dev/null; }
mkdir -p real faulty
umount "$PWD/faulty" 2>/dev/null || true
for round in 1 2; do
    charybdefs "$PWD/faulty" -oallow_other,modules=subdir,subdir="$PWD/real" 2>log
    chmod 777 real faulty
    echo 1 >faulty/data
    cookbook --io-error
    refused cat faulty/data
    grep -q 'Input/output error' said
    cookbook --probability
    python3 - faulty/data <<'END'
import os, sys
fd, failed = os.open(sys.argv[1], os.O_RDWR), 0
for _ in range(4000):
    try:
        os.pwrite(fd, b"1", 0)
    except OSError:
        failed += 1
assert 8 <= failed <= 90, f"{failed} of 4000 failed, not about 40"
END
    cookbook --clear
    [ "$(cat faulty/data)" = 1 ]
    umount faulty
    soon ended charybdefs
done
