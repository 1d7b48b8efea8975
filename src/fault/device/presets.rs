//! The devices that come with slowfs, and files like theirs: `name = value` on each line, and `#` before
//! what is for people only.
//!
//! Besides the parameters of a device a file may have: `arguments`, what stands behind the preset's name
//! and a colon, in order; and of volumes whose figures come from their size, `size`, `iops_per_gib`,
//! `iops_least`, `iops_most`, and up to `small` the bandwidth `small_bw`. No locks.

use std::collections::BTreeMap;

use super::figures::{
    BURST_IOPS, CHANNELS, CREDITS, FLUSH, IOPS, METADATA, PARAMS, PRESET, READ, TOTAL_BW, WRITE,
};
use super::model::What;
use crate::fault::recording::Recording;
use crate::fault::suggest::closest;
use crate::fault::words::{Args, Param, ParamType, Value, ValueError, whole};
use crate::ops::Call;

/// Names, and what stands in their files.
pub(in crate::fault) static PRESETS: &[(&str, &str)] = &[
    ("hdd", include_str!("../../../devices/hdd.toml")),
    ("ssd", include_str!("../../../devices/ssd.toml")),
    ("nvme", include_str!("../../../devices/nvme.toml")),
    ("nvme-plp", include_str!("../../../devices/nvme-plp.toml")),
    ("ebs-gp2", include_str!("../../../devices/ebs-gp2.toml")),
    ("ebs-gp3", include_str!("../../../devices/ebs-gp3.toml")),
    ("sd", include_str!("../../../devices/sd.toml")),
];

const ARGUMENTS: &str = "arguments";
const SIZE: &str = "size";
const IOPS_PER_GIB: &str = "iops_per_gib";
const IOPS_LEAST: &str = "iops_least";
const IOPS_MOST: &str = "iops_most";
const SMALL: &str = "small";
const SMALL_BW: &str = "small_bw";

/// What files have besides.
static OWN: [(&str, ParamType); 7] = [
    (ARGUMENTS, ParamType::Form("NAME,...")),
    (SIZE, ParamType::Size),
    (IOPS_PER_GIB, ParamType::Positive),
    (IOPS_LEAST, ParamType::Positive),
    (IOPS_MOST, ParamType::Positive),
    (SMALL, ParamType::Size),
    (SMALL_BW, ParamType::Size),
];

/// Figures that are drawn from what was recorded of such requests.
const RECORDED: [(&str, What); 4] =
    [(READ, What::Read), (WRITE, What::Write), (FLUSH, What::Sync), (METADATA, What::Metadata)];

/// How many requests a recorded device serves at once: what they waited for each other is in their times.
const AT_ONCE: u64 = 64;

/// Whether that is the name of a file, and none of a preset.
#[must_use]
pub(crate) fn is_file(word: &str) -> bool {
    let end = std::path::Path::new(word).extension();
    end.is_some_and(|end| end == "toml" || end == "csv")
}

/// The figures of a preset, as in `ebs-gp3:6000,250MiB`.
///
/// # Errors
/// There is none of that name, or its arguments cannot be.
pub(in crate::fault) fn of_preset(word: &str) -> Result<Args, ValueError> {
    let (name, arguments) = word.split_once(':').map_or((word, None), |(n, a)| (n, Some(a)));
    let Some((_, text)) = PRESETS.iter().find(|(preset, _)| *preset == name) else {
        return Err(unknown(name));
    };
    let mut sheet = Sheet::read(text)?;
    if let Some(arguments) = arguments {
        sheet.take(name, arguments)?;
    }
    sheet.figures()
}

/// Those of a file.
///
/// # Errors
/// What is wrong with it, by its line.
pub(in crate::fault) fn of_file(text: &str) -> Result<Args, ValueError> {
    let recording = Recording::read(text)?;
    let mut args = Sheet::read(&recording.figures())?.figures()?;
    if recording.is_empty() {
        return Ok(args);
    }
    for (name, what) in RECORDED {
        let calls = Call::all().filter(|call| What::of(*call) == Some(what));
        if let Some(length) = recording.drawn(calls)?.length()
            && args.insert(name, ParamType::Distribution.read(&length)?).is_some()
        {
            return Err(format!("{name} is given, and was recorded").into());
        }
    }
    if args.get(CHANNELS).is_none() {
        args.insert(CHANNELS, whole(AT_ONCE));
    }
    Ok(args)
}

fn unknown(name: &str) -> ValueError {
    if is_file(name) {
        let why = "the daemon opens no file that a client names: send what stands in it, as the command line does";
        return why.into();
    }
    let names = || PRESETS.iter().map(|(preset, _)| *preset);
    let hint = closest(name, names()).map(|near| format!("; did you mean {near}?"));
    let all = names().collect::<Vec<_>>().join(", ");
    let hint = hint.unwrap_or_default();
    format!("there is no such device among {all}{hint} (a file's name ends with .toml or .csv)")
        .into()
}

/// What stands in a file.
struct Sheet(BTreeMap<&'static str, Value>);

impl Sheet {
    fn read(text: &str) -> Result<Sheet, ValueError> {
        let mut sheet = Sheet(BTreeMap::new());
        for (number, line) in (1..).zip(text.lines()) {
            let of_line = |why: ValueError| ValueError(format!("line {number}: {why}"));
            let line = line.split('#').next().unwrap_or_default().trim();
            if line.is_empty() {
                continue;
            }
            let (name, value) =
                line.split_once('=').ok_or_else(|| of_line("write it as name = value".into()))?;
            sheet.set(name.trim(), unquoted(value.trim())).map_err(of_line)?;
        }
        Ok(sheet)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), ValueError> {
        let (name, of) = find(name)?;
        let value = of.read(value).map_err(|why| ValueError(format!("{name}: {why}")))?;
        match self.0.insert(name, value) {
            Some(_) => Err(format!("{name} is given twice").into()),
            None => Ok(()),
        }
    }

    /// Takes what stands behind a preset's name.
    fn take(&mut self, preset: &str, arguments: &str) -> Result<(), ValueError> {
        let names = self.text(ARGUMENTS);
        let given: Vec<_> = arguments.split(',').map(str::trim).collect();
        let names: Vec<_> = names.split(',').map(str::trim).filter(|n| !n.is_empty()).collect();
        if given.len() > names.len() || given.contains(&"") {
            let takes = match names.is_empty() {
                true => "nothing behind its name".to_owned(),
                false => format!("{preset}:{}", names.join(",").to_uppercase()),
            };
            return Err(format!("{preset} takes {takes}").into());
        }
        for (name, value) in names.iter().zip(given) {
            let (name, _) = find(name)?;
            self.0.remove(name);
            self.set(name, value)?;
        }
        Ok(())
    }

    fn text(&self, name: &str) -> String {
        match self.0.get(name) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    fn whole(&self, name: &str) -> Option<u64> {
        match self.0.get(name)? {
            Value::Whole(n) => u64::try_from(*n).ok(),
            _ => None,
        }
    }

    /// The parameters of the device, with those that come from its size.
    fn figures(mut self) -> Result<Args, ValueError> {
        self.size()?;
        let own = |name: &str| OWN.iter().any(|(own, _)| *own == name);
        let figures = self.0.into_iter().filter(|(name, _)| !own(name));
        Ok(figures.map(|(name, value)| (name.to_owned(), value)).collect())
    }

    fn size(&mut self) -> Result<(), ValueError> {
        let Some(size) = self.whole(SIZE) else { return Ok(()) };
        if let Some(per_gib) = self.whole(IOPS_PER_GIB) {
            let earned = u128::from(size) * u128::from(per_gib) / (1 << 30);
            let earned = u64::try_from(earned).unwrap_or(u64::MAX);
            let least = self.whole(IOPS_LEAST).unwrap_or(1);
            let most = self.whole(IOPS_MOST).unwrap_or(u64::MAX);
            if least > most {
                return Err(format!("{IOPS_LEAST} is above {IOPS_MOST}").into());
            }
            let iops = earned.clamp(least, most);
            self.0.insert(IOPS, whole(iops));
            if self.whole(BURST_IOPS).is_some_and(|peak| peak <= iops) {
                // It has no need of credits.
                self.0.remove(BURST_IOPS);
                self.0.remove(CREDITS);
            }
        }
        if self.whole(SMALL).is_some_and(|small| size <= small)
            && let Some(bandwidth) = self.0.get(SMALL_BW).cloned()
        {
            self.0.insert(TOTAL_BW, bandwidth);
        }
        Ok(())
    }
}

/// What a file may have of that name.
fn find(name: &str) -> Result<(&'static str, ParamType), ValueError> {
    let figures = || PARAMS.iter().filter(|param| param.name != PRESET.name);
    let all = || figures().map(|Param { name, of, .. }| (*name, *of)).chain(OWN);
    all().find(|(known, _)| *known == name).ok_or_else(|| {
        let near = closest(name, all().map(|(known, _)| known));
        let hint = near.map(|near| format!("; did you mean {near}?")).unwrap_or_default();
        format!("no figure of a device is called {name:?}{hint}").into()
    })
}

fn unquoted(value: &str) -> &str {
    value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::super::figures::Figures;
    use super::*;

    fn why(refused: Result<Args, ValueError>) -> String {
        refused.unwrap_err().to_string()
    }

    #[test]
    fn every_preset_is_a_device_and_none_else() {
        for (name, text) in PRESETS {
            let args = of_preset(name).unwrap();
            assert!(Figures::of(&args).is_ok(), "{name}");
            assert_eq!(of_file(text).unwrap(), args, "{name}");
            let form = PRESET.of.form();
            assert!(form.split('|').any(|form| form.split('[').next() == Some(name)), "{name}");
        }
        assert!(why(of_preset("nvm")).contains("did you mean nvme?"));
        assert!(why(of_preset("./nvme.toml")).contains("opens no file"));
    }

    #[test]
    fn a_volume_has_figures_by_its_size() {
        let of = |volume: &str| {
            let args = of_preset(volume).unwrap();
            ["iops", "burst_iops", "credits", "total_bw"].map(|name| args.whole(name))
        };
        let mib = |n: u64| Some(n << 20);
        assert_eq!(of("ebs-gp2:10GiB"), [Some(100), Some(3000), Some(5_400_000), mib(128)]);
        assert_eq!(of("ebs-gp2:170GiB"), [Some(510), Some(3000), Some(5_400_000), mib(128)]);
        assert_eq!(of("ebs-gp2:500GiB"), [Some(1500), Some(3000), Some(5_400_000), mib(250)]);
        assert_eq!(of("ebs-gp2:1000GiB"), [Some(3000), None, None, mib(250)]);
        assert_eq!(of("ebs-gp2:16TiB"), [Some(16_000), None, None, mib(250)]);
        assert_eq!(of("ebs-gp3"), [Some(3000), None, None, mib(125)]);
        assert_eq!(of("ebs-gp3:6000"), [Some(6000), None, None, mib(125)]);
        assert_eq!(of("ebs-gp3:6000,250MiB"), [Some(6000), None, None, mib(250)]);
        for (volume, told) in [
            ("ebs-gp3:1,2,3", "ebs-gp3 takes ebs-gp3:IOPS,TOTAL_BW"),
            ("ebs-gp3:", "ebs-gp3 takes"),
            ("ebs-gp2:much", "size: "),
            ("hdd:7200", "hdd takes nothing behind its name"),
        ] {
            assert!(why(of_preset(volume)).contains(told), "{}", why(of_preset(volume)));
        }
    }

    #[test]
    fn what_is_wrong_with_a_file_is_told_by_its_line() {
        for (text, told) in [
            (
                "\nchanels = 1",
                "line 2: no figure of a device is called \"chanels\"; did you mean channels?",
            ),
            ("channels = 1\nchannels = 2", "line 2: channels is given twice"),
            ("channels", "line 1: write it as name = value"),
            ("read = \"fast\" # ", "line 1: read: "),
            ("size = 1GiB\niops_per_gib = 1\niops_least = 9\niops_most = 8", "iops_least is above"),
            ("preset = \"nvme\"", "line 1: no figure"),
        ] {
            assert!(why(of_file(text)).contains(told), "{text}: {}", why(of_file(text)));
        }
        let quoted = of_file(" read = \"1ms\"  # slow\n\n#\nchannels=2").unwrap();
        assert_eq!(quoted, of_file("channels = 2\nread = 1ms").unwrap());
    }
}
