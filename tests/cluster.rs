//! Mounts on other machines: all are asked at once, and one that does not answer costs its own time only. The machines
//! are network namespaces; see tests/alone/mod.rs.
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
