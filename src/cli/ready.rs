//! The line about a mount that answers.

use serde_json::{Value, json};

use crate::daemon::Ready;
use crate::fault::words::shown_path;
use crate::rpc::{WirePath, objects};

/// The address in a line for programs: the port, or else the socket.
pub(super) fn address(line: &str) -> Option<String> {
    let ready: Value = serde_json::from_str(line).ok()?;
    let address = ["listen", "socket"].into_iter().find_map(|name| ready.get(name)?.as_str())?;
    Some(address.to_owned())
}

/// For people or for programs.
pub(super) fn line(ready: &Ready, as_json: bool) -> String {
    let Ready { mountpoint, backing, pid, listen, http, socket } = ready;
    let [listen, http] = [listen, http].map(|at| at.map(|address| address.to_string()));
    if as_json {
        let socket = socket.clone().map(WirePath);
        let [mountpoint, backing] = [mountpoint, backing].map(|path| WirePath(path.clone()));
        let mut object = json!({
            "mountpoint": mountpoint, "backing": backing, "pid": pid, "listen": listen,
            "http": http, "socket": socket,
        });
        objects::add_bytes(&mut object, "mountpoint", &mountpoint);
        objects::add_bytes(&mut object, "backing", &backing);
        return object.to_string();
    }
    let socket = socket.as_ref().map(|path| path.display().to_string());
    let page = http.map(|address| format!("http://{address}/"));
    let addresses: Vec<_> = listen.into_iter().chain(socket).chain(page).collect();
    format!(
        "{} mirrors {}, pid {pid}; control: {}",
        shown_path(mountpoint),
        shown_path(backing),
        addresses.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_program_finds_the_address() {
        let ready = |listen: Option<&str>| Ready {
            mountpoint: "/mnt".into(),
            backing: "/raw".into(),
            pid: 7,
            listen: listen.map(|address| address.parse().unwrap()),
            http: None,
            socket: Some("/run/slowfs/mnt".into()),
        };
        let told = |listen| address(&line(&ready(listen), true));
        assert_eq!(told(Some("127.0.0.1:9")).as_deref(), Some("127.0.0.1:9"));
        assert_eq!(told(None).as_deref(), Some("/run/slowfs/mnt"));
        assert_eq!(address(&line(&ready(None), false)), None);
        let odd = Ready { mountpoint: OsStr::from_bytes(b"/\xff").into(), ..ready(None) };
        let told: Value = serde_json::from_str(&line(&odd, true)).unwrap();
        assert_eq!(told["mountpoint_base64"], "L/8=");
        assert!(line(&odd, false).starts_with(r"$'/\xff' mirrors /raw"));
    }
}
