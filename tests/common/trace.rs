//! What a trace has told.

use slowfs::rpc::{Client, TraceEvent};

/// All that has come, and how many were dropped.
pub fn drain(client: &mut Client) -> (Vec<TraceEvent>, i64) {
    let mut all: Vec<TraceEvent> = Vec::new();
    loop {
        let read = client.trace_read(all.last().map_or(0, |event| event.seq), 1_000).unwrap();
        if read.events.is_empty() {
            return (all, read.dropped);
        }
        all.extend(read.events);
    }
}
