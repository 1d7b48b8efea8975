//! What this program uses of the kernel, and what it does without where one is older. No locks.

use crate::daemon::offer::Offer;

/// What a kernel may lack.
pub(super) struct Feature {
    /// Its flag in linux/fuse.h; none of what is no matter of FUSE.
    flag: Option<u32>,
    pub(super) name: &'static str,
    pub(super) since: &'static str,
    /// What is not to be had without.
    pub(super) harm: &'static str,
}

const fn feature(
    flag: Option<u32>,
    name: &'static str,
    since: &'static str,
    harm: &'static str,
) -> Feature {
    Feature { flag, name, since, harm }
}

/// Those that this program uses, by the kernels that brought them.
const FEATURES: [Feature; 6] = [
    feature(Some(12), "auto_inval_data", "Linux 3.6", "read faults miss what is cached"),
    feature(Some(20), "posix_acl", "Linux 4.9", "access control lists are not kept"),
    feature(Some(28), "handle_killpriv_v2", "Linux 5.12", "each write asks for capabilities first"),
    feature(
        Some(36),
        "direct_io_allow_mmap",
        "Linux 6.6",
        "what is opened under a read fault cannot be mapped shared, as etcd does",
    ),
    feature(
        None,
        "statx_mnt_id_unique",
        "Linux 6.8",
        "a mount is told less surely from one that took its place and number",
    ),
    feature(Some(37), "passthrough", "Linux 6.9", "`slowfs mount --passthrough-except` is refused"),
];

/// Those that the kernel offers, and those that it lacks.
pub(super) fn features(offer: &Offer) -> (Vec<&'static Feature>, Vec<&'static Feature>) {
    let has = |feature: &&Feature| match feature.flag {
        Some(bit) => offer.flags >> bit & 1 == 1,
        None => offer.tells_mounts_apart,
    };
    FEATURES.iter().partition(has)
}

/// Their names, after commas.
pub(super) fn names(features: &[&Feature]) -> String {
    features.iter().map(|feature| feature.name).collect::<Vec<_>>().join(", ")
}

/// What it calls itself: `Linux 6.12.5`.
pub(super) fn release() -> String {
    format!("Linux {}", rustix::system::uname().release().to_string_lossy())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// One that offers all of them but those of these flags.
    pub(in crate::cli) fn without(flags: &[u32]) -> Offer {
        let all = FEATURES.iter().filter_map(|feature| feature.flag);
        let all = all.filter(|bit| !flags.contains(bit)).fold(0, |all, bit| all | 1 << bit);
        Offer { protocol: (7, 41), flags: all, tells_mounts_apart: true }
    }

    #[test]
    fn what_is_offered_is_told_from_what_is_not() {
        let (there, missing) = features(&without(&[37, 12]));
        assert_eq!(names(&missing), "auto_inval_data, passthrough");
        assert_eq!(there.len() + missing.len(), FEATURES.len());
        let old = Offer { tells_mounts_apart: false, ..without(&[]) };
        assert_eq!(names(&features(&old).1), "statx_mnt_id_unique");
    }
}
