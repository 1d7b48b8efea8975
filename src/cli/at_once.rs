//! Several mounts, each asked by a thread of its own: one that does not answer costs the time that it is given,
//! and not that of the others. No locks.

use std::thread;

/// Does it for each at once. The results are in their order.
pub(super) fn each<I: Send, T: Send>(
    all: impl IntoIterator<Item = I>,
    act: impl Fn(I) -> Result<T, String> + Sync,
) -> Vec<Result<T, String>> {
    let act = &act;
    thread::scope(|scope| {
        let begun: Vec<_> = all.into_iter().map(|one| scope.spawn(move || act(one))).collect();
        let ended = begun.into_iter().map(|thread| thread.join());
        ended.map(|done| done.unwrap_or_else(|_| Err("the command panicked".into()))).collect()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn all_go_on_together_and_are_told_in_their_order() {
        let together = Barrier::new(3);
        let done = each([1, 2, 3], |n| {
            together.wait();
            if n == 2 { Err("not this one".to_owned()) } else { Ok(n) }
        });
        assert_eq!(done, [Ok(1), Err("not this one".to_owned()), Ok(3)]);
    }
}
