//! What the kernel knows of the minimal mirror: the path of each file, and what is open.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use fuser::{FileAttr, FileHandle, FileType, INodeNo};
use parking_lot::RwLock;

/// A file that the kernel knows.
struct Node {
    path: Arc<Path>,
    lookups: u64,
}

#[derive(Default)]
struct Nodes {
    by_number: HashMap<u64, Node>,
    by_path: HashMap<Arc<Path>, u64>,
}

/// What is open under a number.
pub(super) enum Open {
    File(File),
    Directory(Arc<Path>, Vec<(u64, FileType, Box<OsStr>)>),
}

/// The mirror.
pub(crate) struct Minimal {
    nodes: RwLock<Nodes>,
    open: RwLock<HashMap<u64, Arc<Open>>>,
    next: AtomicU64,
}

fn kind(file_type: fs::FileType) -> FileType {
    FileType::from_std(file_type).unwrap_or(FileType::RegularFile)
}

fn attributes(stat: &Metadata, ino: u64) -> FileAttr {
    let time = |secs: i64| SystemTime::UNIX_EPOCH + Duration::from_secs(secs.max(0).unsigned_abs());
    FileAttr {
        ino: INodeNo(ino),
        size: stat.size(),
        blocks: stat.blocks(),
        atime: time(stat.atime()),
        mtime: time(stat.mtime()),
        ctime: time(stat.ctime()),
        crtime: SystemTime::UNIX_EPOCH,
        kind: kind(stat.file_type()),
        perm: (stat.mode() & 0o7777) as u16,
        nlink: stat.nlink() as u32,
        uid: stat.uid(),
        gid: stat.gid(),
        rdev: 0,
        blksize: stat.blksize() as u32,
        flags: 0,
    }
}

impl Minimal {
    pub(crate) fn new(root: &Path) -> Minimal {
        let mut nodes = Nodes::default();
        nodes.by_number.insert(INodeNo::ROOT.0, Node { path: root.into(), lookups: 1 });
        Minimal { nodes: RwLock::new(nodes), open: RwLock::default(), next: AtomicU64::new(1) }
    }

    pub(super) fn path(&self, ino: INodeNo) -> io::Result<Arc<Path>> {
        let nodes = self.nodes.read();
        let node = nodes.by_number.get(&ino.0);
        node.map(|node| node.path.clone()).ok_or(io::ErrorKind::NotFound.into())
    }

    pub(super) fn child(&self, parent: INodeNo, name: &OsStr) -> io::Result<PathBuf> {
        Ok(self.path(parent)?.join(name))
    }

    /// Enters what was found at a path: one lookup more.
    pub(super) fn enter(&self, path: PathBuf, stat: &Metadata) -> FileAttr {
        let path: Arc<Path> = path.into();
        let mut nodes = self.nodes.write();
        let node = nodes.by_number.entry(stat.ino());
        node.or_insert_with(|| Node { path: path.clone(), lookups: 0 }).lookups += 1;
        nodes.by_path.insert(path, stat.ino());
        attributes(stat, stat.ino())
    }

    pub(super) fn find(&self, path: PathBuf) -> io::Result<FileAttr> {
        let stat = fs::symlink_metadata(&path)?;
        Ok(self.enter(path, &stat))
    }

    pub(super) fn hand_out(&self, open: Open) -> FileHandle {
        let fh = self.next.fetch_add(1, Ordering::Relaxed);
        self.open.write().insert(fh, Arc::new(open));
        FileHandle(fh)
    }

    pub(super) fn with_file<T>(
        &self,
        fh: FileHandle,
        run: impl FnOnce(&File) -> io::Result<T>,
    ) -> io::Result<T> {
        match self.opened(fh).as_deref() {
            Some(Open::File(file)) => run(file),
            _ => Err(io::Error::from_raw_os_error(libc::EBADF)),
        }
    }

    pub(super) fn stat(&self, ino: INodeNo, fh: Option<FileHandle>) -> io::Result<FileAttr> {
        let stat = match fh {
            Some(fh) => self.with_file(fh, File::metadata)?,
            None => fs::symlink_metadata(self.path(ino)?)?,
        };
        Ok(attributes(&stat, ino.0))
    }

    pub(super) fn close(&self, fh: FileHandle) {
        drop(self.open.write().remove(&fh.0));
    }

    pub(super) fn opened(&self, fh: FileHandle) -> Option<Arc<Open>> {
        self.open.read().get(&fh.0).cloned()
    }

    pub(super) fn list(&self, ino: INodeNo) -> io::Result<Open> {
        let path = self.path(ino)?;
        let entry = |entry: io::Result<fs::DirEntry>| {
            let entry = entry?;
            Ok((entry.ino(), kind(entry.file_type()?), entry.file_name().into_boxed_os_str()))
        };
        let entries = fs::read_dir(&path)?.map(entry).collect::<io::Result<_>>()?;
        Ok(Open::Directory(path, entries))
    }

    pub(super) fn renamed(&self, from: PathBuf, to: PathBuf) -> io::Result<()> {
        fs::rename(&from, &to)?;
        let to: Arc<Path> = to.into();
        let mut nodes = self.nodes.write();
        let Some(ino) = nodes.by_path.remove(&*from) else { return Ok(()) };
        if let Some(node) = nodes.by_number.get_mut(&ino) {
            node.path = to.clone();
        }
        nodes.by_path.insert(to, ino);
        Ok(())
    }

    pub(super) fn forgotten(&self, ino: INodeNo, lookups: u64) {
        let mut nodes = self.nodes.write();
        let Some(node) = nodes.by_number.get_mut(&ino.0) else { return };
        node.lookups = node.lookups.saturating_sub(lookups);
        if node.lookups == 0 && ino != INodeNo::ROOT {
            let gone = nodes.by_number.remove(&ino.0);
            gone.map(|node| nodes.by_path.remove(&node.path));
        }
    }
}
