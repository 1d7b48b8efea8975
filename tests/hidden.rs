//! A mount says what it hides: files that were open there before, whom no fault reaches, and a directory that
//! was not empty. One that cannot go says who is in its way.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;

/// `start ARGUMENTS...`; `told TEXT`: the log says so; `silent TEXT`: it does not.
const HARNESS: &str = r#"
start() { slowfs mount "$@" --listen none --daemon --log-file log; }
told() { grep -qF -- "$1" log || { cat log; die "not told: $1"; }; }
silent() { ! grep -F -- "$1" log || die "told: $1"; }
stop() { slowfs umount --force "$1"; rm log; }
# begun PID: it runs its own program by now, no longer the shell that began it
begun() { soon grep -qxE 'sleep|program|python3' "/proc/$1/comm"; }
"#;

fn alone(script: &str) {
    alone::run(&format!("{HARNESS}{script}"));
}

#[test]
fn who_has_files_open_beneath_is_named() {
    alone(
        r#"
echo data >raw/f
sleep 100 3<raw/f 4>raw/g & open=$!
(cd raw; exec sleep 100) & inside=$!
cp "$(command -v sleep)" raw/program
raw/program 100 & running=$!
python3 -c 'import ctypes, os, time
fd = os.open("raw/f", os.O_RDWR)
ctypes.CDLL(None).mmap(None, ctypes.c_size_t(4), 1, 1, fd, ctypes.c_long(0))
os.close(fd)
print(flush=True)
time.sleep(100)' >mapped & mapping=$!
sleep 100 5<"$PWD" & outside=$!
soon test -s mapped
for each in $open $inside $running $mapping $outside; do begun $each; done
start raw
told "no fault reaches files below $PWD/raw that were opened before the mount: restart"
told "$open (sleep: $PWD/raw/f and 1 more)"
told "$inside (sleep: working directory $PWD/raw)"
told "$running (program: program $PWD/raw/program"
told "$mapping (python3: mapped $PWD/raw/f)"
silent "$outside (sleep"
silent 'not empty'
silent 'could not be looked at'
[ "$(grep -c WARN log)" = 1 ] || die "$(cat log)"
# What is opened on the mirror is no matter.
(cd raw; exec sleep 100 3<f) & later=$!
begun $later
! slowfs doctor --json >found || die 'nothing is to do'
for each in $open $inside $running $mapping; do
    grep -qF " $each (" found || die "$each is not told: $(cat found)"
done
! grep -F " $later (" found || die 'the mirror was taken for what is beneath'
stop raw
kill $open $inside $running $mapping $outside $later
wait
start raw
silent 'no fault reaches'
stop raw
"#,
    );
}

#[test]
fn the_look_at_all_processes_keeps_no_line_waiting() {
    alone(
        r#"
touch raw/f
sleep 100 3<raw/f &
slowfs mount raw --listen none --json >all 2>&1 &
soon grep -q 'no fault reaches' all
grep -E '^\{|no fault reaches' all | head -1 | grep -q '^{' || die "$(cat all)"
"#,
    );
}

#[test]
fn a_directory_that_is_hidden_is_told_unless_it_is_what_is_mirrored() {
    alone(
        r#"
start mnt --subdir raw
silent WARN
stop mnt
touch mnt/{a,b,c,d,e}
start mnt --subdir raw
told "$PWD/mnt was not empty and is not the mirrored directory; files hidden while mounted:"
told ' and 2 more'
stop mnt
# The same directory by another name.
mkdir bound
mount --bind mnt bound
start bound --subdir mnt
silent 'not empty'
stop bound
"#,
    );
}

#[test]
fn who_may_not_look_says_so() {
    alone(
        r#"
mknod fuse c 10 229
chmod 666 fuse
mount --bind fuse /dev/fuse
program_for_users
touch raw/f
chown -R nobody .
sleep 100 3<raw/f &
setpriv --reuid nobody --clear-groups bash -c \
    'slowfs mount raw --listen none --daemon --log-file log'
told "files below $PWD/raw may have been open before the mount: "
silent 'no fault reaches'
"#,
    );
}

#[test]
fn a_start_waits_for_no_directory_that_does_not_answer() {
    alone(
        r#"
mkdir other raw/sub
touch raw/sub/f
start mnt --subdir raw
mv log first.log
slowfs hang ./mnt -m opendir,readdir >/dev/null
timeout 20 slowfs mount mnt/sub --subdir other --listen none --daemon --log-file log || die 'it waits'
told "$PWD/mnt/sub mirrors $PWD/other"
silent 'not empty'
slowfs clear ./mnt >/dev/null
"#,
    );
}

#[test]
fn what_is_mounted_below_a_mount_is_named_where_it_keeps_it() {
    alone(
        r#"
mkdir -p raw/tmp raw/sub other
start mnt --subdir raw
mount -t tmpfs none mnt/tmp
! slowfs umount mnt 2>said || die 'it went'
grep -qF -- "cannot unmount mnt: it is busy: $PWD/mnt/tmp is mounted below it: unmount that first" said ||
    die "$(cat said)"
mv log first.log
start mnt/sub --subdir other --listen none
! slowfs umount mnt 2>said || die 'it went'
grep -qF -- "$PWD/mnt/sub, $PWD/mnt/tmp are mounted below it: unmount those first" said || die "$(cat said)"
[ "$(wc -l <said)" = 1 ] || die "$(cat said)"
umount mnt/tmp
slowfs umount mnt/sub
slowfs umount mnt
"#,
    );
}

#[test]
fn who_keeps_a_mount_busy_is_named_and_force_ends_it() {
    alone(
        r#"
start mnt --subdir raw
echo data >mnt/f
sleep 100 3<mnt/f & open=$!
(cd mnt; exec sleep 100) & inside=$!
slowfs hang ./mnt -m mkdir >/dev/null
mkdir mnt/d & held=$!
soon slowfs wait ./mnt 1 --held 1 >/dev/null
! slowfs umount mnt 2>said || die 'it went'
[ "$(wc -l <said)" = 1 ] || die "$(cat said)"
for part in "cannot unmount mnt: it is busy: files are open of" "$open (sleep: $PWD/mnt/f)" \
    "$inside (sleep: working directory $PWD/mnt)" 'faults hold 1 operation;'; do
    grep -qF -- "$part" said || die "no $part in $(cat said)"
done
follow 'slowfs clear' >/dev/null
wait $held || die 'what was held failed'
[ -d raw/d ] || die 'it was not released'
slowfs hang ./mnt -m mkdir >/dev/null
mkdir mnt/e & held=$!
soon slowfs wait ./mnt 2 --held 1 >/dev/null
mountpoint -q mnt || die 'it is gone'
follow 'slowfs umount --force'
! mountpoint -q mnt || die 'it stays'
wait $held || die 'what was held failed'
[ -d raw/e ] || die 'it was not released'
! pidof slowfs || die 'a daemon runs'
"#,
    );
}

/// Its helper, fusermount3, tells errors by words only.
#[test]
fn an_ordinary_user_hears_the_same_of_a_busy_mount() {
    alone(
        r#"
mknod fuse c 10 229
chmod 666 fuse
mount --bind fuse /dev/fuse
program_for_users
mkdir 'a mnt'
chown nobody raw mnt 'a mnt'
user=(setpriv --reuid nobody --clear-groups env -u XDG_RUNTIME_DIR LC_ALL=C.UTF-8)
"${user[@]}" bash -c 'slowfs mount "a mnt" --subdir raw --listen none --daemon 2>/dev/null; echo data >"a mnt/f"'
"${user[@]}" bash -c 'exec sleep 100 3<"a mnt/f"' & open=$!
"${user[@]}" slowfs hang './a mnt' -m mkdir >/dev/null
"${user[@]}" mkdir 'a mnt/d' & held=$!
soon "${user[@]}" slowfs wait './a mnt' 1 --held 1 >/dev/null
! "${user[@]}" slowfs umount 'a mnt' 2>said || die 'it went'
for part in 'cannot unmount a mnt: it is busy: files are open of' "$open (sleep: $PWD/a mnt/f)" \
    'faults hold 1 operation;'; do
    grep -qF -- "$part" said || die "no $part in $(cat said)"
done
follow 'slowfs clear' "${user[@]}" >/dev/null
wait $held || die 'what was held failed'
follow 'slowfs umount --force' "${user[@]}"
! mountpoint -q 'a mnt' || die 'it stays'
kill $open

# Whoever mounts there once more is told how to end it.
"${user[@]}" slowfs mount 'a mnt' --subdir raw --listen none --daemon 2>/dev/null
refused "${user[@]}" slowfs mount 'a mnt' --subdir raw --listen none
follow 'slowfs umount' "${user[@]}"
! mountpoint -q 'a mnt' || die 'it stays'

# One that does not end loses its mount all the same.
"${user[@]}" slowfs mount mnt --subdir raw --listen none --daemon --pid-file raw/pid 2>/dev/null
"${user[@]}" bash -c 'exec sleep 100 3>mnt/f' & open=$!
soon test -L /proc/$open/fd/3
pid=$(cat raw/pid)
kill -STOP "$pid"
refused "${user[@]}" slowfs umount --force mnt
says "detached mnt, but its daemon (pid $pid) has not ended after 5 s: it is stopped or stuck"
! mountpoint -q mnt || die 'it stays'
kill -CONT "$pid"
soon ended slowfs
kill $open

# The dead go, busy or not.
"${user[@]}" slowfs mount mnt --subdir raw --listen none --daemon --pid-file raw/pid 2>/dev/null
"${user[@]}" touch mnt/f
"${user[@]}" bash -c 'exec sleep 100 3<mnt/f' & open=$!
soon test -L /proc/$open/fd/3
kill -9 "$(cat raw/pid)"
soon ended slowfs
"${user[@]}" slowfs umount mnt
! mountpoint -q mnt || die 'the dead one stays'
kill $open
"#,
    );
}

/// Any process can be handed a descriptor: another user's mark says nothing of who holds it.
#[test]
fn a_forged_mark_ends_nobody() {
    alone(
        r#"
cat >victim.py <<'END'
import os, socket, sys
here = socket.socket(socket.AF_UNIX)
here.bind('victim')
os.chmod('victim', 0o777)
here.listen()
while True:
    _, given, _, _ = socket.recv_fds(here.accept()[0], 1, 1)
    open('given', 'w').close()
END
cat >forger.py <<'END'
import os, socket, sys
it = os.stat(sys.argv[1]).st_dev
mark = os.memfd_create('slowfs-serves-%d:%d' % (os.major(it), os.minor(it)))
there = socket.socket(socket.AF_UNIX)
there.connect('victim')
socket.send_fds(there, [b'x'], [mark])
END
start mnt --subdir raw --allow-other
python3 victim.py & victim=$!
soon test -S victim
setpriv --reuid nobody --clear-groups python3 forger.py mnt
soon test -e given
ls -l /proc/$victim/fd | grep -qF slowfs-serves- || die 'it has no mark'
slowfs umount --force mnt
! mountpoint -q mnt || die 'it stays'
kill -0 $victim || die 'a process that serves nothing was ended'
# Nor does it pass for the daemon of a mount that is dead.
start mnt --subdir raw --allow-other --pid-file pid
rm given
setpriv --reuid nobody --clear-groups python3 forger.py mnt
soon test -e given
kill -9 "$(cat pid)"
soon ended slowfs
slowfs ps | grep -qE "^$PWD/mnt .* dead +-$" || die "$(slowfs ps)"
slowfs umount mnt
kill -0 $victim || die 'a process that serves nothing was ended'
kill $victim
"#,
    );
}
