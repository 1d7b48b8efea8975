//! The addresses of `--addr`: each typed, or a line of a file that `@FILE` names. A file is taken whole or not at
//! all. No locks.

use std::ops::Deref;
use std::path::PathBuf;

use clap::{ArgMatches, Args, Command, Error, FromArgMatches};

use super::values::{parse_addr, read_file};

/// How many addresses one file may name: each is asked by a thread of its own.
const MOST: usize = 1_000;

/// The addresses that are meant, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Addresses(Vec<String>);

impl Deref for Addresses {
    type Target = [String];

    fn deref(&self) -> &[String] {
        &self.0
    }
}

impl From<Vec<String>> for Addresses {
    fn from(addresses: Vec<String>) -> Addresses {
        Addresses(addresses)
    }
}

/// Where addresses come from that nobody typed.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    /// What is said of that if nobody is there.
    pub(super) said: Option<&'static str>,
    /// Mounts that are named by a path and were not found so far: each has the path for an address.
    pub(super) paths: Vec<PathBuf>,
}

/// What one word stands for.
#[derive(Clone, Debug)]
struct Word(Vec<String>);

#[derive(Args)]
struct Typed {
    /// Ask this control address: a port, the path of a control socket, or each address in FILE. Several, repeated
    /// or with commas, are asked at once. HOST alone means port 9090, PORT alone this machine [env: SLOWFS_ADDR]
    #[arg(
        long,
        value_name = "HOST:PORT|SOCKET|@FILE",
        value_delimiter = ',',
        value_parser = |word: &str| meant(word).map(Word)
    )]
    addr: Vec<Word>,
}

impl Args for Addresses {
    fn augment_args(command: Command) -> Command {
        Typed::augment_args(command)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Typed::augment_args_for_update(command)
    }
}

impl FromArgMatches for Addresses {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Addresses, Error> {
        let Typed { addr } = Typed::from_arg_matches(matches)?;
        Ok(Addresses(addr.into_iter().flat_map(|Word(addresses)| addresses).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Addresses::from_arg_matches(matches)?;
        Ok(())
    }
}

/// What a word stands for: the address that it is, or those of the file that it names.
///
/// # Errors
/// It is none; of a file which of its lines.
pub(super) fn meant(word: &str) -> Result<Vec<String>, String> {
    let Some(file) = word.strip_prefix('@') else {
        return parse_addr(word).map(|address| vec![address]);
    };
    let text = read_file(file).map_err(|why| format!("{file}: {why}"))?;
    of_lines(&text, file)
}

/// An address a line. What follows a `#` that begins a word is a comment.
fn of_lines(text: &str, file: &str) -> Result<Vec<String>, String> {
    let mut found: Vec<(usize, String)> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let word = uncommented(text);
        if word.is_empty() {
            continue;
        }
        let wrong = |why: &str| format!("{file}:{line}: {word:?}: {why}");
        if word.starts_with('@') {
            return Err(wrong("a file of addresses names no other one"));
        }
        if !word.contains('/') && word.contains([',', ' ', '\t']) {
            return Err(wrong("write one address a line"));
        }
        let address = parse_addr(word).map_err(|why| wrong(&why))?;
        if let Some((first, _)) = found.iter().find(|(_, other)| *other == address) {
            return Err(wrong(&format!("it stands in line {first} already")));
        }
        found.push((line, address));
        if found.len() > MOST {
            return Err(format!("{file}:{line}: these are more than {MOST} addresses"));
        }
    }
    if found.is_empty() {
        return Err(format!("{file}: no address stands in it"));
    }
    Ok(found.into_iter().map(|(_, address)| address).collect())
}

fn uncommented(line: &str) -> &str {
    let before = line.match_indices('#').filter_map(|(at, _)| line.get(..at));
    let comment = before.into_iter().find(|text| text.trim_end() != *text || text.is_empty());
    comment.unwrap_or(line).trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Result<Vec<String>, String> {
        of_lines(text, "fleet")
    }

    #[test]
    fn a_file_has_an_address_a_line_and_comments() {
        let text = "# the members\n db1:9090 \n\ndb2 # the leader\r\n/run/a #b/c#d\n9191\n::1\n";
        let wanted = ["db1:9090", "db2", "/run/a", "127.0.0.1:9191", "::1"];
        assert_eq!(lines(text).unwrap(), wanted);
        assert_eq!(lines("/run/c#d").unwrap(), ["/run/c#d"]);
    }

    #[test]
    fn a_line_that_is_no_address_is_named_and_none_is_taken() {
        for (text, told) in [
            ("db1\ndb2:x", "fleet:2: \"db2:x\": not HOST:PORT"),
            ("db1 db2", "fleet:1: \"db1 db2\": write one address a line"),
            ("db1:1,db2:2", "fleet:1: \"db1:1,db2:2\": write one address a line"),
            ("# more\n@others", "fleet:2: \"@others\": a file of addresses names no other"),
            ("9090\n\n127.0.0.1:9090", "fleet:3: \"127.0.0.1:9090\": it stands in line 1"),
            ("# none\n", "fleet: no address stands in it"),
            ("", "fleet: no address stands in it"),
        ] {
            let why = lines(text).unwrap_err();
            assert!(why.starts_with(told), "{text:?}: {why}");
        }
        let many: Vec<String> = (1..=MOST + 1).map(|n| format!("db{n}")).collect();
        assert_eq!(lines(&many[1..].join("\n")).unwrap().len(), MOST);
        assert!(lines(&many.join("\n")).unwrap_err().starts_with("fleet:1001: "));
    }

    #[test]
    fn a_word_is_an_address_or_a_file_of_them() {
        assert_eq!(meant("db1:1").unwrap(), ["db1:1"]);
        let why = meant("@/nonexistent/fleet").unwrap_err();
        assert!(why.starts_with("/nonexistent/fleet: cannot read it: "), "{why}");
        assert!(meant("@").unwrap_err().contains("cannot read it"));
    }
}
