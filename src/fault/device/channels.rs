//! What a device does at once: each channel one thing after the other. No locks.

use super::bytes::Byte;

/// One channel.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Channel {
    /// From when on.
    pub(super) free: u64,
    /// Where what it read or wrote last ended.
    pub(super) head: Option<Byte>,
}

/// The channels that have been used.
#[derive(Debug, Default)]
pub(super) struct Channels(Vec<Channel>);

impl Channels {
    /// The one that takes what comes at `at`, of so many: that which is free first, and a new one while
    /// all are busy then.
    pub(super) fn next(&mut self, most: u64, at: u64) -> &mut Channel {
        let first = (0..).zip(&self.0).min_by_key(|(_, channel)| channel.free);
        let place = match first {
            Some((place, channel)) if channel.free <= at || self.0.len() as u64 >= most => place,
            _ => {
                self.0.push(Channel::default());
                self.0.len() - 1
            }
        };
        #[allow(clippy::indexing_slicing, reason = "found, or just made")]
        &mut self.0[place]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_that_is_free_first_takes_it() {
        let mut channels = Channels::default();
        for (at, until) in [(0, 30), (0, 20), (10, 40)] {
            channels.next(3, at).free = until;
        }
        assert_eq!(channels.0.iter().map(|c| c.free).collect::<Vec<_>>(), [30, 20, 40]);
        assert_eq!(channels.next(3, 10).free, 20);
        channels.next(3, 25).free = 50;
        assert_eq!(channels.0.iter().map(|c| c.free).collect::<Vec<_>>(), [30, 50, 40]);
        assert_eq!(channels.next(4, 10).free, 0, "there is one more");
    }
}
