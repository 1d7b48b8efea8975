//! `mount -t fuse.slowfs` and lines of /etc/fstab, through the link that `make install` makes in
//! /sbin and, where there is none, through mount.fuse of the package fuse3.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod alone;

/// Ways for mount(8) to find the program; both see a /usr/sbin and a /usr/local/bin of their own.
const INSTALL: &str = r#"
program=$(readlink -f "$(command -v slowfs)")
with_links() {
    mkdir sbin
    mount --bind /usr/sbin sbin
    mount -t tmpfs none /usr/sbin
    ln -s "$PWD"/sbin/* /usr/sbin/
    ln -sf "$program" /usr/sbin/mount.fuse.slowfs
    ln -sf "$program" /usr/sbin/mount.slowfs
}
without_links() {
    [ ! -e /sbin/mount.fuse.slowfs ] || die 'this machine has the link installed'
    mount -t tmpfs none /usr/local/bin
    chmod 755 /usr/local/bin
    ln -s "$program" /usr/local/bin/slowfs
}
# as UID COMMAND...
as() { local id=$1; shift; setpriv --reuid "$id" --regid "$id" --clear-groups "$@"; }
# Whether ordinary users may open the device differs between machines.
device_for_users() {
    mknod -m 666 fuse c 10 229
    mount --bind fuse /dev/fuse
}
# All that such a user needs: `me COMMAND...` is it.
as_an_ordinary_user() {
    device_for_users
    program_for_users
    me() { as 65534 "$@"; }
    export SLOWFS_ADDR=127.0.0.1:9191
    mkdir home
    chown 65534:65534 raw mnt home
}
options() { findmnt -rno OPTIONS mnt; }
done_with() {
    umount mnt
    soon ended slowfs
    is_gone mnt
}
"#;

fn alone(script: &str) {
    alone::run(&format!("{INSTALL}{script}"));
}

/// What both ways must do alike.
const MOUNTS: &str = r#"
mount -t fuse.slowfs raw mnt -o allow_other,listen=127.0.0.1:9191 >log 2>&1
[ ! -s log ] || die 'mount is not silent'
answers mnt
slowfs ping --addr 127.0.0.1:9191 | grep -q "mirrors $PWD/raw at $PWD/mnt"
[ "$(findmnt -rno SOURCE,FSTYPE mnt)" = "$PWD/raw fuse.slowfs" ] || die "$(findmnt mnt)"
options | grep -q allow_other
running slowfs || die 'the daemon goes by another name'
refused mount -t fuse.slowfs raw mnt -o listen=none
says 'already a fuse.slowfs mount'
done_with

mount -t fuse.slowfs raw mnt -o ro,noexec,seed=7,threads=2,log_file=$PWD/log,listen=none
options | grep -q '^ro,.*noexec'
# logrotate's way
mv log log.1
pkill -HUP -x slowfs
soon grep -qs 'SIGHUP: the log goes on' log
is_mounted mnt || die 'SIGHUP has ended it'
done_with
grep -q 'mirrors' log.1
grep -q 'unmounted' log

refused mount -t fuse.slowfs raw mnt -o remount,ro
says 'no mirror is mounted there'
mount -t fuse.slowfs raw mnt -o allow_other,dev,noexec,listen=127.0.0.1:9191 2>log
mount -o remount,ro mnt
options | grep -q '^ro,.*noexec.*allow_other' || die "$(options)"
refused touch mnt/file
grep -q 'Read-only file system' said
mount -o remount,rw,exec mnt
options | grep -q '^rw,.*allow_other' && ! options | grep -q noexec || die "$(options)"
answers mnt
slowfs ping --addr 127.0.0.1:9191 >/dev/null
done_with

# Of mount(8)'s own defaults its helper does not hear.
kept() { options | tr , '\n' | sed -nE '/^(nodev|nosuid|noexec)$/p' | xargs; }
for given in dev,suid= defaults= nodev,nosuid="nosuid nodev" noexec=noexec dev,nosuid=nosuid \
    suid,nodev=nodev user="nosuid nodev noexec" users,exec="nosuid nodev" owner="nosuid nodev" \
    user,suid,dev,exec=; do
    mount -t fuse.slowfs raw mnt -o "${given%%=*},listen=none" 2>log
    [ "$(kept)" = "${given#*=}" ] || die "$given: $(options)"
    done_with
done
mount -t fuse.slowfs raw mnt -o dev,suid,sync,nodiratime,nosymfollow,listen=none 2>log
options | grep -q '^rw,nodiratime,.*nosymfollow,sync' || die "$(options)"
cp /usr/bin/id raw/id
chmod 4755 raw/id
mknod raw/null c 1 3
[ "$(as 65534 mnt/id -u)" = 0 ] || die 'setuid has no effect'
echo >mnt/null
done_with
rm raw/id raw/null

mount -t fuse.slowfs raw mnt -o noatime,listen=none 2>log
mount -o remount,ro mnt
options | grep -q '^ro,.*noatime' || die "$(options)"
mount -o remount,rw,nodev -t fuse.slowfs raw mnt
options | grep -q '^rw,nodev,noatime' || die "$(options)"
done_with
mount -t fuse.slowfs raw mnt -o listen=none 2>log
refused mount -o remount,noatime mnt
says 'cannot remount' noatime 'unmount and mount'
done_with

refused mount -t fuse.slowfs raw mnt -o alow_other
says alow_other 'did you mean allow_other'
refused mount -t fuse.slowfs "$PWD/none" mnt
says none 'No such file'
is_gone mnt

cat >fstab <<END
# everything that administrators put there
$PWD/raw $PWD/mnt fuse.slowfs defaults,_netdev,nofail,noauto,user,x-systemd.automount,x-systemd.requires=network.target,x-initrd.mount,comment=tests,allow_other,suid,dev,exec,listen=127.0.0.1:9191 0 0
END
mount -T fstab "$PWD/mnt" 2>log
answers mnt
slowfs ping --addr 127.0.0.1:9191 >/dev/null
done_with

sed -i 's/noauto,user,//' fstab
mount -a -T fstab 2>log
answers mnt
mount -a -T fstab 2>said || die 'a second mount -a does not see it mounted'
[ "$(findmnt -rn mnt | wc -l)" = 1 ] || die "$(findmnt mnt)"
done_with
"#;

#[test]
fn mount_runs_the_link_in_sbin() {
    alone(&format!(
        r#"with_links
{MOUNTS}
mount -t slowfs raw mnt -o listen=none 2>log
[ "$(findmnt -rno SOURCE,FSTYPE mnt)" = "$PWD/raw fuse.slowfs" ] || die "$(findmnt mnt)"
done_with
mount -f -t fuse.slowfs raw mnt
is_gone mnt
mount -s -t fuse.slowfs raw mnt -o listen=none,iocharset=utf8 2>log
grep -q iocharset log
done_with
mount -t fuse.slowfs any-name mnt -o subdir=$PWD/raw,listen=none 2>log
[ "$(findmnt -rno SOURCE mnt)" = any-name ] || die "$(findmnt mnt)"
done_with
"#
    ));
}

#[test]
fn mount_without_the_link_runs_slowfs_through_mount_fuse() {
    alone(&format!(
        r#"without_links
{MOUNTS}
mount -t fuse "slowfs#$PWD/raw" mnt -o listen=none 2>log
answers mnt
done_with
"#
    ));
}

#[test]
fn an_ordinary_user_mounts_what_fstab_lets_users_mount() {
    alone(
        r#"program_for_users
program=$PWD/bin/slowfs
with_links
device_for_users
echo "$PWD/raw $PWD/mnt fuse.slowfs noauto,user,listen=127.0.0.1:9191 0 0" >fstab
mount --bind fstab /etc/fstab
chown 65534:65534 raw mnt
as 65534 mount "$PWD/mnt" 2>log
[ "$(findmnt -rno FSTYPE mnt)" = fuse.slowfs ] || die "$(findmnt mnt)"
as 65534 touch mnt/file
[ "$(stat -c %u raw/file)" = 65534 ]
as 65534 fusermount3 -u mnt
soon ended slowfs
is_gone mnt
"#,
    );
}

#[test]
fn allow_root_lets_root_in_beside_an_ordinary_user_and_nobody_else() {
    alone(
        r#"device_for_users
program_for_users
echo user_allow_other >fuse.conf
mount --bind fuse.conf /etc/fuse.conf
chown 65534:65534 raw mnt
as 65534 charybdefs mnt -omodules=subdir,subdir=raw,allow_root 2>log
as 65534 touch mnt/file
stat mnt/file >/dev/null
refused as 65533 stat mnt/file
grep -q 'Permission denied' said
"#,
    );
}

#[test]
fn an_ordinary_user_mounts_and_has_the_mirror_to_itself() {
    alone(
        r#"as_an_ordinary_user
mount --bind /dev/null /etc/fuse.conf
refused me slowfs mount mnt --subdir raw --listen none --allow-other
says user_allow_other /etc/fuse.conf
is_gone mnt
refused as 65533 slowfs mount mnt --subdir raw --listen none
is_gone mnt

me slowfs mount mnt --subdir raw --listen "$SLOWFS_ADDR" --daemon --log-file home/log --pid-file home/pid -o sync,nodiratime
options | grep -q sync || die "$(options)"
[ "$(findmnt -rno SOURCE,FSTYPE mnt)" = "$PWD/raw fuse.slowfs" ] || die "$(findmnt mnt)"
options | grep -q nosuid,nodev
me sh -c 'echo hello >mnt/file && mkdir mnt/dir && ln mnt/file mnt/dir/link && mv mnt/file mnt/dir/file'
[ "$(cat raw/dir/link)" = hello ]
[ "$(stat -c %u:%g raw/dir/file)" = 65534:65534 ]
refused me chown 0 mnt/dir/file
grep -q 'Operation not permitted' said
touch raw/of-root
chmod 600 raw/of-root
refused me cat mnt/of-root
grep -q 'Permission denied' said
# What the kernel grants and the backing does not: the daemon is no more than its user.
chmod 640 raw/of-root
refused me sh -c 'echo >mnt/of-root'
for other in 0 65533; do
    refused as "$other" ls mnt
    grep -q 'Permission denied' said
done
me slowfs umount mnt
ended slowfs || die 'umount returned before the daemon had ended'
[ ! -e home/pid ]
is_gone mnt
"#,
    );
}

/// Of others' files that it may write, the daemon of an ordinary user cannot set the times that the kernel
/// tells; nor can it fill pages of a file that it may not read.
#[test]
fn an_ordinary_users_mirror_writes_back_to_files_of_others_and_to_unreadable_ones() {
    alone(
        r#"as_an_ordinary_user
echo begin >raw/of-root
chmod 666 raw/of-root
echo begin >raw/secret
chown 65534 raw/secret
chmod 200 raw/secret
me slowfs mount mnt --subdir raw --listen none --daemon --log-file home/log --writeback-cache
me dd if=/dev/zero of=mnt/of-root bs=4k count=3 conv=fsync 2>said || die "$(cat said)"
me mv mnt/of-root mnt/moved
me dd if=/dev/zero of=mnt/moved bs=4k count=3 conv=fsync 2>said || die "$(cat said)"
me mv mnt/moved mnt/of-root
me truncate -s 5 mnt/of-root || die 'truncate'
[ "$(stat -c %s raw/of-root)" = 5 ]
me sh -c 'echo more >>mnt/secret' || die 'append'
[ "$(cat raw/secret)" = "begin
more" ] || die "$(cat raw/secret)"
me slowfs umount mnt
"#,
    );
}

/// An ordinary user's daemon does not see what root calls. What may be a write is none of its reads.
#[test]
fn who_is_not_seen_writes_under_a_read_fault_and_meets_it_where_it_only_reads() {
    alone(
        r#"as_an_ordinary_user
echo user_allow_other >fuse.conf
mount --bind fuse.conf /etc/fuse.conf
me slowfs mount mnt --subdir raw --listen "$SLOWFS_ADDR" --daemon --log-file home/log \
    --writeback-cache -o allow_root
me touch mnt/file
exec 3<>mnt/file 4<mnt/file
echo begin >&3
slowfs error EIO -m read,fgetattr
echo more >&3 || die 'a write met a read fault'
refused head -c 1 <&4
grep -q 'Input/output error' said
slowfs clear
exec 3>&- 4<&-
[ "$(cat raw/file)" = "begin
more" ] || die "$(cat raw/file)"
me slowfs umount mnt
"#,
    );
}

#[test]
fn an_ordinary_user_sets_faults_and_ends_the_mount_while_one_holds() {
    alone(
        r#"as_an_ordinary_user
me slowfs mount mnt --subdir raw --listen "$SLOWFS_ADDR" --daemon --log-file home/log --pid-file home/pid
me touch mnt/file

me slowfs error EIO -m write
refused me sh -c 'echo more >mnt/file'
grep -q 'I/O error' said
me slowfs delay 300ms -m fsync
began=$(date +%s%N)
me sync mnt/file
((($(date +%s%N) - began) >= 300000000)) || die 'fsync was not delayed'
me slowfs clear
me sh -c 'echo more >mnt/file'

# The end by a signal, with an operation held.
me slowfs hang -m mkdir
me mkdir mnt/held &
soon eval 'slowfs list --json | grep -q "\"held\": *1"'
me kill "$(cat home/pid)"
wait $!
soon ended slowfs
is_gone mnt
[ -d raw/held ]
"#,
    );
}
