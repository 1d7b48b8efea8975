//! Trees of files that have all a file can have, and what tells two trees apart.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, SeekFrom, Timespec, Timestamps, XattrFlags};

use crate::common::{long_or, plain_directory, stdout_of, xattr};
use crate::{NOBODY, program};

/// The entries of a tree by their paths below its root, which is the empty one.
pub(crate) type Tree = BTreeMap<PathBuf, Entry>;

#[derive(Debug, PartialEq)]
pub(crate) struct Entry {
    pub(crate) file: Content,
    pub(crate) inode: Inode,
}

/// What a copy has of its original.
#[derive(Debug, PartialEq)]
pub(crate) struct Content {
    mode: u32,
    owner: (u32, u32),
    links: u64,
    device: u64,
    modified: (i64, i64),
    /// The first name of the same inode in this tree.
    first_name: PathBuf,
    target: Option<PathBuf>,
    size: Option<u64>,
    hash: Option<u64>,
    /// Where data is, in bytes from and to; holes are between.
    data: Vec<(u64, u64)>,
    xattrs: BTreeMap<OsString, Vec<u8>>,
}

/// What only the same inode has.
#[derive(Debug, PartialEq)]
pub(crate) struct Inode {
    number: u64,
    size: u64,
    blocks: u64,
    changed: (i64, i64),
}

/// Where the kernel writes back, it keeps the time of change by itself, which no filesystem lets be
/// set, and asks what is allocated after a while only.
pub(crate) fn drop_what_the_kernel_keeps(tree: &mut Tree) {
    for entry in tree.values_mut() {
        (entry.inode.changed, entry.inode.blocks) = ((0, 0), 0);
    }
}

/// Reads a whole tree.
pub(crate) fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut names = BTreeMap::new();
    let mut found = vec![PathBuf::new()];
    while let Some(path) = found.pop() {
        let full = root.join(&path);
        if fs::symlink_metadata(&full).unwrap().is_dir() {
            let mut below: Vec<_> =
                fs::read_dir(&full).unwrap().map(|e| e.unwrap().file_name()).collect();
            below.sort_unstable();
            found.extend(below.iter().rev().map(|name| path.join(name)));
        }
        let entry =
            entry(&full, |inode| names.entry(inode).or_insert_with(|| path.clone()).clone());
        tree.insert(path, entry);
    }
    tree
}

fn entry(path: &Path, first_name: impl FnOnce(u64) -> PathBuf) -> Entry {
    let found = fs::symlink_metadata(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let (hash, data) = if found.is_file() { read_file(path) } else { (None, Vec::new()) };
    let file = Content {
        mode: found.mode(),
        owner: (found.uid(), found.gid()),
        links: found.nlink(),
        device: found.rdev(),
        modified: (found.mtime(), found.mtime_nsec()),
        first_name: first_name(found.ino()),
        target: fs::read_link(path).ok(),
        size: (!found.is_dir()).then(|| found.size()),
        hash,
        data,
        xattrs: xattr::all(path),
    };
    let changed = (found.ctime(), found.ctime_nsec());
    let (size, blocks) = (found.size(), found.blocks());
    Entry { file, inode: Inode { number: found.ino(), size, blocks, changed } }
}

/// A file's content as a hash, and where it has data.
fn read_file(path: &Path) -> (Option<u64>, Vec<(u64, u64)>) {
    let mut hash = DefaultHasher::new();
    hash.write(&fs::read(path).unwrap());
    let file = File::open(path).unwrap();
    let mut data = Vec::new();
    let mut end = 0;
    // ENXIO: there is no data any more.
    while let Ok(start) = rustix::fs::seek(&file, SeekFrom::Data(end)) {
        end = rustix::fs::seek(&file, SeekFrom::Hole(start)).unwrap();
        data.push((start, end));
    }
    (Some(hash.finish()), data)
}

/// Fails with all that differs between two trees, in what `of` shows of each entry.
#[track_caller]
pub(crate) fn must_agree<T: Debug + PartialEq>(one: &Tree, other: &Tree, of: fn(&Entry) -> &T) {
    let differ = differences(one, other, of);
    let show = |path| format!("{path:?}:\n  {:?}\n  {:?}", one.get(path), other.get(path));
    let shown: Vec<_> = differ.iter().map(|path| show(*path)).collect();
    assert!(differ.is_empty(), "{} differ:\n{}", differ.len(), shown.join("\n"));
}

/// The paths of what differs.
fn differences<'a, T: PartialEq>(
    one: &'a Tree,
    other: &'a Tree,
    of: fn(&Entry) -> &T,
) -> Vec<&'a PathBuf> {
    let paths = one.keys().chain(other.keys().filter(|path| !one.contains_key(*path)));
    paths.filter(|path| one.get(*path).map(of) != other.get(*path).map(of)).collect()
}

#[test]
fn every_alteration_is_noticed() {
    type Alteration = fn(&Path);
    let alterations: [(&str, Alteration); 11] = [
        ("byte", |f| fs::set_permissions(f, PermissionsExt::from_mode(0o001)).unwrap()),
        ("plain/1", |f| lchown(f, Some(77), None).unwrap()),
        ("plain/2", |f| lchown(f, None, Some(77)).unwrap()),
        ("plain/8", |f| fs::write(f, "12345678").unwrap()),
        ("link", |f| set_modified(f, 1)),
        ("plain/3", |f| rustix::fs::removexattr(f, "user.empty").unwrap()),
        ("plain/7", |f| _ = stdout_of(program("setfacl").arg("--remove-all").arg(f))),
        ("hole", |f| {
            File::options().write(true).open(f).unwrap().write_all_at(&[0; 9], 99).unwrap()
        }),
        ("dangling", |f| fs::remove_file(f).and_then(|()| symlink("no/such/fine", f)).unwrap()),
        ("null", |f| fs::remove_file(f).unwrap()),
        ("plain/4", |f| fs::rename(f, f.with_extension("renamed")).unwrap()),
    ];
    let dir = plain_directory();
    plant(dir.path(), true);
    for (path, alter) in alterations {
        let before = read(dir.path());
        alter(&dir.path().join(path));
        // All but the times, which each alteration changes too.
        let mut after = read(dir.path());
        for (path, entry) in &mut after {
            if let Some(before) = before.get(path).filter(|_| path != Path::new("link")) {
                entry.file.modified = before.file.modified;
            }
        }
        let noticed = differences(&before, &after, |entry| &entry.file);
        assert!(noticed.contains(&&PathBuf::from(path)), "{path}: {noticed:?}");
    }
}

/// Fills a directory with files of every kind. `of_root`: with different owners, devices and
/// attributes that only root may set; else all belongs to the ordinary user.
pub(crate) fn plant(root: &Path, of_root: bool) {
    for dir in ["plain", "sticky", "default acl", "deep"] {
        fs::create_dir(root.join(dir)).unwrap();
    }
    fs::create_dir_all(root.join("deep").join(["d"; 10].join("/"))).unwrap();
    plant_contents(root);
    plant_names(root);
    rustix::fs::mknodat(CWD, root.join("fifo"), FileType::Fifo, Mode::from_raw_mode(0o640), 0)
        .unwrap();
    if of_root {
        let device = |name: &str, kind, device| {
            rustix::fs::mknodat(CWD, root.join(name), kind, Mode::from_raw_mode(0o600), device)
                .unwrap();
        };
        device("null", FileType::CharacterDevice, rustix::fs::makedev(1, 3));
        device("disk", FileType::BlockDevice, rustix::fs::makedev(7, 4000));
    }
    let planted: Vec<_> = read(root).into_keys().collect();
    for (n, path) in planted.iter().enumerate() {
        let path = root.join(path);
        let owner = |n: usize| [0, 1000, NOBODY, 4_000_000_000][n % 4];
        let (uid, gid) = if of_root { (owner(n), owner(n / 3)) } else { (NOBODY, NOBODY) };
        lchown(path, Some(uid), Some(gid)).unwrap();
    }
    plant_permissions(root, of_root);
    plant_xattrs(root, of_root);
    // Last, children before their directories.
    for (n, path) in planted.iter().enumerate().rev() {
        set_modified(&root.join(path), n);
    }
}

fn plant_contents(root: &Path) {
    fs::write(root.join("empty"), "").unwrap();
    fs::write(root.join("byte"), "b").unwrap();
    let noise: Vec<u8> = (0..300_000u64).map(|n| (n.wrapping_mul(n) >> 7) as u8 | 1).collect();
    fs::write(root.join("large"), &noise).unwrap();
    for n in 0..long_or(2000, 100) {
        fs::write(root.join(format!("plain/{n}")), &noise[..n % 9000]).unwrap();
    }
    let sparse = |name: &str, size: u64, chunks: &[u64]| {
        let file = File::create(root.join(name)).unwrap();
        file.set_len(size).unwrap();
        for at in chunks {
            file.write_all_at(&noise[..64 << 10], *at).unwrap();
        }
    };
    sparse("sparse", 6 << 20, &[0, 2 << 20, (6 << 20) - (64 << 10)]);
    sparse("sparse at both ends", 2 << 20, &[1 << 20]);
    sparse("hole", 999_999, &[]);
}

fn plant_names(root: &Path) {
    for name in [&b"new\nline"[..], b"\xff\xfe not UTF-8", b" ", b"-n", &[b'n'; 255]] {
        fs::write(root.join(OsStr::from_bytes(name)), name).unwrap();
    }
    symlink("plain/1", root.join("link")).unwrap();
    symlink("no/such/file", root.join("dangling")).unwrap();
    symlink(["long"; 800].join("/"), root.join("long link")).unwrap();
    for name in ["plain/of large", "deep/d/of large", "z of large"] {
        fs::hard_link(root.join("large"), root.join(name)).unwrap();
    }
    fs::hard_link(root.join("sparse"), root.join("sticky/of sparse")).unwrap();
}

fn plant_permissions(root: &Path, of_root: bool) {
    let mode = |name: &str, mode| {
        fs::set_permissions(root.join(name), PermissionsExt::from_mode(mode)).unwrap();
    };
    mode("sticky", 0o1777);
    mode("deep", 0o2750);
    mode("empty", 0o6755);
    mode("byte", if of_root { 0o000 } else { 0o400 });
    let acl = |entries: &str, name: &str| {
        stdout_of(program("setfacl").args(["--modify", entries]).arg(root.join(name)));
    };
    acl("user:1000:rw,user:4000000000:r,group:12:x,mask::rwx", "large");
    acl("group:1000:-", "plain/7");
    acl("user:1000:rwx,default:user:1000:rwx,default:group:7:r", "default acl");
}

fn plant_xattrs(root: &Path, of_root: bool) {
    let set = |file: &str, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(root.join(file), name, value, XattrFlags::CREATE).unwrap();
    };
    set("plain", "user.directory", b"of a directory");
    set("plain/3", "user.binary", &(0..=255).collect::<Vec<_>>());
    set("plain/3", "user.empty", b"");
    set("sparse", "user.large", &[b'l'; 1500]);
    if of_root {
        set("plain/4", "trusted.root", b"root's");
        set("link", "trusted.link", b"of a symlink");
        // cap_net_raw, permitted and effective: struct vfs_cap_data, revision 2.
        let capability = [[1, 0, 0, 2], [0, 32, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
        set("plain/5", "security.capability", &capability);
    }
}

/// Before 1970, after 2038, and with all digits of a nanosecond.
fn set_modified(path: &Path, n: usize) {
    let seconds = [1_700_000_000, -2, 4_102_444_800, 0, 1_234_567_890][n % 5] + n as i64;
    let nanoseconds = [999_999_999, 500_000_001, 1, 0][n % 4];
    let time = Timespec { tv_sec: seconds, tv_nsec: nanoseconds };
    let times = Timestamps { last_access: time, last_modification: time };
    rustix::fs::utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}
