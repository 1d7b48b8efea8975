//! How the allocator keeps memory. glibc only; other allocators are left as they are.

/// Enough that threads seldom wait for each other: small blocks come from a cache of each thread.
#[cfg(target_env = "gnu")]
const ARENAS: libc::c_int = 4;

/// Free memory at the end of an arena beyond which it goes back to the system, bytes.
#[cfg(target_env = "gnu")]
const KEPT: libc::c_int = 64 * 1024;

/// Has the allocator give memory back after a storm of threads. By itself it opens eight arenas
/// per processor and keeps up to half a mebibyte at the end of each, for good. To be called before
/// there are threads.
pub(crate) fn keep_little() {
    #[cfg(target_env = "gnu")]
    for (parameter, value) in [(libc::M_ARENA_MAX, ARENAS), (libc::M_TRIM_THRESHOLD, KEPT)] {
        // SAFETY: mallopt(3) takes two numbers and refuses what it does not know.
        unsafe {
            libc::mallopt(parameter, value);
        }
    }
}

/// Gives what is free back to the system, wherever it lies. Takes a few milliseconds for a large
/// heap, during which allocations may wait.
pub(crate) fn trim() {
    // SAFETY: malloc_trim(3) only releases free pages, and may be called by any thread.
    #[cfg(target_env = "gnu")]
    unsafe {
        libc::malloc_trim(0);
    }
}
