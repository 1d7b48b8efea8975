//! What a page mentions beside its command: variables, files, other pages. No locks.

use clap::Command;

use super::super::overview;
use crate::fault::kinds::KINDS;

/// A variable or a file, and whose page has it.
pub(super) struct Mention {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// By an argument that such commands have.
    of: &'static [&'static str],
}

pub(super) const VARIABLES: [Mention; 4] = [
    Mention {
        name: "SLOWFS_ADDR",
        about: "The control addresses, parted by commas, of a command that is told none by --mount or --addr.",
        of: &["addr"],
    },
    Mention {
        name: "XDG_RUNTIME_DIR",
        about: "The directory of an ordinary user's control sockets is slowfs in it.",
        of: &["addr", "listen"],
    },
    Mention {
        name: "TMPDIR",
        about: "The directory of temporary files, in the place of /tmp.",
        of: &["held_dir", "keep_images"],
    },
    Mention {
        name: "NO_COLOR",
        about: "If it is set and not empty, nothing is coloured.",
        of: &["commands"],
    },
];

pub(super) const FILES: [Mention; 4] = [
    Mention {
        name: "/run/slowfs",
        about: "The control sockets of root's mounts.",
        of: &["addr", "listen"],
    },
    Mention {
        name: "$XDG_RUNTIME_DIR/slowfs, /tmp/slowfs-UID",
        about: "Those of other users' mounts.",
        of: &["addr", "listen"],
    },
    Mention { name: "/dev/fuse", about: "The kernel's side of every mount.", of: &["listen"] },
    Mention {
        name: "/etc/fuse.conf",
        about: "With a line user_allow_other the mounts of ordinary users may let others in.",
        of: &["listen"],
    },
];

/// Those of a command; of the program all.
pub(super) fn of<'a>(
    all: &'a [Mention],
    command: Option<&'a Command>,
) -> impl Iterator<Item = &'a Mention> {
    all.iter().filter(move |mention| {
        command.is_none_or(|command| {
            command.get_arguments().any(|arg| mention.of.contains(&arg.get_id().as_str()))
        })
    })
}

/// Pages of others, on the page of whoever mounts.
const MOUNTS: &[&str] = &["fusermount3(1)", "fuse(4)", "mount(8)"];

/// The pages to go on to: the program's, and those of commands that are for the same.
pub(super) fn pages(command: &Command, grammar: &Command) -> Vec<String> {
    let own = command.get_name();
    let is_kind = |name: &str| KINDS.iter().any(|kind| kind.name() == name);
    let related = overview::related(grammar, own).into_iter().filter(|name| !is_kind(name));
    // What explains faults, and shows them.
    let beside = if is_kind(own) { &["kinds", "list"][..] } else { &[] };
    let commands = related.chain(beside.iter().copied()).filter(|name| *name != own);
    let mounts = command.get_arguments().any(|arg| arg.get_id() == "listen");
    let others = if mounts { MOUNTS } else { &[] }.iter().map(|page| (*page).to_owned());
    let program = ["slowfs(1)".to_owned()].into_iter();
    program.chain(commands.map(|name| format!("slowfs-{name}(1)"))).chain(others).collect()
}
