//! `slowfs doctor` finds what is amiss, says what to do, and finds nothing where nothing is.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;

/// `finds CHECK VERDICT WORDS... [-- COMMAND...]`: the doctor, run by the command, says so of that check, and its
/// exit code is 1 if anything is to do.
const HARNESS: &str = r#"
cat >judge.py <<'END'
import json, subprocess, sys
check, verdict, *rest = sys.argv[1:]
cut = rest.index('--') if '--' in rest else len(rest)
words, command = rest[:cut], rest[cut + 1:] or ['slowfs']
run = subprocess.run([*command, 'doctor', '--json'], capture_output=True, text=True, timeout=60)
assert not run.stderr, run.stderr
told = json.loads(run.stdout)
of = {row['check']: row for row in told['checks']}
assert of[check]['verdict'] == verdict, of[check]
text = ' '.join([of[check]['is'], of[check]['means'], of[check]['todo'] or ''])
for word in words:
    assert word in text, (word, of[check])
bad = [row for row in told['checks'] if row['verdict'] == 'to do']
assert told['ok'] == (not bad) and run.returncode == bool(bad), (run.returncode, bad)
assert all(row['todo'] for row in bad), bad
END
finds() { python3 judge.py "$@" || die "finds $*"; }
start() { slowfs mount "$@" --daemon --log-file log; }
"#;

fn alone(script: &str) {
    alone::run(&format!("{HARNESS}{script}"));
}

#[test]
fn nothing_is_found_where_nothing_is_amiss() {
    alone(
        r#"
slowfs doctor >table || { cat table; die 'something is to do'; }
for row in '^CHECK  *VERDICT  *WHAT IS  *WHAT IT MEANS$' '^/dev/fuse  *ok  *it opens' \
    '^FUSE protocol  *ok  *7\.' '^port 9090  *ok  *it is free' '^nothing needs doing$'; do
    grep -q -- "$row" table || { cat table; die "no $row"; }
done
start mnt --subdir raw
finds mounts ok "$PWD/mnt (0 faults, 0 held)"
finds 'port 9090' note "the mount $PWD/mnt" '--listen none'
finds 'control sockets' ok '1 socket answered'
slowfs doctor mnt >/dev/null
refused slowfs doctor raw
says 'cannot examine raw: no mirror is mounted there'
"#,
    );
}

#[test]
fn what_fuse_needs_and_lacks_is_found() {
    alone(
        r#"
program_for_users
finds fusermount3 ok
finds limits ok 'none is in the way'
echo '# user_allow_other' >conf
touch /etc/fuse.conf
mount --bind conf /etc/fuse.conf
finds fuse.conf ok 'is not set'
finds fuse.conf note 'user_allow_other' 'not even root' -- setpriv --reuid 1234 --regid 1234 --clear-groups slowfs
echo user_allow_other >conf
finds fuse.conf ok 'is set' -- setpriv --reuid 1234 --regid 1234 --clear-groups slowfs
mkdir bin2
ln -s "$PWD/bin/slowfs" bin2/slowfs
finds fusermount3 note 'package fuse3' -- env "PATH=$PWD/bin2" slowfs
finds fusermount3 'to do' 'package fuse3' -- setpriv --reuid 1234 --regid 1234 --clear-groups env "PATH=$PWD/bin2" slowfs
cp "$(command -v fusermount3)" bin2/fusermount3
finds fusermount3 note "$PWD/bin2/fusermount3 is not setuid" 'fuse3 again' -- env "PATH=$PWD/bin2" slowfs
# No right is given to what lies first on PATH, whoever put it there.
finds fusermount3 note "$PWD/bin2/fusermount3 hides $(command -v fusermount3)" -- env "PATH=$PWD/bin2:$PATH" slowfs
PATH=$PWD/bin2 bin/slowfs doctor >advice || true
! grep -E 'chown|chmod' advice || die 'rights are given away'
# Another device, and none.
mount --bind /dev/null /dev/fuse
finds /dev/fuse 'to do' '10:229'
umount /dev/fuse
touch raw/none
mount -t tmpfs none /dev
finds /dev/fuse 'to do' 'modprobe fuse'
"#,
    );
}

#[test]
fn a_request_timeout_is_found() {
    alone(
        r#"
settings=/proc/sys/fs/fuse
[ -e $settings/max_request_timeout ] || die "this test needs a kernel with $settings/max_request_timeout"
finds 'request timeouts' ok
echo 60 >timeout
mount --bind timeout $settings/max_request_timeout
finds 'request timeouts' 'to do' 'fs.fuse.max_request_timeout is 60 s' 'sysctl fs.fuse.max_request_timeout=0'
"#,
    );
}

#[test]
fn rights_that_are_missing_are_found() {
    alone(
        r#"
# Nobody need have this one.
lift=$(setpriv --dump | grep -q sys_resource && echo yes || echo no)
if [ $lift = yes ]; then finds capabilities ok; fi
finds capabilities 'to do' 'without sys_admin' 'cap-add' -- setpriv --bounding-set=-sys_admin slowfs
finds capabilities note 'without sys_ptrace' -- setpriv --bounding-set=-sys_ptrace slowfs
finds 'kernel features' ok 'without a mount' -- setpriv --bounding-set=-sys_admin slowfs
finds descriptors ok
finds descriptors 'to do' '100 at most' LimitNOFILE \
    -- prlimit --nofile=100:100 setpriv --bounding-set=-sys_resource slowfs
finds limits ok
if [ $lift = yes ]; then finds limits ok -- prlimit --fsize=1000000:1000000 slowfs; fi
finds limits 'to do' 'file size' EFBIG \
    -- prlimit --fsize=1000000:1000000 setpriv --bounding-set=-sys_resource slowfs
finds /proc ok
finds /proc 'to do' --  unshare --pid --fork slowfs
"#,
    );
}

#[test]
fn who_has_the_usual_port_is_found() {
    alone(
        r#"
python3 -c 'import socket, time
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 9090))
s.listen()
print(flush=True)
time.sleep(100)' >listens & taken=$!
soon test -s listens
finds 'port 9090' 'to do' "process $taken (python3) listens" '--listen none'
# It is no matter who has that port in another network.
unshare --net bash -c 'ip link set lo up; exec slowfs mount mnt --subdir raw --daemon --log-file log'
slowfs ping | grep -qF " at $PWD/mnt,"
finds 'port 9090' 'to do' "process $taken (python3) listens" '--listen none'
kill $taken
slowfs umount mnt
wait
# Of IPv6 only: it is in nobody's way.
python3 -c 'import socket, time
s = socket.socket(socket.AF_INET6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
s.bind(("::", 9090))
s.listen()
print(flush=True)
time.sleep(100)' >second &
soon test -s second
finds 'port 9090' ok 'it is free'
"#,
    );
}

/// Whoever connected meanwhile would talk to the doctor.
#[test]
fn nobody_listens_at_a_port_that_is_free() {
    alone(
        r#"
cat >mute.py <<'END'
import ctypes, os, platform, struct, sys
# listen(2) fails with EPERM: linux/seccomp.h, linux/filter.h.
call = {'x86_64': 50, 'aarch64': 201}[platform.machine()]
code = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000)]
code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *step) for step in code))
program = struct.pack('HP', 4, ctypes.addressof(code))
libc = ctypes.CDLL(None, use_errno=True)
libc.prctl(38, 1, 0, 0, 0)
assert libc.prctl(22, 2, program, 0, 0) == 0, ctypes.get_errno()
os.execvp(sys.argv[1], sys.argv[1:])
END
finds 'port 9090' ok 'it is free' -- python3 mute.py slowfs
"#,
    );
}

#[test]
fn dead_mounts_and_sockets_are_found() {
    alone(
        r#"
start mnt --subdir raw --pid-file pid
kill -9 "$(cat pid)"
soon ended slowfs
finds 'dead mounts' 'to do' "$PWD/mnt" "slowfs umount $PWD/mnt"
finds mounts ok 'there are none'
# The first look has taken the socket away.
[ -z "$(ls /run/slowfs)" ] || die "$(ls /run/slowfs)"
slowfs umount mnt
finds 'dead mounts' ok
mkdir 'a mnt'
start 'a mnt' --subdir raw --pid-file pid
kill -STOP "$(cat pid)"
finds mounts 'to do' "\`slowfs umount --force '$PWD/a mnt'\`"
kill -9 "$(cat pid)"
soon ended slowfs
finds 'dead mounts' 'to do' "\`slowfs umount '$PWD/a mnt'\`"
slowfs umount 'a mnt'
start mnt --subdir raw --pid-file pid
kill -9 "$(cat pid)"
soon ended slowfs
umount -l mnt
finds 'control sockets' ok '1 without a daemon'
finds 'control sockets' ok '0 sockets answered to'
chmod 777 /run/slowfs
finds 'control sockets' 'to do' '/run/slowfs: others may write to it'
"#,
    );
}

#[test]
fn a_daemon_that_does_not_answer_is_found() {
    alone(
        r#"
touch raw/f
start mnt --subdir raw --pid-file pid
pid=$(cat pid)
kill -STOP "$pid"
finds mounts 'to do' "$PWD/mnt does not answer" 'slowfs umount --force'
finds 'control sockets' ok '0 sockets answered to, 1 silent'
kill -CONT "$pid"
finds mounts ok
# What it says to do helps: with the mount gone, and then the daemon.
mkdir 'an other'
mount --bind mnt 'an other'
sleep 100 3<mnt/f & open=$!
soon test -L /proc/$open/fd/3
kill -STOP "$pid"
for command in doctor ps; do
    slowfs $command >said || true
    grep -qF "does not answer" said || die "$(cat said)"
    grep -qE '`slowfs umount --force [^`]+`' said || die "$(cat said)"
done
! follow 'slowfs umount --force' 2>told || die 'it did not say that the daemon runs'
mv told said
says "detached $PWD/mnt, but its daemon (pid $pid) has not ended after 5 s: it is stopped or stuck"
is_gone mnt
is_gone 'an other'
finds mounts ok 'there are none'
follow 'kill -9'
soon ended slowfs
finds 'dead mounts' ok
kill $open
"#,
    );
}

#[test]
fn who_has_files_open_beneath_is_found() {
    alone(
        r#"
touch raw/f
sleep 100 3<raw/f & open=$!
start raw
finds 'open beneath' 'to do' "below $PWD/raw: $open (sleep: $PWD/raw/f)" restart
kill $open
wait
sleep 100 3<raw/f & open=$!
finds 'open beneath' ok nobody
"#,
    );
}

#[test]
fn faults_that_cannot_fire_are_found() {
    alone(
        r#"
start mnt --subdir raw
slowfs delay 1ms -m fsync >/dev/null
finds faults ok '1 fault'
slowfs error EIO -m flock >/dev/null 2>&1
finds faults 'to do' "$PWD/mnt: fault 2: " 'slowfs clear ID'
only() { slowfs clear >/dev/null; slowfs error EIO -m mkdir "$@" >/dev/null 2>&1; }
only -r member/wal
finds faults 'to do' "$PWD/mnt: fault 3: the pattern matches no path here" "did you mean '.*/member/wal'"
only -p 0
finds faults 'to do' "$PWD/mnt: fault 4: it never fires: its probability is 0"
only -r '.*/wal' -p 1%
finds faults ok '1 fault'
"#,
    );
}

#[test]
fn nothing_that_is_held_holds_it_up() {
    alone(
        r#"
touch raw/f
start mnt --subdir raw
sleep 100 3<mnt/f & open=$!
slowfs hang ./mnt -m all >/dev/null
ls mnt >/dev/null & held=$!
soon slowfs wait ./mnt 1 --held 1 >/dev/null
within 20000 finds mounts ok 'held)'
finds 'open beneath' ok
slowfs clear ./mnt >/dev/null
wait $held
kill $open
"#,
    );
}

#[test]
fn what_others_name_tells_a_terminal_nothing() {
    alone(
        r#"
mknod -m 666 fuse c 10 229
mount --bind fuse /dev/fuse
program_for_users
name=$'a\e[31m\nmnt'
mkdir "$name"
chown 65534 raw "$name"
theirs=(setpriv --reuid 65534 --regid 65534 --clear-groups env -u XDG_RUNTIME_DIR)
"${theirs[@]}" slowfs mount "$name" --subdir raw --listen none --daemon --pid-file raw/pid >/dev/null 2>log
"${theirs[@]}" bash -c 'exec sleep 100 3>"$0/f"' "$name" & open=$!
soon test -L /proc/$open/fd/3
slowfs ps >seen
slowfs ping >>seen
slowfs doctor >>seen || true
refused slowfs umount "./$name"
cat said >>seen
kill -STOP "$(cat raw/pid)"
slowfs ps >>seen
slowfs doctor >>seen || true
kill -9 "$(cat raw/pid)"
soon ended slowfs
slowfs ps >>seen
refused slowfs list "./$name"
cat said >>seen
[ "$(grep -cF 'a\u{1b}[31m\nmnt' seen)" -ge 9 ] || die "$(cat seen)"
! grep -q $'\e' seen || die "$(cat -v seen)"
! grep -q '^mnt' seen || die "$(cat -v seen)"
kill $open
slowfs umount "./$name"
"#,
    );
}
