//! The log and the builder of images on a real directory, driven by the calls that `fs` makes, without FUSE.
//! They need root, and a filesystem with extended attributes and holes.
//!
//! Tried by hand, and what then fails; behind `oracle` and `each moment`, which is that of `back`, after how many
//! programs, in up to three runs:
//!
//! | in the code | fails |
//! |---|---|
//! | what a truncation cuts off is not remembered | `oracle` 6, 11, 21; `cases`, `in_place`, `lost` |
//! | fdatasync leaves the size | `oracle` 1, 3; `bounds`, `cases` |
//! | a write that syncs itself leaves the size | `oracle` 34 |
//! | what a rename replaces is not brought back | `oracle` 1, 5, 15; each moment 14, 17, 18; `cases`, `in_place` |
//! | each name of a file is made a file | `oracle` 1; `in_place` |
//! | a sync counts that has failed | `oracle` 9, 44, 62 |
//! | what is lost is durable by the next sync | `lost` |
//! | a request that writes nothing brings of a page along what was lost | `oracle` about once in 80; `lost` |
//! | a page that is written again brings nothing else of it along | `oracle`, `lost` |
//! | the size of what is lost is lost, too | `oracle`, `lost` |
//! | others who have it open do not learn that a sync has failed | `lost` |
//! | a write that failed owes a sync | `debts` |
//! | two writes of a file run at once | `places` |
//! | a file is there whose creation is dropped | `oracle` 2; each moment 1; `cases`, `in_place`, `places` |
//! | a change does not need its directory | `cases` |
//! | a sync reaches what came after it began | `places` |
//! | changes that are durable are not kept for who goes back | each moment 1 |
//! | writes that are durable are not kept for who goes back | each moment 1 |
//! | what was synced by itself before a moment is not durable in its image | each moment 5 |
//! | what was synced by itself just after a moment is durable in its image | `back` |
//! | what became durable just before a moment is undone in its image | each moment 2 |
//! | what came after a moment is done in its image | each moment 1 |
//! | in place contents are not written back | `oracle` 16; `in_place` |
//! | in place a directory that was made anew has not its attributes | `in_place` |
//! | the log goes on after a cut in place as if nothing had been | `oracle` 2; `in_place` |

mod back;
mod bounds;
mod cases;
mod debts;
mod in_place;
mod legal;
mod lost;
mod model;
mod oracle;
mod places;
mod tree;

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::fault::{Keeping, Unit};
use crate::mirror::{Caller, Changes, Fh, ROOT};
use tree::{ATTRIBUTE, Item, Items, items};

const ROOT_USER: Caller = Caller { uid: 0, gid: 0, tid: 0, process: None, umask: 0 };

/// The thread that asks for everything.
const TID: u32 = 7;

/// A mirrored directory, its log, and a place for images.
struct World {
    tree: Mirror<()>,
    unsynced: Unsynced,
    backing: PathBuf,
    images: PathBuf,
    cuts: u32,
    /// A file that stays open, whatever becomes of its name.
    open: Option<(Ino, Fh)>,
    _dir: tempfile::TempDir,
}

impl World {
    fn new(order: Order) -> World {
        World::with(order, 1 << 30, Duration::from_secs(3600))
    }

    fn with(order: Order, most: u64, age: Duration) -> World {
        assert!(rustix::process::geteuid().is_root(), "this test must run as root");
        let dir = tempfile::tempdir_in(
            ["/dev/shm", "/tmp"].into_iter().find(|d| Path::new(d).is_dir()).unwrap(),
        )
        .unwrap();
        let (backing, images) = (dir.path().join("backing"), dir.path().join("images"));
        fs::create_dir(&backing).unwrap();
        fs::create_dir(&images).unwrap();
        let open = |path: &Path| {
            let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
            rustix::fs::open(path, flags, Mode::empty()).unwrap()
        };
        let tree = Mirror::new(open(&backing), &backing).unwrap();
        let limits = Limits { order, most, age, images: Some(open(&images)) };
        let unsynced = Unsynced::new(Arc::new(Keep::in_memory_only()), limits);
        World { tree, unsynced, backing, images, cuts: 0, open: None, _dir: dir }
    }

    fn change<T>(&self, about: &About<'_>, run: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.unsynced.change(&self.tree, about, run)
    }

    /// Runs with the inode of a path, known as the kernel knows it meanwhile.
    fn at<T>(&self, path: &str, run: impl FnOnce(Ino) -> io::Result<T>) -> io::Result<T> {
        let mut held = Vec::new();
        let mut ino = ROOT;
        let walked = path.split('/').filter(|name| !name.is_empty()).try_for_each(|name| {
            ino = self.tree.lookup(ino, OsStr::new(name))?.ino;
            held.push(ino);
            Ok(())
        });
        let done = walked.and_then(|()| run(ino));
        held.into_iter().for_each(|ino| self.tree.forget(ino, 1));
        done
    }

    /// The same with the directory of a path, and the last name.
    fn inside<T>(
        &self,
        path: &str,
        run: impl FnOnce(Ino, &OsStr) -> io::Result<T>,
    ) -> io::Result<T> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        self.at(dir, |dir| run(dir, OsStr::new(name)))
    }

    fn make(
        &self,
        path: &str,
        make: impl FnOnce(Ino, &OsStr) -> io::Result<Ino>,
    ) -> io::Result<()> {
        self.inside(path, |dir, name| {
            let entries = [Some((dir, name)), None];
            let about = About::Names { entries, linked: None, makes: true };
            let made = self.change(&about, || make(dir, name))?;
            self.tree.forget(made, 1);
            Ok(())
        })
    }

    fn create(&self, path: &str) -> io::Result<()> {
        self.make(path, |dir, name| {
            let (entry, fh) = self.tree.create(&ROOT_USER, dir, name, 0o644, libc::O_RDWR)?;
            self.tree.release(fh)?;
            Ok(entry.ino)
        })
    }

    fn mkdir(&self, path: &str) -> io::Result<()> {
        self.make(path, |dir, name| Ok(self.tree.mkdir(&ROOT_USER, dir, name, 0o755)?.ino))
    }

    fn symlink(&self, path: &str) -> io::Result<()> {
        let target = OsStr::new("somewhere");
        self.make(path, |dir, name| Ok(self.tree.symlink(&ROOT_USER, dir, name, target)?.ino))
    }

    fn mknod(&self, path: &str) -> io::Result<()> {
        let mode = libc::S_IFIFO | 0o600;
        self.make(path, |dir, name| Ok(self.tree.mknod(&ROOT_USER, dir, name, mode, 0)?.ino))
    }

    fn link(&self, path: &str, to: &str) -> io::Result<()> {
        self.at(path, |ino| {
            self.inside(to, |dir, name| {
                let entries = [Some((dir, name)), None];
                let about = About::Names { entries, linked: Some(ino), makes: false };
                let made = self.change(&about, || self.tree.link(ino, dir, name))?;
                self.tree.forget(made.ino, 1);
                Ok(())
            })
        })
    }

    fn remove(&self, path: &str, directory: bool) -> io::Result<()> {
        self.inside(path, |dir, name| {
            let entries = [Some((dir, name)), None];
            let about = About::Names { entries, linked: None, makes: false };
            self.change(&about, || match directory {
                true => self.tree.rmdir(dir, name),
                false => self.tree.unlink(dir, name),
            })
        })
    }

    fn rename(&self, from: &str, to: &str, flags: u32) -> io::Result<()> {
        self.inside(from, |dir, name| {
            self.inside(to, |newdir, new| {
                let entries = [Some((dir, name)), Some((newdir, new))];
                let about = About::Names { entries, linked: None, makes: false };
                self.change(&about, || self.tree.rename(dir, name, newdir, new, flags)).map(drop)
            })
        })
    }

    /// Runs with an open file.
    fn opened<T>(&self, path: &str, run: impl FnOnce(Ino, Fh) -> io::Result<T>) -> io::Result<T> {
        self.at(path, |ino| {
            let kind = self.tree.seen(ino)?.kind();
            if kind != libc::S_IFREG {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            let fh = self.open_file(ino)?;
            let done = run(ino, fh);
            self.close((ino, fh))?;
            done
        })
    }

    fn open_file(&self, ino: Ino) -> io::Result<Fh> {
        let fh = self.tree.open(ino, libc::O_RDWR)?;
        self.unsynced.opened(ino, fh);
        Ok(fh)
    }

    fn close(&self, (ino, fh): (Ino, Fh)) -> io::Result<()> {
        self.unsynced.forgive(&self.tree, (ino, (fh, None)), 0);
        self.tree.release(fh)
    }

    fn write_by(&self, (ino, fh): (Ino, Fh), at: u64, data: &[u8], syncs: bool) -> io::Result<()> {
        let owes = syncs.then_some((fh, TID));
        let about = About::Write { file: (ino, fh), at, len: data.len() as u64, owes };
        self.change(&about, || self.tree.write(None, fh, at, data))?;
        match syncs {
            true => self.sync_by((ino, fh), SyncOf::File { datasync: true }),
            false => Ok(()),
        }
    }

    fn write(&self, path: &str, at: u64, data: &[u8]) -> io::Result<()> {
        self.opened(path, |ino, fh| self.write_by((ino, fh), at, data, false))
    }

    fn write_synced(&self, path: &str, at: u64, data: &[u8]) -> io::Result<()> {
        self.opened(path, |ino, fh| self.write_by((ino, fh), at, data, true))
    }

    fn append(&self, path: &str, data: &[u8]) -> io::Result<()> {
        self.opened(path, |ino, fh| {
            let at = self.tree.seen(ino)?.size;
            let about = About::Write { file: (ino, fh), at, len: data.len() as u64, owes: None };
            self.change(&about, || self.tree.append(None, fh, data)).map(drop)
        })
    }

    fn set(&self, path: &str, changes: Changes) -> io::Result<()> {
        self.at(path, |ino| {
            let times = changes.atime.is_some() || changes.mtime.is_some();
            let about = About::State { ino, size: changes.size, times };
            self.change(&about, || self.tree.setattr(&ROOT_USER, ino, None, &changes)).map(drop)
        })
    }

    fn truncate(&self, path: &str, size: u64) -> io::Result<()> {
        self.opened(path, |_, _| Ok(()))?;
        self.set(path, Changes { size: Some(size), ..Changes::default() })
    }

    fn chmod(&self, path: &str, mode: u32) -> io::Result<()> {
        self.at(path, |ino| match self.tree.seen(ino)?.kind() {
            libc::S_IFLNK => Err(io::Error::from_raw_os_error(libc::EINVAL)),
            _ => Ok(()),
        })?;
        self.set(path, Changes { mode: Some(mode), ..Changes::default() })
    }

    fn chown(&self, path: &str, uid: u32) -> io::Result<()> {
        self.set(path, Changes { uid: Some(uid), ..Changes::default() })
    }

    fn set_xattr(&self, path: &str, value: Option<&[u8]>) -> io::Result<()> {
        let name = OsStr::new(ATTRIBUTE);
        self.at(path, |ino| {
            self.change(&About::Attribute { ino, name }, || match value {
                Some(value) => self.tree.setxattr(&ROOT_USER, ino, name, value, 0),
                None => self.tree.removexattr(ino, name),
            })
        })
    }

    fn allocate(&self, path: &str, mode: i32, at: u64, len: u64) -> io::Result<()> {
        self.opened(path, |ino, fh| {
            let about = About::Allocate { ino, mode, at, len };
            self.change(&about, || self.tree.fallocate(&ROOT_USER, fh, mode, at, len))
        })
    }

    fn copy(&self, from: &str, to: &str, len: u64) -> io::Result<()> {
        self.opened(from, |_, source| {
            self.opened(to, |ino, fh| {
                let about = About::Write { file: (ino, fh), at: 100, len, owes: None };
                let copy = || self.tree.copy_file_range(&ROOT_USER, (source, 0), (fh, 100), len, 0);
                self.change(&about, copy).map(drop)
            })
        })
    }

    fn sync_by(&self, (ino, fh): (Ino, Fh), of: SyncOf) -> io::Result<()> {
        let datasync = matches!(of, SyncOf::File { datasync: true });
        self.unsynced.sync(&self.tree, (ino, (fh, TID)), of, || self.tree.fsync(fh, datasync))
    }

    fn fsync(&self, path: &str) -> io::Result<()> {
        let of = SyncOf::File { datasync: false };
        self.opened(path, |ino, fh| self.sync_by((ino, fh), of))
    }

    fn fdatasync(&self, path: &str) -> io::Result<()> {
        let of = SyncOf::File { datasync: true };
        self.opened(path, |ino, fh| self.sync_by((ino, fh), of))
    }

    /// One that fails.
    fn failed_sync(&self, path: &str) -> io::Result<()> {
        let failed = || Err(io::Error::from_raw_os_error(libc::EIO));
        self.opened(path, |ino, fh| {
            let of = SyncOf::File { datasync: false };
            let synced = self.unsynced.sync(&self.tree, (ino, (fh, TID)), of, failed);
            assert_eq!(synced.unwrap_err().raw_os_error(), Some(libc::EIO));
            Ok(())
        })
    }

    /// One of which the data are lost, and that is told to have failed or not.
    fn lose_by(&self, (ino, fh): (Ino, Fh), fails: bool) {
        let open = fails.then(|| self.tree.handles_of(ino));
        let of = SyncOf::File { datasync: true };
        self.unsynced.lose(&self.tree, (ino, (fh, TID)), of, open.as_deref());
    }

    fn lost_sync(&self, path: &str, fails: bool) -> io::Result<()> {
        self.opened(path, |ino, fh| {
            self.lose_by((ino, fh), fails);
            Ok(())
        })
    }

    /// A write by O_DSYNC of whose bytes the sync is lost.
    fn write_lost(&self, path: &str, at: u64, data: &[u8]) -> io::Result<()> {
        self.opened(path, |ino, fh| {
            let about =
                About::Write { file: (ino, fh), at, len: data.len() as u64, owes: Some((fh, TID)) };
            self.change(&about, || self.tree.write(None, fh, at, data))?;
            self.lose_by((ino, fh), false);
            Ok(())
        })
    }

    /// One that is not done, and told as done.
    fn lying_sync(&self, path: &str) -> io::Result<()> {
        self.opened(path, |ino, fh| {
            self.unsynced.forgive(&self.tree, (ino, (fh, Some(TID))), 0);
            Ok(())
        })
    }

    fn fsync_dir(&self, path: &str) -> io::Result<()> {
        self.at(path, |ino| {
            let fh = self.tree.opendir(ino)?;
            let done = self.sync_by((ino, fh), SyncOf::Directory);
            self.tree.release(fh)?;
            done
        })
    }

    /// Has a file stay open.
    fn keep_open(&mut self, path: &str) -> io::Result<()> {
        let opened = self.at(path, |ino| {
            if self.tree.seen(ino)?.kind() != libc::S_IFREG {
                return Err(io::Error::from_raw_os_error(libc::EINVAL));
            }
            let fh = self.open_file(ino)?;
            self.tree.hold(ino);
            Ok((ino, fh))
        })?;
        self.let_go();
        self.open = Some(opened);
        Ok(())
    }

    fn let_go(&mut self) {
        if let Some((ino, fh)) = self.open.take() {
            self.close((ino, fh)).unwrap();
            self.tree.forget(ino, 1);
        }
    }

    /// What an image has that keeps so much.
    fn cut(&mut self, keeping: Keeping, unit: u64, seed: u64) -> Items {
        let unit = Unit::of(unit).unwrap();
        self.cut_at(None, Choice { keeping, unit, seed })
    }

    /// The same of a moment.
    fn cut_at(&mut self, moment: Option<usize>, choice: Choice) -> Items {
        self.cuts += 1;
        let name = format!("cut{}", self.cuts);
        self.unsynced.cut(&self.tree, moment, (&name, None), choice).unwrap();
        let image = self.images.join(&name);
        let found = items(&image);
        fs::remove_dir_all(image).unwrap();
        fs::remove_file(self.images.join(format!("{name}.json"))).unwrap();
        found
    }

    /// Takes the backing back as such an image would be, and compares: the power was cut in place.
    fn take_back(&mut self, keeping: Keeping, unit: u64, seed: u64) -> Result<(), String> {
        let image = self.cut(keeping, unit, seed);
        let unit = Unit::of(unit).unwrap();
        let taken = self.unsynced.take_back(&self.tree, Choice { keeping, unit, seed });
        taken.map_err(|e| format!("{keeping}: {e}"))?;
        let left = items(&self.backing);
        if left != image {
            return Err(format!("{keeping}: {left:?} is not {image:?}"));
        }
        match self.unsynced.pending(&self.tree).entries {
            0 => Ok(()),
            entries => Err(format!("{entries} entries are left")),
        }
    }

    /// The same in short: name and size of each file, but for the root.
    fn left(&mut self, keeping: Keeping) -> Vec<(String, String)> {
        let items = self.cut(keeping, 512, 0).into_iter().filter(|(path, _)| !path.is_empty());
        let shown = |item: &Item| match item.kind {
            libc::S_IFDIR => "/".to_owned(),
            _ => {
                let first = item.data.first().map(|byte| char::from(*byte));
                format!("{} {}", item.data.len(), first.unwrap_or(' '))
            }
        };
        items.map(|(path, item)| (path, shown(&item))).collect()
    }
}
