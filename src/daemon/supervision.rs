//! What the environment says of the service manager that started this process (sd_notify(3)). No locks.

use std::env;
use std::ffi::OsString;
use std::time::Duration;

/// What the environment says of the manager.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Supervision {
    /// Where it hears.
    pub(super) socket: OsString,
    /// How long it waits for the next word of this process before it ends it.
    pub(super) watchdog: Option<Duration>,
}

impl Supervision {
    /// Of this process, which it started.
    #[must_use]
    pub(crate) fn of_environment() -> Option<Supervision> {
        Supervision::of(|name| env::var_os(name), std::process::id())
    }

    fn of(variable: impl Fn(&str) -> Option<OsString>, pid: u32) -> Option<Supervision> {
        let socket = variable("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())?;
        let number = |name| variable(name)?.to_str()?.parse::<u64>().ok();
        // What a parent was told is not for this process.
        let is_meant =
            variable("WATCHDOG_PID").is_none() || number("WATCHDOG_PID") == Some(pid.into());
        let watchdog = number("WATCHDOG_USEC").filter(|usec| *usec > 0 && is_meant);
        Some(Supervision { socket, watchdog: watchdog.map(Duration::from_micros) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(variables: &[(&str, &str)]) -> Option<Supervision> {
        let variable = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
        };
        Supervision::of(variable, 7)
    }

    #[test]
    fn the_environment_says_who_is_told_and_how_often() {
        let (socket, usec) = (("NOTIFY_SOCKET", "/run/x"), ("WATCHDOG_USEC", "3000000"));
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[("NOTIFY_SOCKET", ""), usec]), None);
        let watchdog = |variables: &[(&str, &str)]| of(variables).unwrap().watchdog;
        let three = Some(Duration::from_secs(3));
        assert_eq!(watchdog(&[socket]), None);
        assert_eq!(watchdog(&[socket, usec]), three);
        assert_eq!(watchdog(&[socket, usec, ("WATCHDOG_PID", "7")]), three);
        for other in ["8", "", "x"] {
            assert_eq!(watchdog(&[socket, usec, ("WATCHDOG_PID", other)]), None, "{other:?}");
        }
        for none in ["0", "", "soon"] {
            assert_eq!(watchdog(&[socket, ("WATCHDOG_USEC", none)]), None, "{none:?}");
        }
    }
}
