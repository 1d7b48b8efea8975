//! What a device is made of: its parameters, and what they come to. No locks.

use super::cache::{Cache, Waits};
use super::credits::Credits;
use crate::fault::distributions::{self, Length};
use crate::fault::io_size::{self, IO_SIZE};
use crate::fault::rate::Rate;
use crate::fault::words::{Args, Param, ParamType, ValueError};
use crate::ops::Call;

pub(super) const CHANNELS: &str = "channels";
pub(super) const READ: &str = "read";
pub(super) const WRITE: &str = "write";
const SEEK: &str = "seek";
pub(super) const FLUSH: &str = "flush";
pub(super) const METADATA: &str = "metadata";
const READ_BW: &str = "read_bw";
const WRITE_BW: &str = "write_bw";
pub(super) const TOTAL_BW: &str = "total_bw";
const CACHE: &str = "cache";
const DRAIN: &str = "drain";
const SYNC_WAITS: &str = "sync_waits";
pub(super) const IOPS: &str = "iops";
pub(super) const BURST_IOPS: &str = "burst_iops";
pub(super) const CREDITS: &str = "credits";

/// Each request looks at all channels; no disk takes as many requests at once.
const MOST_CHANNELS: u64 = 1024;

/// What of the cache a sync waits for.
const WAITS: [(&str, Waits); 3] =
    [("all", Waits::All), ("file", Waits::File), ("nothing", Waits::Nothing)];

/// The parameter that names the others' values.
pub(in crate::fault) const PRESET: Param = Param {
    name: "preset",
    of: ParamType::Form("FILE|hdd|ssd|nvme|nvme-plp|ebs-gp2[:SIZE]|ebs-gp3[:IOPS[,BW]]|sd"),
    first: true,
    required: false,
    about: "the disk, whose figures count where none is given below",
};

/// All parameters.
pub(in crate::fault) static PARAMS: &[Param] = &[
    PRESET,
    Param::optional(
        CHANNELS,
        ParamType::Positive,
        "how many requests it serves at once, at most 1024 [default: 1]",
    ),
    time(READ, "how long a read takes, without its bytes"),
    time(WRITE, "how long a write takes, without its bytes; into the cache, if there is one"),
    time(SEEK, "how long it takes to move, if a request does not begin where the last one ended"),
    time(FLUSH, "how long a sync takes after the data that it waits for is on the medium"),
    time(METADATA, "how long a change of names or attributes takes"),
    Param::optional(READ_BW, ParamType::Size, "bytes per second that one channel reads"),
    Param::optional(WRITE_BW, ParamType::Size, "bytes per second that one channel writes"),
    Param::optional(TOTAL_BW, ParamType::Size, "bytes per second of all channels together"),
    Param::optional(CACHE, ParamType::Size, "the write cache; needs --drain"),
    Param::optional(DRAIN, ParamType::Size, "bytes per second from the cache to the medium"),
    Param::optional(
        SYNC_WAITS,
        ParamType::Choice(&["all", "file", "nothing"]),
        "which data in the cache a sync waits for [default: all]",
    ),
    Param::optional(
        IOPS,
        ParamType::Positive,
        "operations per second, and credits earned per second",
    ),
    Param::optional(
        BURST_IOPS,
        ParamType::Positive,
        "operations per second while there are credits",
    ),
    Param::optional(
        CREDITS,
        ParamType::Positive,
        "the most credits it can have; it starts with as many",
    ),
    io_size::PARAM,
];

const fn time(name: &'static str, about: &'static str) -> Param {
    Param::optional(name, ParamType::Distribution, about)
}

/// What moves bytes.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) time: Length,
    /// Bytes a second; None for no time.
    pub(super) bandwidth: Option<u64>,
}

/// What a device is made of.
#[derive(Debug)]
pub(in crate::fault) struct Figures {
    pub(super) channels: u64,
    pub(super) read: Work,
    pub(super) write: Work,
    pub(super) seek: Length,
    pub(super) flush: Length,
    pub(super) metadata: Length,
    /// Bytes a second of all channels.
    pub(super) line: Option<u64>,
    pub(super) cache: Option<Cache>,
    pub(super) waits: Waits,
    pub(super) credits: Option<Credits>,
}

/// Why they cannot be: of which parameter, and why.
type Refusal = (&'static str, ValueError);

impl Figures {
    /// # Errors
    /// Values that do not go together.
    pub(in crate::fault) fn of(args: &Args) -> Result<Figures, Refusal> {
        Ok(Figures {
            channels: channels(args)?,
            read: Work { time: length(args, READ)?, bandwidth: size(args, READ_BW)? },
            write: Work { time: length(args, WRITE)?, bandwidth: size(args, WRITE_BW)? },
            seek: length(args, SEEK)?,
            flush: length(args, FLUSH)?,
            metadata: length(args, METADATA)?,
            line: size(args, TOTAL_BW)?,
            cache: cache(args)?,
            waits: waits(args)?,
            credits: credits(args)?,
        })
    }

    /// What takes no time although others were recorded.
    pub(in crate::fault) fn lacking(&self) -> Vec<&'static str> {
        let all = [
            (&self.read.time, Call::Read, "reads"),
            (&self.write.time, Call::Write, "writes"),
            (&self.flush, Call::Fsync, "syncs"),
            (&self.metadata, Call::Create, "metadata"),
        ];
        let is_recorded = all.iter().any(|(length, ..)| length.is_recorded());
        let lacks = |length: &Length, call| length.is_zero() || length.lacks(call);
        let lacking =
            all.into_iter().filter(|(length, call, _)| is_recorded && lacks(length, *call));
        lacking.map(|(.., name)| name).collect()
    }
}

fn channels(args: &Args) -> Result<u64, Refusal> {
    match args.whole(CHANNELS) {
        Some(more) if more > MOST_CHANNELS => {
            Err((CHANNELS, format!("{more}: it must be {MOST_CHANNELS} at most").into()))
        }
        channels => Ok(channels.unwrap_or(1)),
    }
}

fn length(args: &Args, name: &'static str) -> Result<Length, Refusal> {
    let typed = args.get(name).map(|value| ParamType::Distribution.write(value));
    let length =
        distributions::read(typed.as_deref().unwrap_or("0s")).map_err(|why| (name, why))?;
    match length.factor() {
        None => Ok(length),
        Some(_) => {
            let why = "a device has times of its own, not so many times those of the backing";
            Err((name, why.into()))
        }
    }
}

fn size(args: &Args, name: &'static str) -> Result<Option<u64>, Refusal> {
    match args.whole(name) {
        Some(0) => {
            Err((name, "0 lets nothing through; leave it out for what takes no time".into()))
        }
        size => Ok(size),
    }
}

fn cache(args: &Args) -> Result<Option<Cache>, Refusal> {
    match (size(args, CACHE)?, size(args, DRAIN)?) {
        (Some(size), Some(drain)) => Ok(Some(Cache { size, drain })),
        (None, None) => Ok(None),
        (Some(_), None) => Err((CACHE, "a cache drains: give --drain, bytes a second".into())),
        (None, Some(_)) => Err((DRAIN, "there is no cache that drains: give --cache".into())),
    }
}

fn waits(args: &Args) -> Result<Waits, Refusal> {
    let word = args.text(SYNC_WAITS);
    if word.is_some() && args.get(CACHE).is_none() {
        return Err((SYNC_WAITS, "there is no cache to wait for: give --cache".into()));
    }
    let known = WAITS.iter().find(|(name, _)| Some(*name) == word);
    Ok(known.map_or(Waits::All, |(_, waits)| *waits))
}

fn credits(args: &Args) -> Result<Option<Credits>, Refusal> {
    let (iops, peak) = (args.whole(IOPS), args.whole(BURST_IOPS));
    let (credits, io_size) = (args.whole(CREDITS), size(args, IO_SIZE)?);
    let Some(iops) = iops else {
        let others = [(BURST_IOPS, peak), (CREDITS, credits), (IO_SIZE, io_size)];
        return match others.iter().find(|(_, value)| value.is_some()) {
            Some((name, _)) => Err((name, "it needs --iops, operations a second".into())),
            None => Ok(None),
        };
    };
    match (peak, credits) {
        (Some(peak), _) if peak < iops => {
            return Err((BURST_IOPS, format!("it must be {iops} at least, as --iops is").into()));
        }
        (Some(_), None) => return Err((BURST_IOPS, "it needs --credits to spend".into())),
        (None, Some(_)) => return Err((CREDITS, "they need --burst-iops to be spent on".into())),
        _ => {}
    }
    let burst = Rate { each_second: peak.unwrap_or(iops), burst: 1 };
    let earned = Rate { each_second: iops, burst: credits.unwrap_or(1) };
    Ok(Some(Credits { burst, earned, io_size: io_size.unwrap_or(io_size::DEFAULT) }))
}

#[cfg(test)]
mod tests {
    use crate::fault::words::line;

    #[test]
    fn figures_that_do_not_go_together_are_refused() {
        for (typed, told) in [
            ("", "a device of no figures takes no time"),
            ("--cache 1MiB", "cache: a cache drains: give --drain"),
            ("--drain 1MiB", "drain: there is no cache"),
            ("--read 1ms --sync-waits file", "sync_waits: there is no cache"),
            ("--read-bw 0", "read_bw: 0 lets nothing through"),
            ("--cache 0 --drain 1MB", "cache: 0 lets nothing through"),
            ("--iops 0", "iops: 0: it must be 1 at least"),
            ("--credits 5", "credits: it needs --iops"),
            ("--iops 10 --burst-iops 9 --credits 5", "burst_iops: it must be 10 at least"),
            ("--iops 10 --burst-iops 20", "burst_iops: it needs --credits"),
            ("--iops 10 --credits 20", "credits: they need --burst-iops"),
            ("--channels 0", "channels: 0: it must be 1 at least"),
            ("--channels 1025", "channels: 1025: it must be 1024 at most"),
            ("nvme --channels 1000000000000", "channels: 1000000000000: it must be 1024 at most"),
            ("nvme --sync-waits disk", "all, file, nothing"),
            ("nvme --read fast", "read: "),
            ("nvme --read x10", "read: a device has times of its own"),
        ] {
            let refused = line(&format!("device {typed}")).and_then(|(words, _)| words.fault());
            let why = refused.err().unwrap().to_string();
            assert!(why.contains(told) && !why.contains('\n'), "{typed}: {why}");
        }
    }
}
