//! Mounts on other machines: all are asked at once, one that does not answer costs its own time only, and ports serve
//! whom they are to. The machines are network namespaces; see tests/alone/mod.rs.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its helpers too"
)]

mod alone;

/// `member N`: a machine 10.77.N.2 beside this one, 10.77.N.1. `inside N COMMAND`: on it. `codes CODE COMMAND`: ends
/// with that, its streams in `out` and `said`.
const MACHINES: &str = r#"
declare -A machine
elsewhere() { [ "$(readlink "/proc/$1/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
member() {
    local n=$1 pid
    unshare --net sleep 1000 & pid=$!
    soon elsewhere "$pid"
    machine[$n]=$pid
    ip link add "to$n" type veth peer name lan netns "$pid"
    ip address add "10.77.$n.1/24" dev "to$n"
    ip link set "to$n" up
    inside "$n" ip address add "10.77.$n.2/24" dev lan
    inside "$n" ip link set lan up
    inside "$n" ip link set lo up
    mkdir "raw$n" "mnt$n"
}
inside() { nsenter --net="/proc/${machine[$1]}/ns/net" "${@:2}"; }
codes() {
    local code=0
    "${@:2}" >out 2>said || code=$?
    [ "$code" = "$1" ] || die "ended with $code in the place of $1: ${*:2}"
}
"#;

fn on_machines(script: &str) {
    alone::run(&format!("{MACHINES}{script}"));
}

/// Member 3 is behind a blackhole: what is sent to either of its addresses is lost without a word.
#[test]
fn a_member_behind_a_blackhole_costs_its_own_time_only() {
    on_machines(
        r#"
for n in 1 2 3; do
    member $n
    inside $n slowfs mount "raw$n" "mnt$n" --listen 0.0.0.0:9090 --daemon --log-file "log$n" >/dev/null
done
inside 3 ip address add 10.77.3.3/24 dev lan
inside 3 ip route add blackhole 10.77.3.1/32
# A name with two addresses has no more time than one with one.
printf '127.0.0.1 localhost\n10.77.3.2 third\n10.77.3.3 third\n' >hosts
mount --bind hosts /etc/hosts
[ "$(getent ahostsv4 third | cut -d' ' -f1 | sort -u | wc -l)" = 2 ]
cat >fleet <<'END'
# three machines
10.77.1.2:9090

third:9090    # behind a blackhole
10.77.2.2
END
has() { slowfs list "./mnt$1" --json | grep -q '"time":150000000'; }
# A trace reaches for all at once, too: both that are lost, each of two addresses, before the one that is there.
(
    began=$(date +%s%N)
    slowfs trace --addr third:9090,third:9091,10.77.2.2 --for 10ms >traced 2>lost && exit 1
    echo $((($(date +%s%N) - began) / 1000000)) >took
) & tracing=$!
(within 9000 codes 1 slowfs delay 150ms -m fsync --addr @fleet) & setting=$!
soon has 1
soon has 2
kill -0 "$setting" || die "the others were told after the lost one"
wait "$setting"
wait "$tracing"
(($(cat took) >= 5000 && $(cat took) <= 9000)) || die "the trace took $(cat took) ms"
[ "$(wc -l <said)" = 1 ] || die "one line is wanted"
says 'cannot connect to third:9090: no answer within 5s'
[ "$(cut -d' ' -f1 out | tr '\n' ' ')" = '10.77.1.2:9090: 10.77.2.2: ' ] || die "$(cat out)"
[ "$(grep -c 'no answer within 5s' lost)" = 2 ] || die "$(cat lost)"
grep -q '10.77.2.2' traced
has 3 && die 'the lost one was told'
# Where it answers again all are done, and by the variable as well.
inside 3 ip route del blackhole 10.77.3.1/32
SLOWFS_ADDR=@fleet codes 0 slowfs clear
[ "$(wc -l <out)" = 3 ] || die "$(cat out)"
# A line that is none, and nobody is asked.
echo 10.77.1.2:x >>fleet
codes 2 slowfs delay 150ms -m fsync --addr @fleet
says 'fleet:6: "10.77.1.2:x": not HOST:PORT'
has 1 && die 'told by a file that is wrong'
SLOWFS_ADDR=@fleet codes 1 slowfs list
says 'fleet:6: '
for n in 1 2 3; do slowfs umount "./mnt$n"; done
"#,
    );
}

/// Machine 1 serves this one, 10.77.1.1 and fd77::1, and neither itself nor any other address.
#[test]
fn who_comes_from_elsewhere_is_closed_counted_and_told_of_now_and_then() {
    on_machines(
        r#"
member 1
ip address add fd77::1/64 dev to1 nodad
inside 1 ip address add fd77::2/64 dev lan nodad
ip address add 10.77.9.1/24 dev to1
inside 1 ip route add 10.77.9.0/24 dev lan
(umask 077; echo secret >token)
inside 1 slowfs mount raw1 mnt1 --listen '[::]:9090' --http '[::]:9464' --http-token token \
    --allow 10.77.1.0/24 --allow fd77::1 --daemon --log-file log >/dev/null
grep -q 'the ports serve only clients from 10.77.1.0/24, fd77::1' log
grep -q 'anybody who reaches' log && die 'it warns although it lets in a part only'
answers_http() { # TARGET: the status of an answer; nothing where there is none
    exec 3<>"/dev/tcp/$1/9464"
    printf 'GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' >&3 || true
    head -n 1 <&3 2>/dev/null | cut -d' ' -f2 || true
    exec 3>&-
}
# Over IPv4, of which a port of both protocols tells in the form of IPv6, and over IPv6.
for there in 10.77.1.2 fd77::2; do
    slowfs delay 10ms -m fsync --name slow --addr "$there" >/dev/null
    [ "$(answers_http $there)" = 200 ]
done
# From addresses that are not let in: that machine itself, and another one of this machine.
dropped() { slowfs stats ./mnt1 --json | grep -oE '"connections_dropped":[0-9]+' | cut -d: -f2; }
[ "$(dropped)" = 0 ]
codes 1 inside 1 slowfs list --addr 127.0.0.1:9090
says 127.0.0.1:9090
codes 1 inside 1 slowfs list --addr ::1
[ "$(dropped)" = 2 ]
[ -z "$(inside 1 bash -c "$(declare -f answers_http); answers_http 127.0.0.1")" ]
ip route replace 10.77.1.2/32 dev to1 src 10.77.9.1
codes 1 slowfs list --addr 10.77.1.2
ip route del 10.77.1.2/32
slowfs list --addr 10.77.1.2 >/dev/null
[ "$(dropped)" = 4 ]
# Many of them are counted each and told of together; meanwhile others are served.
inside 1 bash -c 'for _ in {1..200}; do exec 3<>/dev/tcp/127.0.0.1/9090; exec 3>&-; done'
soon eval '[ "$(dropped)" = 204 ]'
slowfs ping --addr 10.77.1.2 >/dev/null
told=$(grep -c 'connection dropped: --allow does not let that address in' log)
((told >= 1 && told <= 4)) || die "$told lines tell of them"
grep -m1 'connection dropped' log | grep -q 'peer=\[\?\(::ffff:\)\?127.0.0.1'
slowfs umount ./mnt1
# What names no network, and a mount without any port.
codes 2 slowfs mount raw1 mnt1 --allow 10.77.1.1/24
says '10.77.1.1/24' 'write 10.77.1.0/24'
codes 2 slowfs mount raw1 mnt1 --allow db1
says db1 'names are not looked up'
codes 1 slowfs mount raw1 mnt1 --listen none --allow 10.0.0.0/8
says '--allow is about ports'
# Who lets everybody in is warned all the same.
inside 1 slowfs mount raw1 mnt1 --listen 0.0.0.0:9090 --allow ::1 --allow 0.0.0.0/0 --daemon --log-file log2 >/dev/null
grep -q 'anybody who reaches 0.0.0.0:9090 can inject faults' log2
slowfs umount ./mnt1
"#,
    );
}

/// Containers as a runtime makes them: a directory of the node is in each, shared with the sidecar, and with the
/// database's one way only (rshared and rslave; Bidirectional and HostToContainer).
#[test]
fn a_container_whose_daemon_is_killed_gets_errors_until_the_next_one_mounts() {
    alone::run(
        r#"
here=$PWD
mkdir node side db
mount -t tmpfs none node
mount --make-rshared node
mkdir -p node/raw/held node/volume/data
container() { # PROPAGATION PLACE COMMAND...: in a container that has the volume at PLACE
    exec unshare --mount --propagation "$1" bash -c 'mount --rbind node/volume "$0" && exec "$@"' "${@:2}"
}
(container slave db sleep 1000) & db=$!
soon grep -q sleep "/proc/$db/comm"
in_db() { nsenter --mount="/proc/$db/ns/mnt" bash -c "cd '$here' && $1"; }
in_db_there() { [ "$(in_db 'findmnt -rno FSTYPE db/data')" = fuse.slowfs ]; }

(container unchanged side slowfs mount node/raw side/data --listen none 2>log) & daemon=$!
soon in_db_there
in_db 'echo first >db/data/file'
[ "$(cat node/raw/file)" = first ]
# Commands are given in the sidecar, and met in the other container.
nsenter --mount="/proc/$daemon/ns/mnt" slowfs ping "$here/side/data" >/dev/null
nsenter --mount="/proc/$daemon/ns/mnt" slowfs error ENOSPC -m mkdir --mount "$here/side/data" >/dev/null
in_db 'mkdir db/data/dir 2>said' && die 'it met no fault'
grep -q 'No space left' said

nsenter --mount="/proc/$daemon/ns/mnt" slowfs hang -m rmdir --mount "$here/side/data" >/dev/null
in_db 'rmdir db/data/held 2>held' & holding=$!
holds() { nsenter --mount="/proc/$daemon/ns/mnt" slowfs list --mount "$here/side/data" --json | grep -q '"held":1'; }
soon holds
mkfifo go
in_db 'exec 3>>db/data/file; >opened; read -r _ <go; echo second >&3' 2>written & writing=$!
soon test -e opened
kill -KILL "$daemon"
wait "$daemon" || true
wait "$holding" && die 'what was held has succeeded'
grep -q 'connection abort' held
in_db 'ls db/data' 2>said && die 'a dead mount answers'
grep -q 'Transport endpoint is not connected' said
findmnt -rn node/volume/data >/dev/null || die 'the node sees a mount no more'

(container unchanged side slowfs mount node/raw side/data --listen none 2>log) & daemon=$!
soon in_db 'grep -q first db/data/file 2>/dev/null'
[ "$(grep -c " $here/db/data " "/proc/$db/mountinfo")" = 1 ] || die 'the dead mount is below the new one'
# What was opened before stays dead, whoever serves the path now.
echo >go
wait "$writing" && die 'a file of the dead mount was written'
grep -q 'Transport endpoint is not connected' written
[ "$(cat node/raw/file)" = first ]

kill "$daemon"
wait "$daemon"
[ -z "$(in_db 'findmnt -rn db/data')" ] && [ -z "$(findmnt -rn node/volume/data)" ] || die 'a mount is left'
kill "$db"
"#,
    );
}
