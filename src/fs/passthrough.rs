//! Kernel passthrough (`--passthrough-except`): the kernel serves files by itself while they are
//! open.
//!
//! Invariant: an inode is served one way from its first open to its last release, whatever renames
//! do meanwhile, and from one registration: the kernel refuses a mixture with EIO. It counts an open
//! file off before it sends RELEASE, so what is closed here is closed there.
//! Lock rule: the opens are locked for memory work only; to register and to give back are
//! system calls, made outside.

use std::collections::HashMap;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use fuser::BackingId;
use parking_lot::Mutex;

use super::init::PASSTHROUGH;
use super::{Core, Kernel, Node};
use crate::fault::{Memo, Pattern};
use crate::mirror::{Fh, Ino};
use crate::sys::creds;

/// Registers a file with the kernel, by way of the reply that is going to name it.
pub(super) type Register<'a> = &'a dyn Fn(OwnedFd) -> io::Result<BackingId>;

/// What this room keeps with an inode.
#[derive(Default)]
pub(crate) struct Note {
    pub(super) memo: Memo,
    /// The kernel may have pages of it.
    pub(super) paged: AtomicBool,
    /// How often the power had been cut when the kernel was last told of it.
    pub(super) since: AtomicU32,
}

/// How the inodes are served that are open, where the kernel may serve any.
#[derive(Default)]
pub(super) struct HandedOver(Mutex<HashMap<Ino, Opens>>);

impl HandedOver {
    /// One open more of an inode that is open already; how it is served.
    fn enter(&self, ino: Ino) -> Option<Option<Arc<BackingId>>> {
        self.0.lock().get_mut(&ino).map(Opens::enter)
    }

    /// One open more; the first decides, with `registered`. How it is served, and whether it decided.
    fn enter_with(
        &self,
        ino: Ino,
        registered: Option<&Arc<BackingId>>,
    ) -> (Option<Arc<BackingId>>, bool) {
        let mut inodes = self.0.lock();
        let opens = inodes.entry(ino).or_default();
        let first = opens.count == 0;
        if first {
            opens.backing = registered.cloned();
        }
        (opens.enter(), first)
    }

    /// One less; the last takes the registration with it.
    fn leave(&self, ino: Ino) -> Option<Arc<BackingId>> {
        let mut inodes = self.0.lock();
        let opens = inodes.get_mut(&ino)?;
        opens.count = opens.count.saturating_sub(1);
        if opens.count > 0 { None } else { inodes.remove(&ino)?.backing }
    }
}

#[derive(Default)]
struct Opens {
    count: u64,
    /// While the kernel serves it: from what.
    backing: Option<Arc<BackingId>>,
}

impl Opens {
    /// One open more; how the inode is served.
    fn enter(&mut self) -> Option<Arc<BackingId>> {
        self.count += 1;
        self.backing.clone()
    }
}

/// Why files cannot be handed over on this connection, if so.
///
/// A directory is never taken, but for want of privilege only where no file would be.
pub(super) fn refusal(kernel: &Kernel, connection: BorrowedFd<'_>) -> Option<&'static str> {
    if !kernel.capabilities.contains(&PASSTHROUGH) {
        return Some("the kernel has no FUSE passthrough, which came with Linux 6.9");
    }
    let directory = std::fs::File::open("/").ok()?;
    let error = BackingId::create_raw(connection, directory).err()?;
    (error.raw_os_error() == Some(libc::EPERM))
        .then_some("the kernel wants CAP_SYS_ADMIN for it, outside of any user namespace")
}

impl Core {
    /// Decides whether the kernel serves the file that was just opened as `fh`, and from what. The
    /// first open of an inode decides for all until the last release.
    pub(super) fn handed_over(&self, fh: Fh, register: Register<'_>) -> Option<Arc<BackingId>> {
        let except = self.options.passthrough_except.as_ref()?;
        let handle = self.tree.handle(fh).ok()?;
        let inode = handle.inode();
        if let Some(served) = self.handed_over.enter(inode.ino()) {
            return served;
        }
        let registered = self.register(except, inode, fh, register);
        // If another open was faster, its word counts and this registration ends after the lock.
        let (served, decided) = self.handed_over.enter_with(inode.ino(), registered.as_ref());
        if decided && registered.is_some() {
            self.stats.passthrough_begun();
        }
        served
    }

    /// Closes a handle of a file.
    pub(super) fn released(&self, fh: Fh) -> io::Result<()> {
        if self.options.passthrough_except.is_some() {
            let handle = self.tree.handle(fh)?;
            let ended = self.handed_over.leave(handle.inode().ino());
            if ended.is_some() {
                self.stats.passthrough_ended();
            }
        }
        self.tree.release(fh)
    }

    fn register(
        &self,
        except: &Pattern,
        inode: &Node,
        fh: Fh,
        register: Register<'_>,
    ) -> Option<Arc<BackingId>> {
        let mut excepted = false;
        self.tree.paths(inode, &mut |path| excepted |= except.matches(path));
        // What the kernel writes by itself nobody sees.
        if excepted || self.is_guarded(inode) {
            return None;
        }
        let registered = self.tree.for_passthrough(fh).and_then(|file| {
            // The kernel writes with the privileges of this moment: without this one setuid and
            // setgid bits that are set later go when the file is written.
            let _plain = creds::without_fsetid()?;
            file.map(register).transpose()
        });
        match registered {
            Ok(backing) => backing.map(Arc::new),
            Err(error) => {
                if self.stats.passthrough_refused() {
                    let mut path = Vec::new();
                    self.tree.path(inode, &mut path);
                    tracing::warn!(
                        "{}: the kernel cannot serve it by itself ({error}), so slowfs does; \
                         `slowfs stats` counts further ones",
                        path.escape_ascii()
                    );
                }
                None
            }
        }
    }
}
