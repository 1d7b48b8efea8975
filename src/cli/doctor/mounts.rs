//! The mounts that there are: whether they answer, whom they do not reach, and what cannot fire.

use std::time::Duration;

use super::finding::Finding;
use super::scene::{Mirror, Scene, counted};
use crate::daemon::beneath::openers_beneath;
use crate::daemon::mount;
use crate::fault::words::quoted;
use crate::rpc::objects::warnings;

/// How long the search for processes may take, for each mount.
const SEARCHING: Duration = Duration::from_secs(2);

pub(super) fn answers(scene: &Scene) -> Finding {
    let alive = scene.answers().filter(|(mirror, asked)| asked.is_some() || !is_dead(mirror));
    let (mut told, mut silent) = (Vec::new(), Vec::new());
    let (mut wrong, mut closed) = (Vec::new(), Vec::new());
    for (mirror, asked) in alive {
        match asked.map(|asked| &asked.answer) {
            Some(Ok(answer)) => told.push(format!(
                "{} ({}, {} held)",
                mirror.name(),
                counted(answer.faults.len(), "fault"),
                answer.held
            )),
            Some(Err(why)) if why.is_silence() => silent.push(mirror.name()),
            Some(Err(why)) => wrong.push(format!("{}: {why}", mirror.name())),
            None => closed.push(mirror.name()),
        }
    }
    if !silent.is_empty() {
        return Finding::to_do(
            format!("{} does not answer", silent.join(", ")),
            "its daemon is stopped or takes too long",
            format!("look at its log and its processor time; {}", each("umount --force", &silent)),
        );
    }
    if !wrong.is_empty() {
        return Finding::to_do(
            wrong.join("; "),
            "commands that name no other address fail there",
            "look at its log; ask it by the slowfs that mounted it",
        );
    }
    if !closed.is_empty() {
        return Finding::note(
            format!("{} cannot be asked", closed.join(", ")),
            "it is another user's, or its control socket is not to be found",
            "ask as that user, or by its port: --addr HOST:PORT",
        );
    }
    match told.is_empty() {
        true => Finding::ok("there are none", "nothing is mirrored"),
        false => Finding::ok(told.join(", "), "their daemons answer"),
    }
}

pub(super) fn dead(scene: &Scene) -> Finding {
    let unanswered = scene.answers().filter(|(_, asked)| asked.is_none());
    let dead: Vec<_> = unanswered.filter(|(mirror, _)| is_dead(mirror)).collect();
    let names: Vec<_> = dead.iter().map(|(mirror, _)| mirror.name()).collect();
    if names.is_empty() {
        return Finding::ok("there are none", "every mirror has its daemon");
    }
    Finding::to_do(
        names.join(", "),
        "the daemon was killed or crashed: all that is asked there fails with ENOTCONN",
        format!("{}, or mount there again", each("umount", &names)),
    )
}

/// The command for each of these mounts.
fn each(command: &str, names: &[String]) -> String {
    let commands = names.iter().map(|name| format!("`slowfs {command} {}`", quoted(name)));
    commands.collect::<Vec<_>>().join(", ")
}

fn is_dead(mirror: &Mirror) -> bool {
    mirror.pids.is_empty() && mount::is_dead(&mirror.line.mountpoint)
}

pub(super) fn beneath(scene: &Scene) -> Finding {
    let (mut found, mut blind) = (Vec::new(), None);
    for Mirror { line, pids } in &scene.mirrors {
        let openers = openers_beneath(&line.mountpoint, line.device, SEARCHING, pids);
        blind = blind.or(openers.blind_spot());
        if !openers.found.is_empty() {
            found.push(format!("below {}: {}", line.mountpoint.display(), openers.named()));
        }
    }
    if !found.is_empty() {
        return Finding::to_do(
            found.join("; "),
            "no fault reaches files that were opened before the mount",
            "restart these programs now that the mirror is mounted",
        );
    }
    if let Some(blind) = blind {
        return Finding::note(
            blind,
            "they may have files open that were opened before the mount",
            if scene.is_root {
                "look again: they were about to end, or another program"
            } else {
                "look as root"
            },
        );
    }
    Finding::ok("nobody", "no file was open where a mirror is before it came")
}

pub(super) fn faults(scene: &Scene) -> Finding {
    let all = scene.answered().map(|(_, answer)| answer.faults.len()).sum();
    let told: Vec<_> = scene
        .answered()
        .flat_map(|(mirror, answer)| {
            let name = mirror.name();
            warnings(&answer.faults).into_iter().map(move |why| format!("{name}: {why}"))
        })
        .collect();
    if !told.is_empty() {
        return Finding::to_do(
            told.join("; "),
            "these faults do not do all that they say",
            "set them otherwise, as the warning says, or clear them: `slowfs clear ID`",
        );
    }
    Finding::ok(counted(all, "fault"), "each can fire, as far as can be told")
}
