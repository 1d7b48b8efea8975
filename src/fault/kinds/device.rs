//! `device`: the time that a disk takes, with its queues, its cache and its credits.

use parking_lot::Mutex;

use super::{Class, Effect, Kind, ReadPoint};
use crate::fault::chance::Draw;
use crate::fault::device::{
    Asked, Figures, Model, PARAMS, PRESET, PRESETS, What, is_file, of_file, of_preset,
};
use crate::fault::error::SpecError;
use crate::fault::operation::Operation;
use crate::fault::plan::Plan;
use crate::fault::rate::Clock;
use crate::fault::words::{Args, Param, ValueError};
use crate::ops::{Call, MethodSet};

pub(super) struct Device;

impl Kind for Device {
    fn name(&self) -> &'static str {
        "device"
    }

    fn about(&self) -> &'static str {
        "Take as much time as a certain disk: a hard disk, an SSD, a cloud volume"
    }

    fn details(&self) -> &'static str {
        "Each request is due when such a disk would have finished it. It waits for a channel, \
         seeks, and moves its bytes. A write ends in the cache, if there is one, which drains in \
         the background. A sync waits for the drain, then flushes. Credits are used up and earned \
         again. When a request is due it runs, so the mount's own time is added. Reads from the \
         page cache take no time.\n\
         \n\
         There may be several devices, each for the files that it matches. `slowfs kinds device \
         NAME` prints the file of a preset: change it, and give its path instead. A file may also \
         be one that `slowfs record` wrote, or CSV with the columns method,len,latency_ns. Then \
         each method and size takes its recorded times. Single figures can be given beside a \
         preset or a file.\n\
         \n    slowfs device nvme -r '.*/wal/.*'\
         \n    slowfs device hdd -r '.*/data/.*'\
         \n    slowfs device ebs-gp3:6000,250MiB\
         \n    slowfs device ssd --flush 20ms\
         \n    slowfs device --iops 100 --burst-iops 3000 --credits 5000"
    }

    fn params(&self) -> &'static [Param] {
        PARAMS
    }

    fn class(&self) -> Class {
        Class::Condition
    }

    fn reach(&self) -> MethodSet {
        Call::all()
            .filter(|call| What::of(*call).is_some())
            .fold(MethodSet::EMPTY, |set, call| set.union(call.methods()))
    }

    fn read_point(&self) -> ReadPoint {
        ReadPoint::Request
    }

    fn files(&self) -> &'static [(&'static str, &'static str)] {
        PRESETS
    }

    fn with_file(
        &self,
        args: Args,
        read: &dyn Fn(&str) -> Result<String, ValueError>,
    ) -> Result<Args, SpecError> {
        let Some(file) = args.text(PRESET.name).filter(|word| is_file(word)) else {
            return Ok(args);
        };
        let of_file = read(file).and_then(|text| of_file(&text));
        let of_file =
            of_file.map_err(|why| refuse(PRESET.name, format!("{file}: {why}").into()))?;
        let given = args.iter().filter(|(name, _)| *name != PRESET.name);
        Ok(of_file.iter().chain(given).map(|(name, value)| (name.clone(), value.clone())).collect())
    }

    fn make(&self, args: &Args) -> Result<Box<dyn Effect>, SpecError> {
        let mut all = match args.text(PRESET.name) {
            Some(word) => of_preset(word).map_err(|why| refuse(PRESET.name, why))?,
            None => Args::new(),
        };
        if args.iter().next().is_none() {
            let why = "a device of no figures takes no time: name a preset, a file, or figures";
            return Err(SpecError::Together(why.to_owned()));
        }
        for (name, value) in args.iter().filter(|(name, _)| *name != PRESET.name) {
            all.insert(name, value.clone());
        }
        let figures = Figures::of(&all).map_err(|(name, why)| refuse(name, why))?;
        Ok(Box::new(Serving { args: args.clone(), figures, state: Mutex::default() }))
    }
}

fn refuse(param: &str, why: ValueError) -> SpecError {
    SpecError::Value { of: Device.name().to_owned(), param: param.to_owned(), why }
}

#[derive(Debug)]
struct Serving {
    args: Args,
    figures: Figures,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clock: Clock,
    model: Model,
}

impl Effect for Serving {
    fn kind(&self) -> &'static dyn Kind {
        &Device
    }

    fn args(&self) -> Args {
        self.args.clone()
    }

    fn doubt(&self, _: bool) -> Option<String> {
        let lacking = self.figures.lacking();
        (!lacking.is_empty()).then(|| {
            let lacking = lacking.join(", ");
            format!(
                "others were recorded, and no times of {lacking}: the device takes none for them"
            )
        })
    }

    fn plan(&self, op: &Operation<'_>, draw: &Draw, plan: &mut Plan) {
        if What::of(op.call).is_none() {
            return;
        }
        let (arrived, inode) = (op.arrived(), op.inode);
        let (offset, len) = op.span.map_or((0, 0), |span| (span.offset, span.len));
        let mut state = self.state.lock();
        let State { clock, model } = &mut *state;
        let asked = Asked { call: op.call, inode, offset, len };
        let due = model.due(&self.figures, &asked, clock.ns(arrived), draw);
        plan.before.add(clock.hold(arrived, due));
    }
}
