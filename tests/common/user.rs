//! Acting as somebody else.

use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// Runs `act` as another user: with these ids, these supplementary groups and no capabilities.
pub fn as_user<T: Send>(uid: u32, gid: u32, groups: &[u32], act: impl FnOnce() -> T + Send) -> T {
    let groups: Vec<_> = groups.iter().map(|g| Gid::from_raw(*g)).collect();
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    // Credentials belong to the thread, so they end with it.
    let outcome = std::thread::scope(|scope| {
        let user = scope.spawn(|| {
            set_thread_groups(&groups).expect("this test needs root");
            set_thread_res_gid(gid, gid, gid).unwrap();
            set_thread_res_uid(uid, uid, uid).unwrap();
            act()
        });
        user.join()
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
