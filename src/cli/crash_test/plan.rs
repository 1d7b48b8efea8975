//! Which images there are, and their numbers: each of what is kept at each moment. The same program that does the same
//! has the same. No locks.

use anyhow::{bail, ensure};

use crate::fault::{Keeping, drawn};
use crate::rpc::UnsyncedMoment;

/// An image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Planned<'a> {
    /// From 1.
    pub(super) number: u64,
    pub(super) moment: &'a UnsyncedMoment,
    pub(super) keep: Keeping,
    pub(super) seed: u64,
}

/// All that there are.
pub(super) struct Plan<'a> {
    pub(super) moments: &'a [UnsyncedMoment],
    pub(super) keep: &'a [Keeping],
    pub(super) seed: u64,
}

impl<'a> Plan<'a> {
    /// How many.
    pub(super) fn len(&self) -> u64 {
        self.moments.len() as u64 * self.keep.len() as u64
    }

    /// The one of that number.
    fn get(&self, number: u64) -> Option<Planned<'a>> {
        let at = usize::try_from(number.checked_sub(1)?).ok()?;
        let each = self.keep.len();
        let moment = self.moments.get(at.checked_div(each)?)?;
        let keep = *self.keep.get(at % each)?;
        Some(Planned { number, moment, keep, seed: drawn(self.seed, "crash-test", number) })
    }

    /// Those that are wanted and can be built: all, that one, or so many, spread evenly.
    ///
    /// # Errors
    /// There is none of that number, or it cannot be built.
    pub(super) fn wanted(
        &self,
        only: Option<u64>,
        limit: Option<u64>,
    ) -> anyhow::Result<Vec<Planned<'a>>> {
        if let Some(number) = only {
            let Some(image) = self.get(number) else {
                bail!("there is no image {number}: they have numbers from 1 to {}", self.len());
            };
            let why = image.moment.why.as_deref().unwrap_or_default();
            ensure!(!image.moment.lost, "image {number} cannot be built: after that moment {why}");
            return Ok(vec![image]);
        }
        let all: Vec<_> = (1..=self.len()).filter_map(|number| self.get(number)).collect();
        let all: Vec<_> = all.into_iter().filter(|image| !image.moment.lost).collect();
        let count = all.len() as u64;
        let most = limit.unwrap_or(count).min(count);
        // The n-th of so many, and always the last.
        let place = |n: u64| usize::try_from((n + 1) * count / most - 1).ok();
        Ok((0..most).filter_map(|n| all.get(place(n)?).copied()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moments(lost: &[bool]) -> Vec<UnsyncedMoment> {
        let moment = |(n, lost): (i64, &bool)| {
            let why = lost.then(|| "it was gone".to_owned());
            UnsyncedMoment { n, lost: *lost, why, ..Default::default() }
        };
        (1..).zip(lost).map(moment).collect()
    }

    fn numbers(plan: &Plan<'_>, limit: Option<u64>) -> Vec<u64> {
        plan.wanted(None, limit).unwrap().iter().map(|image| image.number).collect()
    }

    #[test]
    fn each_moment_has_an_image_of_each_kind() {
        let (moments, keep) = (moments(&[false, false, false]), [Keeping::None, Keeping::Random]);
        let plan = Plan { moments: &moments, keep: &keep, seed: 7 };
        let all = plan.wanted(None, None).unwrap();
        let told: Vec<_> = all.iter().map(|i| (i.number, i.moment.n, i.keep)).collect();
        let (none, random) = (Keeping::None, Keeping::Random);
        let wanted = [
            (1, 1, none),
            (2, 1, random),
            (3, 2, none),
            (4, 2, random),
            (5, 3, none),
            (6, 3, random),
        ];
        assert_eq!(told, wanted);
        assert_eq!(plan.wanted(Some(4), None).unwrap(), [all[3]]);
        let refused = plan.wanted(Some(7), None).unwrap_err().to_string();
        assert_eq!(refused, "there is no image 7: they have numbers from 1 to 6");
        assert!(plan.wanted(Some(0), None).is_err());
    }

    #[test]
    fn a_limit_spreads_over_the_run_and_has_its_end() {
        let (moments, keep) = (moments(&[false; 10]), [Keeping::None]);
        let plan = Plan { moments: &moments, keep: &keep, seed: 7 };
        assert_eq!(numbers(&plan, Some(3)), [3, 6, 10]);
        assert_eq!(numbers(&plan, Some(1)), [10]);
        assert_eq!(numbers(&plan, Some(10)), (1..=10).collect::<Vec<_>>());
        assert_eq!(numbers(&plan, Some(u64::MAX / 4)).len(), 10);
    }

    #[test]
    fn what_is_lost_keeps_its_number_and_is_left_out() {
        let (moments, keep) = (moments(&[true, false]), [Keeping::None, Keeping::None]);
        let plan = Plan { moments: &moments, keep: &keep, seed: 7 };
        assert_eq!(numbers(&plan, None), [3, 4]);
        let refused = plan.wanted(Some(2), None).unwrap_err().to_string();
        assert_eq!(refused, "image 2 cannot be built: after that moment it was gone");
    }
}
