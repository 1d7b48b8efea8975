//! What a daemon takes for itself: its files, its mount, its place. And that it takes nobody else's.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;
mod common;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use common::{Mount, assert_fuse, is_ours, long_or, slowfs, stdout_of, text_of, wait_for};
use rustix::mount::UnmountFlags;
use rustix::process::Signal;

fn mount(scratch: &Path, options: &[&str]) -> Command {
    let [mnt, raw] = ["mnt", "raw"].map(|name| scratch.join(name));
    let _ = fs::create_dir(&mnt);
    let _ = fs::create_dir(&raw);
    let mut command = slowfs();
    command.arg("mount").arg(mnt).arg("--subdir").arg(raw).args(["--listen", "127.0.0.1:0"]);
    command.args(options);
    command
}

/// How the start fails; one that goes on instead is ended.
fn refusal(command: &mut Command) -> String {
    let child = command.stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let output = ends_within(Duration::from_secs(10), child);
    assert_eq!(output.status.code(), Some(1), "{}", text_of(&output));
    text_of(&output)
}

fn ends_within(limit: Duration, mut child: Child) -> Output {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > limit {
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            std::thread::sleep(Duration::from_secs(1));
            let _ = child.kill();
            panic!("did not end within {limit:?}: {}", text_of(&child.wait_with_output().unwrap()));
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

#[test]
fn a_pid_file_belongs_to_one_daemon() {
    let scratch = common::scratch();
    let file = scratch.path().join("pid").display().to_string();
    let mut first = Mount::with(&["--pid-file", &file]);
    let pid = format!("{}\n", first.pid());
    wait_for("the pid file", || (fs::read_to_string(&file).ok()? == pid).then_some(()));
    let said = refusal(&mut mount(scratch.path(), &["--pid-file", &file]));
    assert!(said.contains(&format!("(pid {}) runs with it", first.pid())), "{said}");
    assert_eq!(fs::read_to_string(&file).unwrap(), pid);
    first.stop();
    assert!(!Path::new(&file).exists());
}

#[test]
fn a_pid_file_that_is_a_link_is_refused_and_its_target_kept() {
    let scratch = common::scratch();
    let [target, link] = ["target", "link"].map(|name| scratch.path().join(name));
    fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    let said = refusal(&mut mount(scratch.path(), &["--pid-file", link.to_str().unwrap()]));
    assert!(said.contains("symbolic link"), "{said}");
    assert_eq!(fs::read_to_string(&target).unwrap(), "precious");
    assert!(!is_ours(&scratch.path().join("mnt")));
}

#[test]
fn a_pid_file_that_is_a_fifo_is_refused() {
    let scratch = common::scratch();
    let fifo = scratch.path().join("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let said = refusal(&mut mount(scratch.path(), &["--pid-file", fifo.to_str().unwrap()]));
    assert!(said.contains("no regular file"), "{said}");
    assert!(!is_ours(&scratch.path().join("mnt")));
}

#[test]
fn a_request_timeout_of_the_kernel_draws_a_warning() {
    alone::run(
        r#"
settings=/proc/sys/fs/fuse
# Older kernels have neither.
[ -e $settings/default_request_timeout ] || { [ ! -e $settings/max_request_timeout ]; exit; }
for name in default_request_timeout max_request_timeout; do
    echo 3600 >timeout
    mount --bind timeout $settings/$name
    slowfs mount mnt --subdir raw --listen none --daemon --log-file log
    grep -q "fs.fuse.$name is 3600: the kernel aborts" log || die 'no warning'
    [ "$(grep -c 'the kernel aborts' log)" = 1 ] || die 'a warning too many'
    rm log
    umount mnt
    soon ended slowfs
    umount $settings/$name
done
"#,
    );
}

fn device(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::dev(&fs::metadata(path).unwrap())
}

/// The old daemon sleeps while its mount goes and the next one comes, with the number it had.
#[test]
fn a_mount_that_took_over_place_and_number_stays() {
    for _ in 0..50 {
        let mut old = Mount::new();
        let (mnt, number) = (old.mnt(), device(&old.mnt()));
        old.signal(Signal::STOP);
        wait_for("the mount to be idle", || {
            rustix::mount::unmount(&mnt, UnmountFlags::NOFOLLOW).ok()
        });
        let file = old.scratch().join("pid");
        let options = ["--daemon", "--pid-file", file.to_str().unwrap()];
        stdout_of(&mut mount(old.scratch(), &options));
        let same = device(&mnt) == number;
        old.signal(Signal::CONT);
        assert!(old.wait().success());
        assert_fuse(&mnt);
        fs::write(mnt.join("file"), "of the new one").unwrap();
        assert_eq!(device(&mnt), device(&mnt.join("file")));
        stdout_of(slowfs().arg("umount").arg(&mnt));
        assert!(!file.exists());
        if same {
            return;
        }
        // Another test's mount has taken the number.
    }
    panic!("the number was never taken over");
}

/// The daemon may see the end of its connection before it sees that its mount is gone.
#[test]
fn an_unmount_is_not_told_as_an_end_by_the_kernel() {
    for _ in 0..20 {
        let mut mount = Mount::new();
        mount.signal(Signal::STOP);
        wait_for("the mount to be idle", || {
            rustix::mount::unmount(mount.mnt(), UnmountFlags::NOFOLLOW).ok()
        });
        mount.signal(Signal::CONT);
        assert!(mount.wait().success());
        let log = mount.log_text();
        assert!(log.contains("was unmounted") && !log.contains("the kernel closed"), "{log}");
    }
}

/// start [OPTION...]: a daemon over `raw` at `mnt`; finish: the signal ends it with success.
const DAEMON: &str = r#"
start() { slowfs mount mnt --subdir raw --listen none --daemon --log-file log --pid-file pid "$@"; answers mnt; }
run() { slowfs mount mnt --subdir raw --listen none --log-file log "$@" & daemon=$!; soon is_mounted mnt; answers mnt; }
finish() { kill "$daemon"; wait "$daemon"; }
# It ends, by which it tells that a dead mount is left.
errs() { local code=0; wait "$daemon" || code=$?; [ "$code" = 1 ] || die "a dead mount is left, and the exit code is $code"; }
# umount(8) asks /proc
uncover() { python3 -c "import ctypes; exit(ctypes.CDLL(None).umount2(b'$1', 2))"; }
nothing_left() { ! grep -F "$PWD" /proc/self/mountinfo | grep fuse || die 'a dead mount is left'; }
"#;

fn with_daemon(script: &str) {
    alone::run(&format!("{DAEMON}{script}"));
}

#[test]
fn a_mount_table_that_cannot_be_read_ends_nothing() {
    with_daemon(
        r#"
run
# Every change of the machine's mounts has the daemon look.
mkdir other
mount -t tmpfs none /proc
mount -t tmpfs other other
echo hello >mnt/while-covered
uncover other
uncover /proc
# A daemon that ends waits for its open files up to a second.
sleep 1.3
kill -0 "$daemon" || die 'the daemon has ended'
answers mnt
for descriptors in 3 1; do
    before=$(prlimit --pid "$daemon" --nofile --noheadings -o SOFT | xargs)
    prlimit --pid "$daemon" --nofile="$descriptors:"
    mount -t tmpfs other other; umount other
    sleep 0.3
    prlimit --pid "$daemon" --nofile="$before:"
    kill -0 "$daemon" || die 'the daemon has ended'
    answers mnt
done
# It still sees what concerns it.
umount mnt
wait "$daemon"
run
mount -t tmpfs none /proc
finish
uncover /proc
nothing_left
"#,
    );
}

#[test]
fn a_mount_is_detached_where_it_was_moved_bound_and_renamed() {
    with_daemon(
        r#"
mkdir moved bound raw/within
run
mount --make-private mnt
mount --bind mnt bound
mount --bind mnt mnt/within
mount --move mnt moved
finish
nothing_left
ls moved bound >/dev/null

mkdir -p a/b/c
slowfs mount a/b/c --subdir raw --listen none & daemon=$!
soon is_mounted a/b/c
mv a z
answers z/b/c
finish
nothing_left

# Bound elsewhere and unmounted here it is still served; the last one ends it.
run
mount --bind mnt bound
slowfs umount mnt
answers bound
kill -0 "$daemon"
slowfs umount bound
wait "$daemon"
nothing_left
"#,
    );
}

#[test]
fn a_covered_mount_is_detached_and_what_covers_it_stays() {
    with_daemon(
        r#"
run
mount -t tmpfs cover mnt
mkdir mnt/below
mount -t tmpfs below mnt/below
echo kept >mnt/below/file
finish
nothing_left
[ "$(cat mnt/below/file)" = kept ]
[ "$(findmnt -rno FSTYPE mnt)" = tmpfs ]
umount -R mnt

# Another mirror lies on it, and on that something else.
run -o subtype=lower
mkdir raw2
slowfs mount mnt --subdir raw2 -o subtype=upper --listen none --daemon --pid-file upper
echo x >mnt/of-the-upper
mount -t tmpfs cover mnt
finish
[ "$(findmnt -rno FSTYPE mnt | sort | xargs)" = 'fuse.upper tmpfs' ] || die "$(findmnt)"
umount mnt
[ "$(cat mnt/of-the-upper)" = x ]
kill "$(cat upper)"
soon is_gone mnt
nothing_left

# What lies above it is let be, and the exit code and the log tell what is left.
mkdir -p up/mnt
slowfs mount up/mnt --subdir raw --listen none 2>said & daemon=$!
soon is_mounted up/mnt
mount -t tmpfs above up
kill "$daemon"
errs
says up/mnt 'umount -l'
[ "$(findmnt -rno FSTYPE up)" = tmpfs ]
umount up
umount -l up/mnt
"#,
    );
}

#[test]
fn a_copy_in_another_mount_namespace_keeps_no_caller() {
    with_daemon(
        r#"
run
unshare -m --propagation private sh -c "exec sleep 1000 <mnt/.." & other=$!
unshare -m --propagation private sh -c "cd '$PWD/mnt' && exec sleep 1000" & other2=$!
soon eval 'grep -q sleep /proc/$other2/comm'
within 4000 finish
nothing_left
ls /proc/$other2/cwd/ 2>said && die 'it is still served'
grep -q 'not connected\|aborted' said
kill "$other" "$other2"
"#,
    );
}

#[test]
fn an_end_that_leaves_the_mount_is_an_error() {
    with_daemon(
        r#"
mknod -m 666 fuse c 10 229
mount --bind fuse /dev/fuse
chown 65534:65534 raw mnt
cp "$(readlink -f bin/slowfs)" slowfs
chmod 755 slowfs
setpriv --reuid 65534 --regid 65534 --clear-groups ./slowfs mount mnt --subdir raw --listen none 2>said & daemon=$!
soon is_mounted mnt
mount --bind /dev/null "$(command -v fusermount3)"
kill "$daemon"
errs
says mnt 'umount -l'
umount -l mnt
"#,
    );
}

#[test]
fn mounts_and_unmounts_at_one_place_and_port_lose_none() {
    with_daemon(&format!(
        r#"
for round in $(seq {rounds}); do
    slowfs mount mnt --subdir raw --listen 127.0.0.1:9090 --daemon --pid-file pid
    # Longer than a daemon that is ending takes to look at the mount table.
    [ $((round % 5)) != 0 ] || sleep 0.05
    echo "$round" >mnt/round
    [ "$(cat raw/round)" = "$round" ] || die "the mount of round $round is lost"
    slowfs umount mnt
    [ ! -e pid ] || die "the daemon of round $round is still there"
done
ended slowfs
nothing_left
"#,
        rounds = long_or(500, 20)
    ));
}

#[test]
fn of_two_starts_at_one_place_one_goes_at_most() {
    with_daemon(&format!(
        r#"
for i in $(seq {rounds}); do
    slowfs mount mnt --subdir raw --listen none --daemon --pid-file pid1 2>said1 & first=$!
    slowfs mount mnt --subdir raw --listen none --daemon --pid-file pid2 2>said2 & second=$!
    went=0
    if wait $first; then went=$((went + 1)); fi
    if wait $second; then went=$((went + 1)); fi
    [ $went -lt 2 ] || die 'both went'
    grep -h '^slowfs: ' said1 said2 | grep -qE 'already a fuse|meanwhile'
    if [ $went = 1 ]; then
        [ "$(grep -c "$PWD/mnt " /proc/self/mountinfo)" = 1 ] || die "$(findmnt)"
        answers mnt
        slowfs umount mnt
    fi
    soon ended slowfs
    nothing_left
done
"#,
        rounds = long_or(200, 10)
    ));
}

#[test]
fn umount_tells_of_a_daemon_that_goes_on() {
    let patience = long_or(true, false);
    with_daemon(&format!(
        r#"
run -o subtype=any
if {patience}; then
    unshare -m --propagation private sleep 1000 & other=$!
    soon eval 'grep -q sleep /proc/$other/comm'
    refused slowfs umount mnt
    says unmounted "(pid $daemon) runs on"
    kill "$other"
else
    slowfs umount mnt
fi
wait "$daemon"
nothing_left
"#
    ));
}

#[test]
fn what_a_killed_daemon_left_is_unmounted_and_reused() {
    with_daemon(
        r#"
run
exec 8>mnt/open
kill -9 "$daemon"
wait "$daemon" || true
is_mounted mnt
slowfs umount mnt
nothing_left
exec 8>&-
# A directory that mirrors itself, twice.
echo hello >raw/file
slowfs mount raw --listen none & daemon=$!
soon is_mounted raw
kill -9 "$daemon"
wait "$daemon" || true
slowfs mount raw --listen none --daemon --pid-file pid 2>said
[ "$(cat raw/file)" = hello ]
slowfs umount raw
nothing_left
"#,
    );
}

#[test]
fn a_mount_below_what_does_not_answer_holds_up_no_end() {
    with_daemon(
        r#"
mkdir -p outer outer.raw/mnt
slowfs mount outer --subdir outer.raw --listen 127.0.0.1:9090 --daemon --pid-file outer.pid
slowfs mount outer/mnt --subdir raw --listen none 2>said & daemon=$!
soon is_mounted outer/mnt
answers outer/mnt
sleep 1.1 # the kernel asks for the directory again
slowfs hang ./outer -m getattr
kill "$daemon"
soon eval '! kill -0 $daemon 2>/dev/null'
errs
says outer/mnt 'does not answer' 'umount -l'
slowfs clear
kill "$(cat outer.pid)"
soon ended slowfs
nothing_left
"#,
    );
}

/// Somebody else puts a link where the mountpoint was, again and again.
#[test]
fn a_mountpoint_that_is_swapped_for_a_link_gets_no_mount_elsewhere() {
    with_daemon(&format!(
        r#"
chmod 1777 .
mkdir target
python3 - <<'END' & swapper=$!
import os
os.mkdir('spare') if not os.path.isdir('spare') else None
while True:
    try:
        os.rename('mnt', 'away'); os.symlink('target', 'mnt')
        os.unlink('mnt'); os.rename('away', 'mnt')
    except OSError:
        # What is mounted on cannot be renamed.
        try: os.unlink('mnt')
        except OSError: pass
        try: os.rename('away', 'mnt')
        except OSError: pass
END
mounted=0
for i in $(seq {starts}); do
    if slowfs mount mnt --subdir raw --listen none --daemon --pid-file pid 2>said; then
        ! is_mounted target || die "start $i landed on the link's target"
        mounted=$((mounted + 1))
        # The swapper may have left a link; the mount is where the directory is.
        kill "$(cat pid)"
        soon ended slowfs
    else
        ! is_mounted target || die "start $i failed and left a mount on the target"
        grep -q '^slowfs: cannot ' said || die 'no reason was given'
    fi
    nothing_left
done
kill "$swapper"
echo "$mounted of {starts} starts found their directory" >&9
"#,
        starts = long_or(200, 40)
    ));
}
