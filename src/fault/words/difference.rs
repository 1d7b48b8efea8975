//! What is different between two faults, in words.

use super::fault::FaultWords;
use super::option::OPTIONS;
use super::visible::visible;

impl FaultWords {
    /// What is different from an earlier one, a line each: `--count 3 -> 5`.
    #[must_use]
    pub(crate) fn differences(&self, earlier: &FaultWords) -> Vec<String> {
        let text = |text: &str| if text.is_empty() { "any".to_owned() } else { visible(text) };
        let parts = |words: &FaultWords| {
            let mut parts = vec![
                (String::new(), words.effect()),
                ("-m ".to_owned(), words.methods.join(",")),
                ("-r ".to_owned(), text(&words.pattern)),
            ];
            parts.extend(OPTIONS.iter().map(|option| {
                let value = words.options.get(option.param.name);
                let value = value.map(|value| option.param.of.write(value));
                (format!("--{} ", option.word), value.unwrap_or_else(|| "none".to_owned()))
            }));
            parts
        };
        let pairs = parts(earlier).into_iter().zip(parts(self));
        let changed = pairs.filter(|((_, before), (_, now))| before != now);
        changed.map(|((word, before), (_, now))| format!("{word}{before} -> {now}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::parse;
    use super::*;

    #[test]
    fn what_is_different_is_told_part_by_part() {
        let told = |line: &str| {
            let fault = parse(line).unwrap().0.fault().unwrap();
            FaultWords::whole(&fault)
        };
        let earlier = told("delay 300ms -m fsync --name slow -p 50%");
        assert!(earlier.differences(&earlier).is_empty());
        let now = told("delay 500ms --and kill -m fsync,write -r .*/wal --count 3 --name slow");
        let expected = [
            "delay 300ms -> delay 500ms --and kill",
            "-m fsync -> fsync,write",
            "-r any -> .*/wal",
            "--probability 50% -> none",
            "--count none -> 3",
        ];
        assert_eq!(now.differences(&earlier), expected);
    }
}
