# Jepsen's charybdefs by its own commands, on a node where `make install-charybdefs` has put the program where
# Jepsen would build charybdefs: it finds it there, and builds nothing. Then the etcd guide's client, which finds
# the stubs there.
node=$PWD/node
mkdir -p node/{opt,run,tmp}
for place in /bin /dev /etc /lib /lib64 /proc /sbin /usr; do
    if [ -L "$place" ]; then
        cp -P "$place" node
    elif [ -d "$place" ]; then
        mkdir "node$place"
        mount --rbind "$place" "node$place"
    fi
done
on() { chroot "$node" env -i PATH=/usr/bin:/usr/sbin:/bin:/sbin bash -c "$*"; }

"$REPOSITORY/scripts/install-charybdefs" "$(readlink -f "$(command -v slowfs)")" node/opt/charybdefs >said
grep -q 'has charybdefs, slowfs' said

# What `install!` runs: the first word decides whether it builds. (modprobe is the kernel's matter.)
for round in 1 2; do
    on stat /opt/charybdefs/charybdefs >/dev/null
    on 'umount /faulty 2>/dev/null || /bin/true'
    on mkdir -p /real /faulty
    on /opt/charybdefs/charybdefs /faulty -oallow_other,modules=subdir,subdir=/real 2>log
    on chmod 777 /real /faulty
    on 'echo 1 >/faulty/data'
    # The nemesis: :start on one node, :stop on all.
    on 'cd /opt/charybdefs/cookbook; ./recipes --io-error' >said
    grep -q 'EIO' said
    refused on cat /faulty/data
    grep -q 'Input/output error' said
    on 'cd /opt/charybdefs/cookbook; ./recipes --probability' >said
    [ "$(on '/opt/charybdefs/slowfs list --json' | grep -o '"probability": *[0-9.]*')" = '"probability":0.01' ]
    on 'cd /opt/charybdefs/cookbook; ./recipes --clear' >said
    [ "$(on cat /faulty/data)" = 1 ]
done
[ "$(cat node/real/data)" = 1 ]

# What a charybdefs script cannot do, `slowfs` beside it does, on the same table.
on '/opt/charybdefs/slowfs torn-write prefix:1 -m write --count 1' >said
on 'printf 22 >/faulty/torn; cat /faulty/torn' >said
printf '2\0' | cmp - said
on 'cd /opt/charybdefs/cookbook; ./recipes --clear' >said

# The guide's client, with the stubs where the guide has them, and the cookbook's in Python.
mkdir -p node/tmp/guide/scripts
cp "$REPOSITORY/examples/etcd/charyb_fault.py" node/tmp/guide/scripts
cleared=$(on 'PYTHONPATH=/opt/charybdefs/gen-py /usr/bin/python3 /tmp/guide/scripts/charyb_fault.py clear')
[ "$cleared" = 'Charybdefs: CLEARED all faults' ]
on '/usr/bin/python3 -B /opt/charybdefs/cookbook/recipes.py --clear' >said
cmp "$REPOSITORY/idl/charybdefs.thrift" node/opt/charybdefs/server.thrift
refused on 'cd /opt/charybdefs/cookbook; ./recipes'
grep -q 'usage: ./recipes --RECIPE' said

# A charybdefs that somebody has built is left alone; what was installed before is renewed.
"$REPOSITORY/scripts/install-charybdefs" "$(readlink -f "$(command -v slowfs)")" node/opt/charybdefs >said
mkdir -p built
echo built >built/charybdefs
refused "$REPOSITORY/scripts/install-charybdefs" "$(readlink -f "$(command -v slowfs)")" built
grep -q 'built/charybdefs is there already and no link' said
[ "$(cat built/charybdefs)" = built ] && [ ! -e built/slowfs ]
on umount /faulty
soon ended charybdefs
