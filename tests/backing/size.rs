//! More files than descriptors, and than the kernel remembers.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

use rustix::process::{Pid, Resource, Rlimit};

use super::common::Mount;
use super::{held, names, open_rw};

/// Makes, keeps known, reads, moves and removes more files and directories than a daemon with 256
/// descriptors could have open.
fn use_more_files_than_descriptors(mnt: &Path) {
    let (dirs, files) = (60, 20);
    let name = |d: usize, f: usize| format!("d{d}/f{f}");
    for d in 0..dirs {
        fs::create_dir(mnt.join(format!("d{d}"))).unwrap();
        for f in 0..files {
            fs::write(mnt.join(name(d, f)), name(d, f)).unwrap();
        }
    }
    // References that keep the kernel from forgetting: the daemon must know all of them at once.
    let held: Vec<_> = (0..dirs)
        .flat_map(|d| (0..files).map(move |f| (d, f)))
        .map(|(d, f)| (d, f, held(&mnt.join(name(d, f)))))
        .collect();
    let open: Vec<_> = (0..60).map(|d| open_rw(mnt.join(name(d, 0)))).collect();
    for (d, f, held) in &held {
        let size = rustix::fs::fstat(held).unwrap().st_size;
        assert_eq!(size, i64::try_from(name(*d, *f).len()).unwrap());
    }
    std::thread::scope(|scope| {
        for reader in 0..4 {
            scope.spawn(move || {
                for d in (0..dirs).filter(|d| d % 4 == reader) {
                    for f in 0..files {
                        let read = fs::read_to_string(mnt.join(name(d, f))).unwrap();
                        assert_eq!(read, name(d, f));
                    }
                }
            });
        }
    });
    for d in 0..dirs {
        fs::rename(mnt.join(format!("d{d}")), mnt.join(format!("e{d}"))).unwrap();
        assert_eq!(names(mnt.join(format!("e{d}"))).len(), files);
    }
    for (d, file) in open.iter().enumerate() {
        file.write_all_at(b"D", 0).unwrap();
        assert_eq!(fs::read(mnt.join(format!("e{d}/f0"))).unwrap()[0], b'D');
    }
    for (d, f, held) in &held {
        let path = format!("/proc/self/fd/{}", held.as_raw_fd());
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let changed = fs::metadata(mnt.join(format!("e{d}/f{f}"))).unwrap();
        assert_eq!(changed.mode() & 0o777, 0o600);
    }
    // What is removed while it is in use needs a descriptor to be found by: few enough of it.
    drop(held);
    for d in 0..dirs {
        fs::remove_dir_all(mnt.join(format!("e{d}"))).unwrap();
    }
    assert_eq!(names(mnt), [""; 0]);
}

#[test]
fn tree_may_have_more_files_than_the_daemon_descriptors() {
    let mount = Mount::limited(256, super::common::scratch(), &[]);
    use_more_files_than_descriptors(&mount.mnt());
}

#[test]
fn descriptors_may_run_out_while_the_mirror_runs() {
    let mount = Mount::new();
    let limit = Rlimit { current: Some(256), maximum: Some(256) };
    let daemon = Pid::from_raw(i32::try_from(mount.pid()).unwrap());
    rustix::process::prlimit(daemon, Resource::Nofile, limit).unwrap();
    use_more_files_than_descriptors(&mount.mnt());
}

#[test]
fn what_the_kernel_forgot_is_found_again_as_the_same() {
    let mount = Mount::new();
    let mnt = mount.mnt();
    fs::create_dir_all(mnt.join("a/b")).unwrap();
    for n in 0..200 {
        fs::write(mnt.join(format!("a/b/f{n}")), n.to_string()).unwrap();
    }
    fs::hard_link(mnt.join("a/b/f0"), mnt.join("link")).unwrap();
    let number = |n| fs::metadata(mnt.join(format!("a/b/f{n}"))).unwrap().ino();
    let numbers: Vec<_> = (0..200).map(number).collect();
    let open: Vec<_> = (0..20).map(|n| open_rw(mnt.join(format!("a/b/f{n}")))).collect();
    fs::remove_file(mnt.join("a/b/f1")).unwrap();
    for round in 0..5 {
        // Remounting makes the kernel forget every inode that is not in use.
        let flags = rustix::mount::MountFlags::NOSUID | rustix::mount::MountFlags::NODEV;
        rustix::mount::mount_remount(&mnt, flags, "").unwrap();
        fs::rename(mnt.join("a"), mnt.join("c")).unwrap();
        fs::rename(mnt.join("c"), mnt.join("a")).unwrap();
        for n in (0..200).filter(|n| *n != 1) {
            assert_eq!(number(n), numbers[n], "{n} in round {round}");
        }
        assert_eq!(fs::metadata(mnt.join("link")).unwrap().ino(), numbers[0]);
        for (n, file) in open.iter().enumerate() {
            let mut content = [0; 2];
            let read = file.read_at(&mut content, 0).unwrap();
            assert_eq!(content[..read], *n.to_string().as_bytes());
            file.set_permissions(PermissionsExt::from_mode(0o600)).unwrap();
            file.set_len(n.to_string().len() as u64).unwrap();
        }
    }
    assert_eq!(open[1].metadata().unwrap().nlink(), 0);
}
