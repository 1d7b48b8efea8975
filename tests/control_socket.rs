//! A mount has a name: its control socket, whom it lets in, and whom a command asks.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;

/// `at DIR COMMAND...`: the command's answer is that of the mount there.
const HARNESS: &str = r#"
at() { local dir=$1; shift; "$@" | grep -qF " at $PWD/$dir," || die "not $dir: $*"; }
as() { local id=$1; shift; setpriv --reuid "$id" --regid "$id" --clear-groups "$@"; }
start() { slowfs mount "$1" --subdir "$2" --daemon --log-file "$1.log" --pid-file "$1.pid" "${@:3}"; }
stop() { slowfs umount "$1"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
sockets() { ls /run/slowfs | wc -l; }
mkdir raw2 mnt2
"#;

fn alone(script: &str) {
    alone::run(&format!("{HARNESS}{script}"));
}

#[test]
fn a_mount_is_reached_by_its_name() {
    alone(
        r#"
start mnt raw --listen none
socket=$(echo /run/slowfs/*)
[ "$(stat -c '%a %u' /run/slowfs "$socket" | xargs)" = '755 0 600 0' ] || die "$(ls -la /run/slowfs)"
mkdir raw/deep
ln -s mnt/deep link
for named in mnt mnt/ mnt/deep/none "$PWD/mnt" link ./link/../deep; do
    at mnt slowfs ping --mount "$named"
done
at mnt slowfs ping mnt/
at mnt slowfs ping
at mnt slowfs ping --addr "$socket"
(cd /run && slowfs ping --addr "slowfs/${socket##*/}" >/dev/null)
(cd mnt/deep && slowfs delay . 1ms -m fsync | grep -q '^fault 1: delay 1ms')
soon grep -q "put_fault: fault 1: .*peer=pid:[0-9]*,uid:0,gid:0" mnt.log
# charybdefs's clients are served there, too.
python3 - "$socket" <<'END'
import sys
from thrift.transport import TSocket, TTransport
from thrift.protocol import TBinaryProtocol
from server import server
transport = TTransport.TBufferedTransport(TSocket.TSocket(unix_socket=sys.argv[1]))
client = server.Client(TBinaryProtocol.TBinaryProtocol(transport))
transport.open()
client.set_fault(['write'], False, 5, 100000, '', False, 0, False)
END
slowfs list | grep -q 'EIO.*write' || die 'set_fault set nothing'

# What holds everything is still found by any path below.
slowfs hang ./mnt -m all
cat mnt/deep/none & cat=$!
soon slowfs wait ./mnt/deep/none 3 --held 1 >/dev/null
within 5000 timeout 5 slowfs clear ./mnt/deep/none/more >/dev/null
wait $cat || true

mount --bind mnt mnt2
at mnt slowfs ping mnt2/deep
umount mnt2
stop mnt
[ "$(sockets)" = 0 ] || die "$(ls -la /run/slowfs)"
refused slowfs ping mnt/
says "mnt/ lies on no mirror"
refused slowfs ping
says 'cannot connect to 127.0.0.1:9090' 'no mount is named and none was found'
SLOWFS_ADDR=127.0.0.1:1 refused slowfs ping
says 'cannot connect to 127.0.0.1:1:' 'that address comes from $SLOWFS_ADDR'
for command in trace watch; do
    refused slowfs $command
    says 'no mount is named and none was found'
done
refused slowfs ping --addr 127.0.0.1
says 'cannot connect to 127.0.0.1:9090'
! grep -F 'none was found' said || die 'it was named'
echo 127.0.0.1:9090 >'an addr'
for path in "$PWD/an addr" './an addr'; do
    refused slowfs ping --addr "$path"
    says 'it is no socket' "--addr \"\$(cat '$PWD/an addr')\""
done
refused slowfs ping --addr 'an addr'
says "--addr \"\$(cat 'an addr')\""
"#,
    );
}

#[test]
fn of_several_mounts_one_is_named_or_none_is_taken() {
    alone(
        r#"
# A mount makes an address, and asks none: the variable is not for it.
SLOWFS_ADDR=127.0.0.1:9292 start mnt raw
slowfs mount --help | grep -qF 'This command does not read $SLOWFS_ADDR.'
start mnt2 raw2 --listen none
refused slowfs clear
says 'there are 2 mounts' "$PWD/mnt, $PWD/mnt2"
refused slowfs match /etc/passwd
says "/etc/passwd is below no mirror; there are 2 mounts: $PWD/mnt, $PWD/mnt2;"
SLOWFS_ADDR=9090,nowhere: refused slowfs match /etc/passwd
says '/etc/passwd is below no mirror; SLOWFS_ADDR: "nowhere:"'
kill -STOP "$(cat mnt2.pid)"
refused slowfs match /etc/passwd
says '/etc/passwd is below no mirror that answers (no answer from /run/slowfs/' 'mnt2: nothing came within 1s'
slowfs match "$PWD/raw/f" | grep -qF "$PWD/raw/f meets 0 of 0 faults"
kill -CONT "$(cat mnt2.pid)"
[ "$(slowfs clear --json | python3 -c 'import json,sys; print(json.load(sys.stdin)["ok"])')" = False ]
at mnt2 slowfs ping ./mnt2
here=$PWD
(cd mnt2 && slowfs ping | grep -qF " at $here/mnt2," && slowfs ping ../mnt | grep -qF " at $here/mnt,") || die 'not the one around'
# Addresses come before what is around, names before addresses.
(cd mnt2 && SLOWFS_ADDR=9090 slowfs ping) | grep -qF " at $PWD/mnt," || die 'SLOWFS_ADDR is not heeded'
(cd mnt2 && SLOWFS_ADDR=127.0.0.1:1 slowfs ping --addr :9090) | grep -qF " at $PWD/mnt," || die 'nor --addr'
SLOWFS_ADDR=127.0.0.1:1 slowfs ping ./mnt2 --addr 127.0.0.1:2 2>said | grep -qF " at $PWD/mnt2," || die 'nor a name'
says '--addr is not asked'
slowfs ping ./mnt --mount mnt2 | grep -c '^/run/slowfs/' | grep -qx 2 || die 'not both'
SLOWFS_ADDR=9090,nowhere: refused slowfs ping
says 'SLOWFS_ADDR: "nowhere:"'

slowfs ps --json | python3 -c '
import json, os, sys
here = os.getcwd()
rows = {row["mountpoint"]: row for row in map(json.loads, sys.stdin)}
rows = {place: row for place, row in rows.items() if place.startswith(here)}
assert sorted(rows) == [os.path.abspath("mnt"), os.path.abspath("mnt2")], rows
row, other = (rows[os.path.abspath(name)] for name in ("mnt", "mnt2"))
assert row["listen"] == "127.0.0.1:9090" and other["listen"] is None, rows
assert row["backing"] == os.path.abspath("raw") and row["state"] == "live", rows
assert row["pid"] == int(open("mnt.pid").read()), rows
assert (row["faults"], row["held"]) == (0, 0) and os.path.exists(row["socket"]), rows
'
# Where the port is taken that is said, and what goes without one.
mkdir raw3 mnt3
refused slowfs mount mnt3 --subdir raw3
says 9090 'in use' '--listen none' 'nothing was mounted'
for port in 9191 :9191; do
    start mnt3 raw3 --listen "$port"
    at mnt3 slowfs ping --addr 127.0.0.1:9191
    stop mnt3
done

# What stands and what is held there is shown beside each.
slowfs hang ./mnt -m mkdir >/dev/null
slowfs error ./mnt EIO -m rmdir >/dev/null
mkdir mnt/dir & making=$!
soon slowfs wait ./mnt 1 --held 1 >/dev/null
slowfs ps >table
grep -qE "^$PWD/mnt .* 2 +1 +live " table || die "$(cat table)"
grep -qE "^$PWD/mnt2 .* 0 +0 +live " table || die "$(cat table)"
slowfs ps --json | grep -F "\"$PWD/mnt\"" | grep -F '"faults":2,' | grep -qF '"held":1,' || die "$(slowfs ps --json)"
slowfs clear ./mnt >/dev/null
wait $making

# Who stands nowhere stands in no mount: the next that may be meant is.
here=$PWD
nowhere() {
    mkdir "$here/left"
    (cd "$here/left" && rmdir "$here/left" && "$@")
    mkdir "$here/left"
    mount -t tmpfs none "$here/left"
    (cd "$here/left" && umount -l "$here/left" && "$@")
    rmdir "$here/left"
}
unnamed() { ! slowfs ping 2>>"$here/said"; }
: >said
nowhere unnamed
[ "$(grep -c 'there are 2 mounts: ' said)" = 2 ] || die "$(cat said)"
stop mnt2
asked() { slowfs ping | grep -qF " at $here/mnt,"; }
nowhere asked
start mnt2 raw2 --listen none

# The dead are shown, and leave nothing.
kill -9 "$(cat mnt2.pid)"
soon gone "$(cat mnt2.pid)"
[ "$(sockets)" = 2 ]
slowfs ps >table
grep -qE "^$PWD/mnt2 .* dead +-$" table || die "$(cat table)"
grep -qF "the daemon of $PWD/mnt2 has ended: \`slowfs umount $PWD/mnt2\`" table || die "$(cat table)"
refused slowfs list mnt2/
says "the mirror at $PWD/mnt2 is dead" "\`slowfs umount $PWD/mnt2\`"
[ "$(sockets)" = 1 ]
at mnt slowfs ping
slowfs umount mnt2
stop mnt
! slowfs ps | grep -F "$PWD"
# An address alone has the usual port.
start mnt raw --listen 127.0.0.1
at mnt slowfs ping --addr 127.0.0.1:9090
stop mnt
"#,
    );
}

#[test]
fn a_mount_that_answers_says_where_it_is_reached() {
    alone(
        r#"
slowfs mount mnt --subdir raw --listen 127.0.0.1:0 --daemon --addr-file addr --json >line 2>log
python3 - line <<'END'
import json, os, sys
text = open(sys.argv[1]).read()
line = json.loads(text)
assert text.count('\n') == 1, text
assert sorted(line) == ['backing', 'http', 'listen', 'mountpoint', 'pid', 'socket'], line
assert line['http'] is None, line
assert line['mountpoint'] == os.path.abspath('mnt') and line['backing'] == os.path.abspath('raw'), line
assert line['listen'] == open('addr').read().strip(), line
assert os.path.exists(line['socket']) and os.path.exists('/proc/%d' % line['pid']), line
END
at mnt slowfs ping --addr "$(cat addr)"
refused slowfs mount mnt2 --subdir raw2 --listen none --addr-file addr
says 'another daemon' "$(cat addr)" 'nothing was mounted'
stop mnt
[ ! -e addr ]

# In the foreground, too; a reader who has gone is no matter.
slowfs mount mnt --subdir raw --listen none --addr-file addr 2>log | head -c 0 &
soon test -s addr
at mnt slowfs ping --addr "$(cat addr)"
stop mnt
slowfs mount mnt --subdir raw --listen none >foreground 2>log & daemon=$!
soon test -s foreground
grep -qF "$PWD/mnt mirrors $PWD/raw, pid $daemon; control: /run/slowfs/" foreground || die "$(cat foreground)"
stop mnt
wait "$daemon"
# Who calls by another name expects no word.
charybdefs mnt -osubdir=raw,listen=none >line 2>log
[ ! -s line ]
stop mnt
echo precious >addr
refused slowfs mount mnt --subdir raw --addr-file addr
says 'something else in it'
[ "$(cat addr)" = precious ]
"#,
    );
}

#[test]
fn two_mounts_at_one_place_have_each_their_own() {
    alone(
        r#"
start mnt raw --listen none
exec 5<mnt
pid=$(cat mnt.pid)
umount -l mnt
# The first lives on for the open directory, and its name is free.
slowfs mount mnt --subdir raw2 --listen none --daemon 2>log 5<&-
slowfs ping mnt/ | grep -qF " mirrors $PWD/raw2 " || die 'the first answers'
exec 5<&-
soon gone "$pid"
slowfs ping mnt/ | grep -qF " mirrors $PWD/raw2 " || die 'the first took the name along'
# A start that is refused leaves it alone.
refused slowfs mount mnt --subdir raw --listen none
says 'already'
at mnt slowfs ping
stop mnt

# A long name is cut, and found.
long=$PWD/$(printf 'a%.0s' {1..120})/$(printf 'b%.0s' {1..120})
mkdir -p "$long"
slowfs mount "$long" --subdir raw --listen none --daemon 2>log
ls /run/slowfs | grep -qE '^.{60}~[0-9a-f]{16}$' || die "$(ls /run/slowfs)"
slowfs ping "$long/" | grep -qF " at $long,"
slowfs umount "$long"
# Something else that has the name is left alone.
slowfs mount mnt --subdir raw --listen none --daemon 2>log
name=$(ls /run/slowfs)
slowfs umount mnt
touch "/run/slowfs/$name"
refused slowfs mount mnt --subdir raw --listen none
says "$name" 'is no socket'
is_gone mnt
"#,
    );
}

#[test]
fn an_ordinary_user_has_sockets_of_its_own() {
    alone(
        r#"
mknod -m 666 fuse c 10 229
mount --bind fuse /dev/fuse
program_for_users
me() { as 65534 env XDG_RUNTIME_DIR=/mnt/run "$@"; }
mount -t tmpfs none /mnt
mkdir -m 700 /mnt/run
chown 65534 /mnt/run raw mnt

# Root's socket is root's; its usual port is everybody's.
start mnt2 raw2 --listen none
refused me slowfs list mnt2/
says 'belongs to user 0' '/run/slowfs/'
refused me slowfs clear
says 127.0.0.1:9090
stop mnt2
start mnt2 raw2
at mnt2 me slowfs ping mnt2/
at mnt2 me slowfs ping
me slowfs ps >table
grep -qE "^$PWD/mnt2 .* of user 0 +-$" table || die "$(cat table)"
grep -qF "$PWD/mnt2 can be asked by its user and by root" table || die "$(cat table)"
refused me slowfs umount mnt2
says "cannot unmount mnt2: it belongs to user 0"
refused me slowfs umount --force mnt2
says "cannot unmount mnt2: it belongs to user 0"

me slowfs mount mnt --subdir raw --listen none --daemon 2>log
# Root may ask where the socket is not found, which says so.
for who in '' 'as 65534 env -u XDG_RUNTIME_DIR'; do
    $who slowfs ps >table
    grep -qE "^$PWD/mnt .* no socket +-$" table || die "$who: $(cat table)"
    grep -qF "the control socket of $PWD/mnt was not found" table || die "$(cat table)"
done
[ "$(stat -c '%a %u' /mnt/run/slowfs /mnt/run/slowfs/* | xargs)" = '700 65534 600 65534' ] || die "$(ls -la /mnt/run/slowfs)"
at mnt me slowfs ping
at mnt me slowfs ping mnt/
me slowfs umount mnt

# Root asks an ordinary user's where it lies as ever.
as 65534 env -u XDG_RUNTIME_DIR slowfs mount mnt --subdir raw --listen none --daemon 2>log
slowfs ps >table
grep -qE "^$PWD/mnt .* 0 +0 +live +[0-9a-z ]+ ago$" table || die "$(cat table)"
slowfs ps --json | grep -F "\"$PWD/mnt\"" | grep -qF '"owner":65534,' || die "$(slowfs ps --json)"
[ "$(stat -c '%a %u' /tmp/slowfs-65534)" = '700 65534' ] || die "$(ls -lad /tmp/slowfs-65534)"
as 65534 slowfs umount mnt
# One that somebody has made there before is not used. The user is nobody else's: /tmp is everybody's.
theirs=$((4000000 + $(od -An -N2 -tu2 /dev/urandom)))
mkdir -m 777 /tmp/slowfs-$theirs
chown $theirs raw mnt
refused as $theirs env -u XDG_RUNTIME_DIR slowfs mount mnt --subdir raw --listen none
rmdir /tmp/slowfs-$theirs
says "/tmp/slowfs-$theirs/" "it belongs to user 0, not to $theirs" 'nothing was mounted'
chown 65534 raw mnt

# A directory that somebody else has is not used.
rm -r /mnt/run/slowfs
mkdir /mnt/run/slowfs
refused me slowfs mount mnt --subdir raw --listen none
says 'belongs to user 0' 'nothing was mounted'
rmdir /mnt/run/slowfs
ln -s /mnt/run/elsewhere /mnt/run/slowfs
mkdir /mnt/run/elsewhere
chown 65534 /mnt/run/elsewhere
refused me slowfs mount mnt --subdir raw --listen none
says 'is no directory'
is_gone mnt
# With a port it goes without.
me slowfs mount mnt --subdir raw --listen 9191 --daemon 2>log
grep -q 'there is no control socket' log
at mnt me slowfs ping --addr 9191
me slowfs umount mnt
stop mnt2
"#,
    );
}
