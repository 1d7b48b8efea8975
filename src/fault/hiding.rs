//! Which faults stand before others so that these never fire, where the table alone tells it. No locks.

use super::chance::Chance;
use super::id::FaultId;
use super::snapshot::{Row, Snapshot};
use super::spec::Fault;

impl Snapshot {
    /// The fault that keeps the one at this place from firing as long as it stands.
    pub(super) fn hider(&self, place: usize) -> Option<FaultId> {
        let row = self.rows.get(place)?;
        let mut earlier = self.rows.iter().take(place);
        earlier.find(|earlier| hides(earlier, row)).map(|earlier| earlier.live.id)
    }

    /// The faults that this one keeps from firing as long as it stands.
    pub(super) fn hidden_by(&self, id: FaultId) -> Vec<FaultId> {
        let rows = self.rows.iter().skip_while(|row| row.live.id != id);
        let mut rows = rows.map(|row| (row, row.live.id));
        let Some((own, _)) = rows.next() else { return Vec::new() };
        rows.filter(|(row, _)| hides(own, row)).map(|(_, id)| id).collect()
    }
}

/// Whether the earlier fires first on all that the later matches.
fn hides(earlier: &Row, later: &Row) -> bool {
    let (first, then) = (earlier.live.fault.scope(), later.live.fault.scope());
    let pattern = first.pattern.as_str();
    earlier.live.is_fault()
        && later.live.is_fault()
        && always_fires(&earlier.live.fault)
        && (pattern.is_empty() || pattern == then.pattern.as_str())
        && (first.filters.is_none() || first.filters == then.filters)
        && earlier.methods.covers(later.methods)
}

fn always_fires(fault: &Fault) -> bool {
    fault.chance() == Chance::default()
        && fault.term().is_always_on()
        && fault.effects().iter().all(|effect| effect.skips().is_empty())
}

#[cfg(test)]
mod tests {
    use crate::fault::testing::fault;
    use crate::fault::{DelayLine, FaultId, FaultTable, Placement};

    /// Whether the second cannot fire behind the first.
    fn is_hidden(first: &str, second: &str) -> bool {
        let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
        for line in [first, second] {
            table.put(fault(line), Placement::Add).unwrap();
        }
        let (one, two) = (FaultId(1), FaultId(2));
        let behind = table.list_hidden().iter().map(|(_, behind)| *behind).collect::<Vec<_>>();
        assert_eq!(behind, [table.hider(one), table.hider(two)]);
        let hidden = table.hidden_by(one) == [two];
        assert_eq!(behind, [None, hidden.then_some(one)], "{first}; {second}");
        assert!(table.hidden_by(two).is_empty());
        hidden
    }

    #[test]
    fn a_fault_is_hidden_where_another_always_fires_first() {
        for (first, second) in [
            ("error EIO -m write", "delay 1ms -m write"),
            (
                "error EIO -m write,mkdir -r '.*/a' --for 1h",
                "kill -m mkdir -r '.*/a' -p 1% --count 3",
            ),
            ("delay 1ms -m all", "error EIO -m fsync -r '.*/wal'"),
            ("delay 1ms -m fsync", "error EIO -m fdatasync"),
            ("delay 1ms -m write", "error EIO -m write_buf --uid 7"),
            ("delay 1ms -m write --uid 7", "error EIO -m write --uid 7"),
        ] {
            assert!(is_hidden(first, second), "{first}; {second}");
        }
    }

    #[test]
    fn a_fault_is_not_hidden_where_another_lets_something_by() {
        for (first, second) in [
            ("error EIO -m write -p 99%", "delay 1ms -m write"),
            ("error EIO -m write --count 9", "delay 1ms -m write"),
            ("error EIO -m write --after 9", "delay 1ms -m write"),
            ("error EIO -m write --nth 2", "delay 1ms -m write"),
            ("error EIO -m write --starts 1s", "delay 1ms -m write"),
            ("error EIO -m write --on-for 1s --off-for 1s", "delay 1ms -m write"),
            ("error EIO -m write -r '.*/a'", "delay 1ms -m write"),
            ("error EIO -m write --uid 7", "delay 1ms -m write"),
            ("error EIO -m write", "delay 1ms -m write,mkdir"),
            ("error EIO -m fdatasync", "delay 1ms -m fsync"),
            ("error EIO -m write", "delay 1ms -m copy_file_range"),
            ("kill -m write", "delay 1ms -m write"),
            ("torn-write random -m write", "delay 1ms -m write"),
            ("throttle --iops 9", "delay 1ms -m write"),
        ] {
            assert!(!is_hidden(first, second), "{first}; {second}");
        }
        let table = FaultTable::new(DelayLine::new().unwrap(), Some(1));
        table.put(fault("error EIO -m write"), Placement::Add).unwrap();
        table.put(fault("throttle --iops 9"), Placement::Add).unwrap();
        assert!(
            table.list_hidden().iter().all(|(_, behind)| behind.is_none()),
            "conditions are asked"
        );
    }
}
