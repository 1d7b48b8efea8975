//! The line about a mount that answers.

use serde_json::json;

use crate::daemon::Ready;

/// For people or for programs.
pub(super) fn line(ready: &Ready, as_json: bool) -> String {
    let Ready { mountpoint, backing, pid, listen, socket } = ready;
    let listen = listen.map(|address| address.to_string());
    if as_json {
        return json!({
            "mountpoint": mountpoint, "backing": backing, "pid": pid, "listen": listen,
            "socket": socket,
        })
        .to_string();
    }
    let socket = socket.as_ref().map(|path| path.display().to_string());
    let addresses: Vec<_> = listen.into_iter().chain(socket).collect();
    format!(
        "{} mirrors {}, pid {pid}; control: {}",
        mountpoint.display(),
        backing.display(),
        addresses.join(", ")
    )
}
