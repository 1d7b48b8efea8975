//! How often something comes that has a chance. No locks.

/// The counts between which `n` throws of that chance end, but for a share `beyond` of all such series:
/// half of that share ends below the first, half above the second.
#[must_use]
pub(crate) fn central(n: u64, chance: f64, beyond: f64) -> (u64, u64) {
    let low = lower(n, chance, beyond / 2.0);
    // What falls above is what falls below of the opposite.
    let high = n - lower(n, 1.0 - chance, beyond / 2.0);
    (low, high)
}

/// The greatest count below which at most such a share falls.
#[allow(clippy::cast_precision_loss, reason = "far fewer throws than 2^52")]
fn lower(n: u64, chance: f64, share: f64) -> u64 {
    if chance <= 0.0 || chance >= 1.0 {
        return if chance >= 1.0 { n } else { 0 };
    }
    // Logarithms: the chance of none in thousands is too small for a number.
    let odds = chance.ln() - (-chance).ln_1p();
    let mut term = n as f64 * (-chance).ln_1p();
    let mut below = 0.0;
    for count in 0..n {
        below += term.exp();
        if below > share {
            return count;
        }
        term += ((n - count) as f64 / (count + 1) as f64).ln() + odds;
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fair_counts_are_those_of_the_tables() {
        // P(X < 2) = 1.07% and P(X < 3) = 5.47% of ten throws of a coin.
        assert_eq!(central(10, 0.5, 0.05), (2, 8));
        assert_eq!(central(10, 0.5, 0.12), (3, 7));
        // None of five: 3.1%, which is too much for one side of 5%.
        assert_eq!(central(5, 0.5, 0.05), (0, 5));
        // By exact fractions: P(X <= 63) = 4.53e-5, P(X <= 64) more than 5e-5; P(X > 141) = 4.05e-5,
        // P(X > 140) = 5.87e-5.
        assert_eq!(central(10_000, 0.01, 1e-4), (64, 141));
    }

    #[test]
    fn what_is_sure_has_no_width() {
        assert_eq!(central(7, 0.0, 0.05), (0, 0));
        assert_eq!(central(7, 1.0, 0.05), (7, 7));
        assert_eq!(central(0, 0.5, 0.05), (0, 0));
    }
}
