//! Error numbers that a fault may answer with, and their names.
//!
//! Invariant: an [`Errno`] is a reply that the kernel takes and forgets: within 1..=511 (it drops
//! a reply outside that range, and the caller hangs) and never ENOSYS (it remembers one ENOSYS as
//! "not implemented" and stops asking for the life of the mount).

use std::fmt;

use crate::fault::suggest::closest;

macro_rules! names {
    ($($name:ident),+) => { &[$((stringify!($name), libc::$name)),+] };
}

/// Every name of Linux's errno.h, with this machine's number; synonyms come last, so that a
/// number is shown under its first name.
const NAMES: &[(&str, i32)] = names![
    EPERM,
    ENOENT,
    ESRCH,
    EINTR,
    EIO,
    ENXIO,
    E2BIG,
    ENOEXEC,
    EBADF,
    ECHILD,
    EAGAIN,
    ENOMEM,
    EACCES,
    EFAULT,
    ENOTBLK,
    EBUSY,
    EEXIST,
    EXDEV,
    ENODEV,
    ENOTDIR,
    EISDIR,
    EINVAL,
    ENFILE,
    EMFILE,
    ENOTTY,
    ETXTBSY,
    EFBIG,
    ENOSPC,
    ESPIPE,
    EROFS,
    EMLINK,
    EPIPE,
    EDOM,
    ERANGE,
    EDEADLK,
    ENAMETOOLONG,
    ENOLCK,
    ENOSYS,
    ENOTEMPTY,
    ELOOP,
    ENOMSG,
    EIDRM,
    ECHRNG,
    EL2NSYNC,
    EL3HLT,
    EL3RST,
    ELNRNG,
    EUNATCH,
    ENOCSI,
    EL2HLT,
    EBADE,
    EBADR,
    EXFULL,
    ENOANO,
    EBADRQC,
    EBADSLT,
    EBFONT,
    ENOSTR,
    ENODATA,
    ETIME,
    ENOSR,
    ENONET,
    ENOPKG,
    EREMOTE,
    ENOLINK,
    EADV,
    ESRMNT,
    ECOMM,
    EPROTO,
    EMULTIHOP,
    EDOTDOT,
    EBADMSG,
    EOVERFLOW,
    ENOTUNIQ,
    EBADFD,
    EREMCHG,
    ELIBACC,
    ELIBBAD,
    ELIBSCN,
    ELIBMAX,
    ELIBEXEC,
    EILSEQ,
    ERESTART,
    ESTRPIPE,
    EUSERS,
    ENOTSOCK,
    EDESTADDRREQ,
    EMSGSIZE,
    EPROTOTYPE,
    ENOPROTOOPT,
    EPROTONOSUPPORT,
    ESOCKTNOSUPPORT,
    EOPNOTSUPP,
    EPFNOSUPPORT,
    EAFNOSUPPORT,
    EADDRINUSE,
    EADDRNOTAVAIL,
    ENETDOWN,
    ENETUNREACH,
    ENETRESET,
    ECONNABORTED,
    ECONNRESET,
    ENOBUFS,
    EISCONN,
    ENOTCONN,
    ESHUTDOWN,
    ETOOMANYREFS,
    ETIMEDOUT,
    ECONNREFUSED,
    EHOSTDOWN,
    EHOSTUNREACH,
    EALREADY,
    EINPROGRESS,
    ESTALE,
    EUCLEAN,
    ENOTNAM,
    ENAVAIL,
    EISNAM,
    EREMOTEIO,
    EDQUOT,
    ENOMEDIUM,
    EMEDIUMTYPE,
    ECANCELED,
    ENOKEY,
    EKEYEXPIRED,
    EKEYREVOKED,
    EKEYREJECTED,
    EOWNERDEAD,
    ENOTRECOVERABLE,
    ERFKILL,
    EHWPOISON,
    EWOULDBLOCK,
    EDEADLOCK,
    ENOTSUP
];

/// Why a number or a name is no error that can be injected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ErrnoError {
    /// A number outside what the kernel takes in a reply.
    #[error("errno {0} is not within 1..={max}", max = Errno::MAX)]
    Range(i32),
    /// ENOSYS, which the kernel would remember for the life of the mount.
    #[error(
        "after ENOSYS the kernel would never ask again as long as the mount lasts; use EOPNOTSUPP, \
         which says the same"
    )]
    Enosys,
    /// A name that errno.h does not have.
    #[error("unknown errno {name}{}", near.map(|n| format!(" (did you mean {n}?)")).unwrap_or_default())]
    Unknown {
        /// The name.
        name: String,
        /// The name that was probably meant.
        near: Option<&'static str>,
    },
}

/// An error number that can be injected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Errno(i32);

impl Errno {
    /// An error of input or output.
    pub(crate) const EIO: Errno = Errno(libc::EIO);
    /// A filesystem that only reads.
    pub(crate) const EROFS: Errno = Errno(libc::EROFS);
    /// No space is left.
    pub(crate) const ENOSPC: Errno = Errno(libc::ENOSPC);
    /// A quota is used up.
    pub(crate) const EDQUOT: Errno = Errno(libc::EDQUOT);
    /// The largest number the kernel accepts in a reply (fs/fuse/dev.c, fuse_dev_do_write).
    pub const MAX: i32 = 511;

    /// The error of that number.
    ///
    /// # Errors
    /// If it is not within 1..=511, or is ENOSYS.
    pub(crate) const fn new(number: i32) -> Result<Errno, ErrnoError> {
        match number {
            libc::ENOSYS => Err(ErrnoError::Enosys),
            1..=Self::MAX => Ok(Errno(number)),
            _ => Err(ErrnoError::Range(number)),
        }
    }

    /// The error of that name, as in errno.h, in any case.
    ///
    /// # Errors
    /// If there is no such name (the error suggests one), or it is ENOSYS.
    pub(crate) fn from_name(name: &str) -> Result<Errno, ErrnoError> {
        match NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) {
            Some((_, number)) => Errno::new(*number),
            None => {
                // It may come from the network.
                let shown = name.chars().take(40).collect();
                Err(ErrnoError::Unknown { name: shown, near: Self::suggest(name) })
            }
        }
    }

    /// The error of that name or number.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn from_word(word: &str) -> Result<Errno, ErrnoError> {
        match word.parse::<i32>() {
            Ok(number) => Errno::new(number),
            Err(_) => Errno::from_name(word),
        }
    }

    /// Each that has a name, under all its names.
    pub(crate) fn named() -> impl Iterator<Item = (&'static str, Errno)> {
        NAMES.iter().filter_map(|(name, number)| Some((*name, Errno::new(*number).ok()?)))
    }

    /// The name nearest to a word that is none.
    #[must_use]
    pub(crate) fn suggest(word: &str) -> Option<&'static str> {
        closest(word, NAMES.iter().map(|(name, _)| *name).filter(|name| *name != "ENOSYS"))
    }

    /// Its name, if the number has one.
    #[must_use]
    pub(crate) fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(_, number)| *number == self.0).map(|(name, _)| *name)
    }

    /// The number.
    #[must_use]
    pub(crate) const fn raw(self) -> i32 {
        self.0
    }

    /// One of E2BIG (7) to EXFULL (54) without ENOSYS (38), each equally likely for an even
    /// `draw`: what the contract calls `random` (charybdefs-contract, section 2).
    pub(in crate::fault) const fn from_draw(draw: u64) -> Errno {
        const FIRST: i32 = 7;
        const CHOICES: u128 = 54 - 7; // 48 numbers less one
        let place = ((draw as u128 * CHOICES) >> 64) as i32;
        let number = FIRST + place;
        Errno(if number >= 38 { number + 1 } else { number })
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => f.pad(&self.0.to_string()),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_round_trip_except_synonyms() {
        for (name, number) in NAMES {
            if *number == libc::ENOSYS {
                continue;
            }
            let errno = Errno::from_name(name).unwrap();
            assert_eq!(errno.raw(), *number);
            assert_eq!(Errno::from_name(errno.name().unwrap()).unwrap(), errno);
            assert_eq!(Errno::from_name(&name.to_ascii_lowercase()).unwrap(), errno);
        }
        assert_eq!(Errno::from_name("EWOULDBLOCK").unwrap().to_string(), "EAGAIN");
        assert_eq!(Errno::new(200).unwrap().to_string(), "200");
    }

    #[test]
    fn enosys_is_refused_and_points_to_eopnotsupp() {
        assert_eq!(Errno::new(38), Err(ErrnoError::Enosys));
        assert!(Errno::from_name("ENOSYS").unwrap_err().to_string().contains("EOPNOTSUPP"));
    }

    #[test]
    fn unknown_name_suggests_the_near_one() {
        let message = Errno::from_name("ENOSPACE").unwrap_err().to_string();
        assert_eq!(message, "unknown errno ENOSPACE (did you mean ENOSPC?)");
        let long = Errno::from_name(&"E".repeat(5_000)).unwrap_err().to_string();
        assert_eq!(long, format!("unknown errno {}", "E".repeat(40)));
        assert_eq!(Errno::suggest("eioo"), Some("EIO"));
        assert_eq!(Errno::suggest("blue"), None);
    }

    #[test]
    fn random_draws_every_number_of_the_contract_evenly() {
        let step = u64::MAX / 4_700;
        let mut counts = std::collections::BTreeMap::new();
        for n in 0..4_700 {
            *counts.entry(Errno::from_draw(n * step).raw()).or_insert(0) += 1;
        }
        let drawn: BTreeSet<i32> = counts.keys().copied().collect();
        assert_eq!(drawn, (7..=54).filter(|n| *n != 38).collect());
        assert!(counts.values().all(|n| (99..=101).contains(n)), "{counts:?}");
    }

    proptest! {
        #[test]
        fn new_admits_what_the_kernel_takes(number in any::<i32>()) {
            prop_assert_eq!(Errno::new(number).is_ok(), (1..=511).contains(&number) && number != 38);
        }

        #[test]
        fn near_numbers_too(number in -5..600) {
            prop_assert_eq!(Errno::new(number).is_ok(), (1..=511).contains(&number) && number != 38);
        }
    }
}
