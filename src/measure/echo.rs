//! The floor of a delay: what this machine takes to ask another thread, to wait, and to be answered.
//!
//! Nothing can be delayed more exactly than this from outside of the caller's own thread. It shares no
//! code with what is held against it. No locks.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::OwnedFd;
use rustix::io::{read, write};

/// From when on the other thread waits busily: a sleep may end later than asked by some of that.
const AWAKE: Duration = Duration::from_micros(300);

/// Ends the other thread, in the place of a time.
const END: u64 = u64::MAX - 1;

/// A thread that answers after the time that it is asked for.
#[derive(Debug)]
pub struct Echo {
    asked: Arc<OwnedFd>,
    answered: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
}

impl Echo {
    /// Starts the thread.
    ///
    /// # Errors
    /// Descriptors or threads are short.
    pub fn new() -> io::Result<Echo> {
        let fd = || io::Result::Ok(Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?));
        let (asked, answered) = (fd()?, fd()?);
        let (questions, answers) = (Arc::clone(&asked), Arc::clone(&answered));
        let answer = move || while answer_one(&questions, &answers).is_ok_and(|goes_on| goes_on) {};
        let thread = thread::Builder::new().name("echo".to_owned()).spawn(answer)?;
        Ok(Echo { asked, answered, thread: Some(thread) })
    }

    /// Asks for an answer after that time and says after how long it came.
    ///
    /// # Errors
    /// None known.
    pub fn after(&self, wait: Duration) -> io::Result<Duration> {
        let ns = u64::try_from(wait.as_nanos()).unwrap_or(END).min(END - 2);
        let began = Instant::now();
        // A count of 0 would not wake anybody.
        write(&self.asked, &(ns + 1).to_ne_bytes())?;
        read(&self.answered, &mut [0; 8])?;
        Ok(began.elapsed())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        if write(&self.asked, &END.to_ne_bytes()).is_ok()
            && let Some(thread) = self.thread.take()
        {
            // It only waits and answers: it cannot have panicked.
            let _ = thread.join();
        }
    }
}

/// Whether there may be another one.
fn answer_one(questions: &OwnedFd, answers: &OwnedFd) -> io::Result<bool> {
    let mut count = [0; 8];
    read(questions, &mut count)?;
    let arrived = Instant::now();
    let ns = match u64::from_ne_bytes(count) {
        END => return Ok(false),
        count => count - 1,
    };
    let wait = Duration::from_nanos(ns);
    if let Some(asleep) = wait.checked_sub(AWAKE) {
        thread::sleep(asleep);
    }
    while arrived.elapsed() < wait {
        std::hint::spin_loop();
    }
    write(answers, &1_u64.to_ne_bytes())?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_never_comes_early() {
        let echo = Echo::new().unwrap();
        for wait in [0, 30, 1_000, 5_000].map(Duration::from_micros) {
            assert!(echo.after(wait).unwrap() >= wait, "{wait:?}");
        }
    }
}
