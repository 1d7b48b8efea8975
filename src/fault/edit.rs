//! Bytes that are others than they were: plain data. No locks.

/// Some bytes that are others than they were.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The first of them, counted from the request's first byte.
    pub at: u64,
    /// What is done to them, each by one of these.
    pub bytes: Box<[u8]>,
    /// How.
    pub how: EditBy,
}

/// How bytes become others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EditBy {
    /// They are these.
    Putting,
    /// The bits that are set in these are flipped.
    Flipping,
}

impl Edit {
    /// Edits the bytes of a request; what is beyond them is not there.
    pub fn apply(&self, data: &mut [u8]) {
        let at = usize::try_from(self.at).unwrap_or(usize::MAX);
        let bytes = data.get_mut(at..).unwrap_or_default().iter_mut().zip(&self.bytes);
        match self.how {
            EditBy::Putting => bytes.for_each(|(byte, put)| *byte = *put),
            EditBy::Flipping => bytes.for_each(|(byte, bits)| *byte ^= bits),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_stay_within_the_bytes() {
        let edited = |at, bytes: &[u8], how| {
            let mut data = [1, 2, 3];
            Edit { at, bytes: bytes.into(), how }.apply(&mut data);
            data
        };
        assert_eq!(edited(1, &[7], EditBy::Putting), [1, 7, 3]);
        assert_eq!(edited(2, &[1, 1], EditBy::Flipping), [1, 2, 2]);
        for at in [3, 4, u64::MAX] {
            assert_eq!(edited(at, &[7], EditBy::Putting), [1, 2, 3], "{at}");
        }
    }
}
