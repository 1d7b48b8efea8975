//! Keys of the terminal as they are pressed, without Enter. Invariant: the terminal is left as it was found,
//! by whoever has it then: in the background it is the shell's. No locks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use rustix::process::getpgrp;
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcgetpgrp, tcsetattr,
};

/// They come one by one until this is dropped.
pub(super) struct Keys {
    terminal: io::Stdin,
    before: Termios,
}

impl Keys {
    /// None if nobody types: standard input is no terminal, or another job has it.
    pub(super) fn open() -> Option<Keys> {
        let terminal = io::stdin();
        let before = tcgetattr(&terminal).ok()?;
        let keys = Keys { terminal, before };
        let mut single = keys.before.clone();
        // What ctrl-C and ctrl-Z do stays.
        single.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
        single.special_codes[SpecialCodeIndex::VMIN] = 0;
        single.special_codes[SpecialCodeIndex::VTIME] = 0;
        keys.set(&single).then_some(keys)
    }

    /// Whether `q` is among what was pressed since the last look. Never waits.
    pub(super) fn quit(&self) -> bool {
        let mut pressed = [0; 64];
        // In the background a read would stop the process.
        self.is_ours()
            && rustix::io::read(&self.terminal, &mut pressed)
                .is_ok_and(|n| pressed.iter().take(n).any(|key| matches!(key, b'q' | b'Q')))
    }

    fn is_ours(&self) -> bool {
        tcgetpgrp(&self.terminal).is_ok_and(|job| job == getpgrp())
    }

    fn set(&self, modes: &Termios) -> bool {
        self.is_ours() && tcsetattr(&self.terminal, OptionalActions::Now, modes).is_ok()
    }
}

/// Polls readable when a key was pressed.
impl AsFd for Keys {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.terminal.as_fd()
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        // A terminal that is gone, or that another job has, needs nothing back.
        self.set(&self.before);
    }
}
