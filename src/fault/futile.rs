//! What of a fault cannot have an effect, or is hardly meant: said to who sets it. It is read off the
//! tables of kinds, options and filters. No locks.

use super::chance::Probability;
use super::scope::FILTERS;
use super::spec::Fault;
use super::words::{OPTIONS, ParamType, Value};
use crate::ops::MethodSet;

/// Longer than anything runs, in nanoseconds: a year.
const HARDLY_MEANT: i64 = 365 * 24 * 60 * 60 * 1_000_000_000;

impl Fault {
    /// What of it cannot have an effect by itself, whatever else is set; a line each.
    #[must_use]
    pub(crate) fn futile(&self) -> Vec<String> {
        let chance = self.chance().probability;
        let everywhere = self.pattern().as_str().is_empty();
        let never =
            (chance == Probability::NEVER).then_some("it never fires: its probability is 0");
        let filters = FILTERS.iter().filter_map(|filter| (filter.futile)(&self.scope().filters));
        let doubts = self.effects().iter().filter_map(|effect| effect.doubt(everywhere));
        let all = never.map(str::to_owned).into_iter().chain(filters).chain(self.idle());
        all.chain(self.beside_what_holds()).chain(doubts).chain(self.doubted_times()).collect()
    }

    /// Methods on which one of its effects does nothing. Who says all methods means those where it
    /// does.
    fn idle(&self) -> impl Iterator<Item = String> {
        let methods = self.scope().methods;
        let own = if methods == MethodSet::ALL { MethodSet::EMPTY } else { methods };
        self.effects().iter().filter_map(move |effect| {
            let (idle, why) = effect.kind().idle_on();
            let idle = own.minus(own.minus(idle));
            let kind = effect.kind().name();
            (!idle.is_empty()).then(|| format!("{kind} does nothing on {idle}: {why}"))
        })
    }

    /// What stands beside an effect that holds until the fault has gone: what is let go then runs as
    /// if there had been no fault.
    fn beside_what_holds(&self) -> Option<String> {
        let kinds = || self.effects().iter().map(|effect| effect.kind());
        let holds = kinds().find(|kind| kind.holds_for_good())?;
        let others = kinds().filter(|kind| !kind.holds_for_good()).map(|kind| kind.name());
        let others = others.collect::<Vec<_>>().join(" and ");
        let holds = holds.name();
        (!others.is_empty()).then(|| {
            format!("{others} beside {holds} does nothing: operations that {holds} releases run and succeed")
        })
    }

    fn doubted_times(&self) -> impl Iterator<Item = String> {
        let times = OPTIONS.iter().filter(|option| option.param.of == ParamType::Time);
        times.filter_map(|option| {
            let value = option.value(self)?;
            let is_long = matches!(value, Value::Whole(ns) if ns > HARDLY_MEANT);
            let told = || {
                let time = option.param.of.write(&value);
                format!(
                    "--{} {time} is longer than a year; is that the unit you mean?",
                    option.word
                )
            };
            is_long.then(told)
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::fault::testing::fault;

    #[test]
    fn a_thread_is_told_from_a_process() {
        let pid = std::process::id();
        let own = || rustix::thread::gettid().as_raw_nonzero().get();
        let ask = move || {
            let futile = |pids: &str| fault(&format!("error EIO -m write --pid {pids}")).futile();
            let tid = own();
            (tid, futile(&tid.to_string()), futile(&format!("{tid},{pid},0")))
        };
        let (tid, alone, among) = std::thread::spawn(ask).join().unwrap();
        let told = format!("--pid {tid} matches nothing: it is a thread of process {pid}");
        assert_eq!(alone, [format!("{told}; use --pid {pid}")]);
        assert!(among.len() == 1 && among[0].starts_with("--pid 0: no such process is there"));
        assert!(among[0].ends_with(&format!("; {told}")), "{among:?}");
    }

    #[test]
    fn what_cannot_have_an_effect_is_told() {
        let me = std::process::id();
        for (line, told) in [
            ("error EIO -m write -p 0", "it never fires: its probability is 0"),
            ("error EIO -m write --pid 0", "--pid 0: no such process is there"),
            ("kill -m release", "kill does nothing on release"),
            ("kill -m fsync,releasedir", "kill does nothing on releasedir:"),
            ("error EIO -m release", "error does nothing on release"),
            ("hang --and 'delay 1s' -m write", "delay beside hang does nothing"),
            ("error EIO --and hang --and kill -m write", "error and kill beside hang"),
            ("delay 5M -m write", "it holds for 5months; is that"),
            (
                "delay 3000000000s -m write",
                "it holds for 95years23days11h20m; is that the unit you mean?",
            ),
            ("delay uniform:1ms..900years,max=900years -m write", "is that the unit you mean?"),
            ("full --free 0 -r /a", "df and statfs do not show it"),
            ("full --free 0 --owner 7", "df and statfs do not show it"),
            ("error EIO -m write --starts 200years", "--starts 200years is longer than a year"),
        ] {
            let lines = fault(line).futile();
            assert!(lines.len() == 1 && lines[0].contains(told), "{line}: {lines:?}");
        }
        for line in [
            "kill -m all",
            "error EIO --and 'delay 1h' -m flush,write --for 7days -p 1%",
            "delay 1ms -m release",
            "throttle --iops 5",
            "full --free 0",
            &format!("hang -m write --pid {me}"),
        ] {
            assert_eq!(fault(line).futile(), Vec::<String>::new(), "{line}");
        }
    }
}
