//! The program under charybdefs's name: every known way to start it, and every way to end it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;

/// What a mount by that name must look like.
const LOOKS: &str = r#"
looks_like_charybdefs() {
    answers mnt
    port_open || die "the port is not open"
    [ "$(findmnt -rno SOURCE,FSTYPE mnt)" = 'charybdefs fuse.charybdefs' ] || die "$(findmnt mnt)"
    grep -q "^charybdefs $PWD/mnt fuse.charybdefs " /proc/mounts
    findmnt charybdefs >/dev/null
    [ "$(cat /proc/"$(pgrep -x charybdefs)"/comm)" = charybdefs ]
}
"#;

fn alone(script: &str) {
    alone::run(&format!("{LOOKS}{script}"));
}

#[test]
fn each_invocation_that_daemonises_returns_within_a_second_with_mount_and_port() {
    alone(
        r#"
while read -r line; do
    # The machine may be busy with other tests: the best of three counts.
    best=99999
    for _ in 1 2 3; do
        began=$(date +%s%N)
        charybdefs $line 2>>log
        took=$((($(date +%s%N) - began) / 1000000))
        looks_like_charybdefs
        umount mnt
        soon ended charybdefs
        is_gone mnt
        ((took >= best)) || best=$took
    done
    ((best < 1000)) || die "$line took $best ms"
done <<END
mnt -omodules=subdir,subdir=raw -oallow_other,nonempty
mnt -omodules=subdir,subdir=$PWD/raw,allow_other,nonempty
$PWD/mnt -oallow_other,modules=subdir,subdir=$PWD/raw
-o allow_other -o modules=subdir -o subdir=raw mnt
-omodules=subdir,subdir=raw -s mnt -odefault_permissions,allow_root
-s -ofsname=charybdefs,subtype=charybdefs,rw mnt -osubdir=raw,modules=subdir
END
"#,
    );
}

#[test]
fn in_the_foreground_it_stays_until_it_is_ended() {
    alone(
        r#"
while read -r line; do
    charybdefs $line 2>log &
    soon port_open
    looks_like_charybdefs
    kill -0 $! || die 'it does not stay'
    case $line in *-d*|*debug*) grep -q ' create .*probe' log || die 'no operation is logged' ;; esac
    pkill charybdefs
    wait $!
    is_gone mnt
done <<END
mnt -omodules=subdir,subdir=raw,allow_other -f
-f mnt -omodules=subdir,subdir=raw -oallow_other,nonempty,debug
-f -d mnt -omodules=subdir,subdir=raw
mnt -d -omodules=subdir,subdir=raw
END
"#,
    );
}

#[test]
fn it_serves_every_address_and_warns() {
    alone(
        r#"
ip address add 192.0.2.1/32 dev lo
charybdefs mnt -omodules=subdir,subdir=raw 2>log
slowfs ping --addr 192.0.2.1:9090 | grep -q "$PWD/mnt"
grep -q WARN log && grep -q '0.0.0.0:9090' log || die 'no warning'
"#,
    );
}

#[test]
fn ro_and_the_missing_allow_other_are_honoured() {
    alone(
        r#"
echo x >raw/file
charybdefs mnt -omodules=subdir,subdir=raw,ro 2>log
refused touch mnt/new
grep -q 'Read-only' said
refused setpriv --reuid 65534 --regid 65534 --clear-groups cat mnt/file
umount mnt
soon ended charybdefs
charybdefs mnt -omodules=subdir,subdir=raw,allow_other 2>log
setpriv --reuid 65534 --regid 65534 --clear-groups cat mnt/file
"#,
    );
}

#[test]
fn each_signal_by_name_ends_it_with_what_it_holds() {
    alone(
        r#"
for end in 'pkill charybdefs' 'killall charybdefs' 'pkill -INT -x charybdefs' 'killall -HUP charybdefs' \
        'pkill -QUIT -x charybdefs'; do
    charybdefs mnt -omodules=subdir,subdir=raw,allow_other,log_file=$PWD/log 2>>log
    exec 3>mnt/open
    slowfs hang -m mkdir >/dev/null
    mkdir mnt/held & held=$!
    soon sh -c "slowfs list --json | grep -q '\"held\":1'"
    $end
    within 2000 soon ended charybdefs
    is_gone mnt
    wait $held
    exec 3>&-
    rmdir raw/held
done
"#,
    );
}

#[test]
fn umount_ends_an_idle_one_and_leaves_a_busy_one_alone() {
    alone(
        r#"
for end in 'umount mnt' 'fusermount -u mnt' 'slowfs umount mnt'; do
    charybdefs mnt -omodules=subdir,subdir=raw,allow_other 2>log
    exec 3>mnt/open
    refused $end
    grep -qi 'busy\|open' said || die "$end does not say why"
    looks_like_charybdefs
    exec 3>&-
    $end
    soon ended charybdefs
    is_gone mnt
done
"#,
    );
}

#[test]
fn lazy_and_forced_unmounts_leave_neither_daemon_nor_dead_mount() {
    alone(
        r#"
charybdefs mnt -omodules=subdir,subdir=raw 2>log
exec 3>mnt/open
umount -l mnt
running charybdefs || die 'it left an open file behind'
exec 3>&-
soon ended charybdefs
charybdefs mnt -omodules=subdir,subdir=raw 2>log
exec 3>mnt/open
umount -f mnt 2>said || grep -q busy said
within 2000 soon ended charybdefs
is_gone mnt
exec 3>&-
"#,
    );
}

#[test]
fn a_second_start_on_the_same_port_or_mountpoint_is_refused() {
    alone(
        r#"
mkdir other
charybdefs mnt -omodules=subdir,subdir=raw 2>log
refused charybdefs other -omodules=subdir,subdir=raw
says 9090 'in use' 'nothing was mounted'
is_gone other
refused charybdefs mnt -omodules=subdir,subdir=raw,listen=127.0.0.1:0
says mnt 'already a fuse.charybdefs mount'
looks_like_charybdefs
"#,
    );
}

#[test]
fn a_start_that_fails_says_why_and_leaves_nothing() {
    alone(
        r#"
refused charybdefs mnt
says modules=subdir,subdir=DIR
refused charybdefs mnt -omodules=subdir,subdir=none
says none 'No such file'
refused charybdefs none -omodules=subdir,subdir=raw
says none 'No such file'
refused charybdefs mnt -omodules=subdir,subdir=raw,alow_other
says alow_other 'did you mean allow_other'
refused charybdefs mnt -omodules=subdir,subdir=raw -x
says '`-x`'
ended charybdefs
is_gone mnt
refused port_open
"#,
    );
}

#[test]
#[should_panic(expected = "FAILED in line")]
fn a_script_that_fails_fails_its_test() {
    alone("is_mounted mnt\necho done");
}

#[test]
fn mounts_of_others_are_out_of_sight_whatever_their_names() {
    alone(
        r#"
other='an other\x20mount'
mkdir "$other"
slowfs mount "$other" --subdir raw --listen none --daemon 2>log
answers "$other"
leave_others
is_gone "$PWD/$other"
"#,
    );
}
