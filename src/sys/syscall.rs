//! Which system call a thread waits in, as /proc/TID/syscall tells it.
//!
//! It tells of threads that wait, not of those that run, and only to who may trace them (root, or
//! the same user where Yama allows it). A look costs 3 us.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

/// Time for such a thread to run.
const PAUSE: Duration = Duration::from_micros(20);

/// Looks before the first pause.
const AT_ONCE: u32 = 3;

/// Addresses of a 32-bit process are below this, those of a 64-bit process's stack are not.
const END_OF_32_BITS: u64 = 1 << 32;

/// A system call as its thread made it, or what else the thread waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SystemCall {
    /// Its number, in the ABI of the thread; negative outside of any, as in a page fault.
    number: i64,
    args: [u64; 6],
    stack: u64,
    instruction: u64,
}

/// What a system call does to names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Names {
    /// open(2) with O_CREAT.
    Create,
    /// Makes one: mkdir(2), mknod(2), symlink(2).
    Make,
    /// Removes one: unlink(2), rmdir(2).
    Remove,
    /// link(2).
    Link,
    /// rename(2).
    Rename,
}

/// What a look shows.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Waits(SystemCall),
    Runs,
    Unknown,
}

/// The system call that the thread waits in; none if it is gone, hidden, in a pid namespace that is
/// not visible (0), or does not wait within `patience`. On a busy machine a thread that has sent a
/// request may lose its processor before it waits for the answer.
#[must_use]
pub(crate) fn waited_in(tid: u32, patience: Duration) -> Option<SystemCall> {
    let deadline = Instant::now() + patience;
    for looks in 1.. {
        match look(tid) {
            Look::Waits(call) => return Some(call),
            Look::Unknown => return None,
            Look::Runs if Instant::now() > deadline => return None,
            Look::Runs if looks >= AT_ONCE => thread::sleep(PAUSE),
            Look::Runs => {}
        }
    }
    None
}

/// Whether the thread waits for a page that others read, and not for the answer to a request of its
/// own, as far as /proc/TID/wchan tells.
#[must_use]
pub(crate) fn waits_for_page(tid: u32) -> bool {
    let place = fs::read_to_string(format!("/proc/{tid}/wchan")).unwrap_or_default();
    // folio_wait_bit_common; before Linux 5.16 wait_on_page_bit_common.
    place.contains("folio") || place.contains("page")
}

fn look(tid: u32) -> Look {
    match fs::read_to_string(format!("/proc/{tid}/syscall")) {
        Ok(line) if tid != 0 => parse(&line),
        _ => Look::Unknown,
    }
}

/// A line as in proc_pid_syscall(5): number, six arguments, stack pointer, program counter; without
/// the arguments outside of a system call.
fn parse(line: &str) -> Look {
    if line.trim() == "running" {
        return Look::Runs;
    }
    let mut words = line.split_ascii_whitespace();
    let Some(number) = words.next().and_then(|word| word.parse().ok()) else {
        return Look::Unknown;
    };
    let hexadecimal = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    let Some(numbers) = words.map(hexadecimal).collect::<Option<Vec<_>>>() else {
        return Look::Unknown;
    };
    match *numbers.as_slice() {
        // A thread of the kernel, or of a ring (io_uring_setup(2)): the number is whatever call made it.
        [_, _, _, _, _, _, 0, instruction] => {
            Look::Waits(SystemCall { number: -1, args: [0; 6], stack: 0, instruction })
        }
        [a, b, c, d, e, f, stack, instruction] => {
            Look::Waits(SystemCall { number, args: [a, b, c, d, e, f], stack, instruction })
        }
        [stack, instruction] => {
            Look::Waits(SystemCall { number, args: [0; 6], stack, instruction })
        }
        _ => Look::Unknown,
    }
}

impl SystemCall {
    /// Whether it was made by a 32-bit process, whose numbers are others.
    fn is_narrow(&self) -> bool {
        self.stack < END_OF_32_BITS && self.instruction < END_OF_32_BITS
    }

    fn is_one_of(&self, wide: &[i64], narrow: &[i64]) -> bool {
        (if self.is_narrow() { narrow } else { wide }).contains(&self.number)
    }

    /// lseek(2), by any of its names.
    #[must_use]
    pub(crate) fn is_seek(&self) -> bool {
        // lseek and _llseek of i386 and of 32-bit ARM.
        self.is_one_of(&[libc::SYS_lseek], &[19, 140])
    }

    /// read(2) and its kin, and io_uring_enter(2): that only reads cached files by itself, and leaves
    /// writes to threads of the ring.
    #[must_use]
    pub(crate) fn is_read(&self) -> bool {
        let wide = [
            libc::SYS_read,
            libc::SYS_pread64,
            libc::SYS_readv,
            libc::SYS_preadv,
            libc::SYS_preadv2,
        ];
        // read, readv, pread64, preadv, preadv2 of i386.
        self.is_one_of(&wide, &[3, 145, 180, 333, 378]) || self.is_ring()
    }

    /// write(2) and its kin, which return when all is written and, if so asked, synced.
    #[must_use]
    pub(crate) fn is_write(&self) -> bool {
        let wide = [
            libc::SYS_write,
            libc::SYS_pwrite64,
            libc::SYS_writev,
            libc::SYS_pwritev,
            libc::SYS_pwritev2,
        ];
        // write, writev, pwrite64, pwritev, pwritev2 of i386.
        self.is_one_of(&wide, &[4, 146, 181, 334, 379]) || self.is_splice()
    }

    /// utimensat(2) and its kin.
    #[must_use]
    pub(crate) fn sets_times(&self) -> bool {
        #[cfg(target_arch = "x86_64")]
        let wide = [libc::SYS_utimensat, libc::SYS_utime, libc::SYS_utimes, libc::SYS_futimesat];
        #[cfg(not(target_arch = "x86_64"))]
        let wide = [libc::SYS_utimensat];
        // utime, utimes, futimesat, utimensat, utimensat_time64 of i386.
        self.is_one_of(&wide, &[30, 271, 299, 320, 412])
    }

    /// pwritev2(2) with `RWF_NOAPPEND`, which writes at its offset whatever the file was opened for.
    #[must_use]
    pub(crate) fn writes_in_place(&self) -> bool {
        /// Of linux/fs.h, which libc lacks.
        const RWF_NOAPPEND: u64 = 0x20;
        // The flags come last, in every ABI.
        let [.., flags] = self.args;
        self.is_one_of(&[libc::SYS_pwritev2], &[379]) && flags & RWF_NOAPPEND != 0
    }

    /// What it does to names, if it may change them.
    #[must_use]
    pub(crate) fn names(&self) -> Option<Names> {
        let creates = |flags: Option<&u64>| {
            flags.is_some_and(|flags| flags & libc::O_CREAT.unsigned_abs() as u64 != 0)
        };
        #[cfg(target_arch = "x86_64")]
        let old = [
            (Names::Make, &[libc::SYS_mkdir, libc::SYS_mknod, libc::SYS_symlink][..]),
            (Names::Remove, &[libc::SYS_unlink, libc::SYS_rmdir]),
            (Names::Link, &[libc::SYS_link]),
            (Names::Rename, &[libc::SYS_rename, libc::SYS_renameat]),
        ];
        #[cfg(not(target_arch = "x86_64"))]
        let old: [(Names, &[i64]); 0] = [];
        let at = [
            (Names::Make, &[libc::SYS_mkdirat, libc::SYS_mknodat, libc::SYS_symlinkat][..]),
            (Names::Remove, &[libc::SYS_unlinkat]),
            (Names::Link, &[libc::SYS_linkat]),
            (Names::Rename, &[libc::SYS_renameat2]),
        ];
        if self.is_narrow() {
            return None;
        }
        #[cfg(target_arch = "x86_64")]
        if self.number == libc::SYS_creat
            || self.number == libc::SYS_open && creates(self.args.get(1))
        {
            return Some(Names::Create);
        }
        if self.number == libc::SYS_openat && creates(self.args.get(2)) {
            return Some(Names::Create);
        }
        let found = old.iter().chain(&at).find(|(_, numbers)| numbers.contains(&self.number));
        found.map(|(names, _)| *names)
    }

    /// io_uring_enter(2), which all architectures number alike.
    #[must_use]
    pub(crate) fn is_ring(&self) -> bool {
        self.number == libc::SYS_io_uring_enter
    }

    /// For a pipe, a socket or another file, from the page cache.
    #[must_use]
    pub(crate) fn is_splice(&self) -> bool {
        let wide = [libc::SYS_sendfile, libc::SYS_splice, libc::SYS_copy_file_range];
        self.is_one_of(&wide, &[187, 239, 313, 377])
    }

    /// Ahead of time, waited for by nobody.
    #[must_use]
    pub(crate) fn is_readahead(&self) -> bool {
        let wide = [
            libc::SYS_readahead,
            libc::SYS_fadvise64,
            libc::SYS_madvise,
            libc::SYS_process_madvise,
        ];
        self.is_one_of(&wide, &[225, 250, 219, 440])
    }

    /// Whether pages of a file that it has read come in without a read(2) of that file: by a fault
    /// on a mapping, for a pipe or socket, as its buffer, or ahead of time.
    #[must_use]
    pub(crate) fn is_page_in(&self) -> bool {
        let wide = [
            libc::SYS_mmap,
            libc::SYS_mlock,
            libc::SYS_mlock2,
            libc::SYS_mlockall,
            libc::SYS_process_vm_readv,
            libc::SYS_process_vm_writev,
        ];
        // Threads of the kernel itself have no stack of their own.
        let in_fault = self.number < 0 && self.stack != 0;
        // mmap2 and mlock of i386.
        let buffer = self.is_one_of(&wide, &[192, 150]) || self.is_write();
        in_fault || buffer || self.is_splice() || self.is_readahead()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIDE: &str = "0x7ffc1a2b3c40 0x7f12a3b4c5d6";

    fn call(line: &str) -> SystemCall {
        match parse(line) {
            Look::Waits(call) => call,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn lines_are_read_as_the_manual_says() {
        assert_eq!(parse("running\n"), Look::Runs);
        for bad in ["", "x", "8 y", "8 0x1 0x2 0x3"] {
            assert_eq!(parse(bad), Look::Unknown, "{bad}");
        }
        let fault = call("-1 0x7ffc1a2b3c40 0x401000");
        assert!(fault.is_page_in() && !fault.is_seek() && !fault.is_write());
        for of_the_kernel in ["-1 0x0 0x0", "19 0x3 0x1 0x1 0x0 0x0 0x0 0x0 0x0"] {
            let call = call(of_the_kernel);
            assert!(!call.is_page_in() && !call.is_seek() && !call.is_read(), "{call:?}");
        }
    }

    #[test]
    #[cfg(target_arch = "x86_64")]
    fn numbers_are_those_of_the_callers_abi() {
        let of = |number: i64, end: &str| {
            call(&format!("{number} 0x3 0x5581 0x1000 0x0 0x0 0x0 {end}\n"))
        };
        let narrow = "0xffb3c5d0 0xf7ee5579";
        assert!(of(8, WIDE).is_seek() && !of(8, narrow).is_seek());
        assert!(of(19, narrow).is_seek() && !of(19, WIDE).is_seek());
        assert!(of(140, narrow).is_seek());
        for read in [0, 17, 19, 295, 327, 209, 426, 59] {
            // io_submit(2) may read or write; execve(2) reads by no handle that writes.
            let certain = ![209, 59].contains(&read);
            let read = of(read, WIDE);
            assert!(!read.is_seek() && !read.is_page_in() && !read.is_write(), "{read:?}");
            assert_eq!(read.is_read(), certain, "{read:?}");
        }
        assert!(of(3, narrow).is_read() && !of(3, WIDE).is_read());
        assert!(of(18, WIDE).is_write() && of(18, WIDE).is_page_in());
        let changes =
            [(83, Names::Make), (87, Names::Remove), (86, Names::Link), (82, Names::Rename)];
        for (number, names) in changes {
            assert_eq!(of(number, WIDE).names(), Some(names));
            assert_eq!(of(number, narrow).names(), None, "stat and others there");
        }
        let open =
            |flags| call(&format!("257 0xffffff9c 0x1 {flags:#x} 0x0 0x0 0x0 {WIDE}")).names();
        assert_eq!((open(libc::O_CREAT), open(libc::O_RDWR)), (Some(Names::Create), None));
        assert!(of(40, WIDE).is_page_in() && of(239, narrow).is_page_in());
    }

    #[test]
    fn a_waiting_thread_is_told_and_others_are_not() {
        let (tell, told) = std::sync::mpsc::channel();
        let (end, ended) = std::sync::mpsc::channel::<()>();
        let waiting = thread::spawn(move || {
            tell.send(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
            let _ = ended.recv();
        });
        let tid = u32::try_from(told.recv().unwrap()).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let waited = |tid| waited_in(tid, Duration::from_millis(1));
        while waited(tid).is_none_or(|call| call.number != libc::SYS_futex) {
            assert!(Instant::now() < deadline, "{:?}", waited(tid));
        }
        assert!(!waited(tid).unwrap().is_narrow());
        drop(end);
        waiting.join().unwrap();
        assert_eq!((waited(0), waited(u32::MAX)), (None, None));
    }
}
