//! What is agreed with the kernel at FUSE_INIT, and why.

use fuser::{InitFlags, KernelConfig, Version};

use super::FsOptions;

/// The largest write in one request, bytes: what the kernel's default page limit allows.
const MAX_WRITE: u32 = 1 << 20;

/// Each capability asked for. NO_OPEN and NO_OPENDIR are left out on purpose: with them the kernel
/// stops asking for opens, and those faults could never fire again.
const WANTED: [InitFlags; 8] = [
    // O_DIRECT AIO arrives side by side instead of one at a time.
    InitFlags::FUSE_ASYNC_DIO,
    // Lookups and listings of one directory go on side by side.
    InitFlags::FUSE_PARALLEL_DIROPS,
    // A read first refreshes stale attributes by GETATTR with its handle, which is where faults on
    // cached reads fire; and pages go when the backing changed.
    InitFlags::FUSE_AUTO_INVAL_DATA,
    // Without it MAP_SHARED of a direct-I/O file is ENODEV, which breaks bbolt, and so etcd.
    InitFlags::FUSE_DIRECT_IO_ALLOW_MMAP,
    // The backing applies default ACLs, so it must apply the umask too.
    InitFlags::FUSE_DONT_MASK,
    // Without it every write is preceded by a GETXATTR for security.capability.
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
    // A listing brings its attributes along,
    InitFlags::FUSE_DO_READDIRPLUS,
    // but only where somebody asks for them.
    InitFlags::FUSE_READDIRPLUS_AUTO,
];

/// The capability to serve files by itself, as [`Kernel`] names it.
pub(super) const PASSTHROUGH: &str = "FUSE_PASSTHROUGH";

/// What was agreed with the kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kernel {
    /// Version of the FUSE protocol that the kernel speaks.
    pub protocol: String,
    /// The capabilities asked for and got, by their names in linux/fuse.h.
    pub capabilities: Vec<&'static str>,
    /// Whether it can be told that all that it knows of names may be wrong.
    pub drops_entries: bool,
}

/// The version of the protocol that fuser speaks, which it keeps to itself: major, minor.
pub(crate) const LIBRARY_PROTOCOL: (u32, u32) = (7, 40);

/// The first version of the protocol with FUSE_NOTIFY_INC_EPOCH.
const DROPS_ENTRIES: Version = Version(7, 44);

/// Asks for all of it; what an older kernel lacks is logged and done without. `stacked`: the backing
/// lies on other filesystems itself.
pub fn negotiate(config: &mut KernelConfig, options: &FsOptions, stacked: bool) -> Kernel {
    // Without it an ACL that denies the owning group is ignored; with it the kernel checks
    // permissions whatever the mount options say.
    let acl = options.kernel_checks_access.then_some(InitFlags::FUSE_POSIX_ACL);
    // write(2) ends in the kernel's cache, which then knows sizes and times better than we do.
    let cached = options.writeback_cache.then_some(InitFlags::FUSE_WRITEBACK_CACHE);
    let mut capabilities = Vec::new();
    for flag in WANTED.into_iter().chain(acl).chain(cached) {
        let names = flag.iter_names().map(|(name, _)| name);
        if config.add_capabilities(flag).is_ok() {
            capabilities.extend(names);
        } else {
            tracing::warn!(
                "this kernel lacks {}: the mirror does without",
                names.collect::<Vec<_>>().join(", ")
            );
        }
    }
    if options.passthrough_except.is_some()
        && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
    {
        capabilities.push(PASSTHROUGH);
    }
    // The default of 16 would let sixteen held readaheads stall every other file's.
    let limits = [
        config.set_max_background(u16::MAX).map(drop).map_err(u32::from),
        config.set_congestion_threshold(u16::MAX).map(drop).map_err(u32::from),
        config.set_max_write(MAX_WRITE).map(drop),
        config.set_max_stack_depth(1 + u32::from(stacked)).map(drop),
    ];
    for limit in limits.into_iter().filter_map(Result::err) {
        tracing::warn!("the kernel allows only {limit} where more was asked at FUSE_INIT");
    }
    let version = config.kernel_abi();
    let drops_entries = (version.0, version.1) >= (DROPS_ENTRIES.0, DROPS_ENTRIES.1);
    Kernel { protocol: version.to_string(), capabilities, drops_entries }
}

#[cfg(test)]
mod tests {
    use fuser::{Config, Filesystem, Session, SessionACL};
    use rustix::io::{read, write};
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    struct Empty;

    impl Filesystem for Empty {}

    #[test]
    fn the_library_speaks_the_version_that_is_told() {
        let packets = (AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::empty());
        let (kernel, connection) = socketpair(packets.0, packets.1, packets.2, None).unwrap();
        // FUSE_INIT, as a kernel sends it: length, opcode and number; then its version.
        let mut request = vec![0; 104];
        for (at, number) in [(0, 104), (4, 26), (8, 1), (40, 7), (44, 999)] {
            request[at..at + 4].copy_from_slice(&u32::to_ne_bytes(number));
        }
        write(&kernel, &request).unwrap();
        let session = Session::from_fd(Empty, connection, SessionACL::All, Config::default());
        drop(session.unwrap());
        let mut reply = [0; 256];
        let length = read(&kernel, &mut reply).unwrap();
        let number = |at| u32::from_ne_bytes(reply[..length][at..at + 4].try_into().unwrap());
        assert_eq!((number(16), number(20)), LIBRARY_PROTOCOL);
    }
}
