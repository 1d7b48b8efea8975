//! A trace beside what strace says that a program's threads did.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use slowfs::rpc::TraceEvent;

use super::common::trace::drain;
use super::common::{Mount, delaying, failing};
use super::tracing;

/// Threads that use files of their own, some of whose calls fail.
const PROGRAM: &str = r#"
import os, sys, threading

def tried(call, *args):
    try:
        return call(*args)
    except OSError:
        return None

def live(root, n):
    path = f"{root}/t{n}"
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    tried(os.write, file, b"x" * 100)
    tried(os.write, file, b"x" * 60)
    tried(os.pwrite, file, b"x" * (3 << 20), 0)
    for _ in range(5):
        tried(os.pwrite, file, b"x" * 4096, 8192)
        tried(os.fsync, file)
        tried(os.fdatasync, file)
    tried(os.ftruncate, file, 5000)
    tried(os.posix_fallocate, file, 0, 9000)
    os.lseek(file, 0, os.SEEK_DATA)
    copy = os.open(path + "c", os.O_RDWR | os.O_CREAT | os.O_EXCL)
    tried(os.copy_file_range, file, copy, 50, 10, 4096)
    os.close(copy)
    os.close(file)
    os.chmod(path, 0o600)
    os.utime(path, (1, 2))
    tried(os.truncate, path, 3000)
    file = os.open(path, os.O_RDONLY | os.O_DIRECT)
    tried(os.pread, file, 1000, 0)
    tried(os.pread, file, 1000, 2500)
    os.close(file)
    for round in range(5):
        dir = f"{path}d{round}"
        if tried(lambda: os.mkdir(dir) or True):
            inside = f"{dir}/in"
            os.symlink("nowhere", inside)
            tried(os.rmdir, dir)
            os.unlink(inside)
            os.rmdir(dir)
    os.link(path, path + "l")
    os.rename(path + "l", path + "m")
    os.unlink(path + "m")
    top = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    tried(os.fsync, top)
    os.close(top)

threads = [threading.Thread(target=live, args=(sys.argv[1], n)) for n in range(4)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"#;

/// Its calls, by whatever name the machine has them.
const CALLS: &str = "trace=openat,close,write,pwrite64,pread64,copy_file_range,fsync,fdatasync,fallocate,\
    lseek,ftruncate,truncate,utimensat,?chmod,fchmodat,?link,linkat,?rename,renameat,?renameat2,?unlink,\
    unlinkat,?symlink,symlinkat,?mkdir,mkdirat,?rmdir";

/// The methods that these calls are requests of. Others, as lookups, the kernel asks as it likes.
const TOLD: [&str; 19] = [
    "chmod",
    "copy_file_range",
    "create",
    "fallocate",
    "fdatasync",
    "flush",
    "fsync",
    "fsyncdir",
    "ftruncate",
    "link",
    "lseek",
    "mkdir",
    "open",
    "read",
    "rename",
    "rmdir",
    "symlink",
    "unlink",
    "write",
];

/// And those of attributes by path.
const MORE: [&str; 2] = ["truncate", "utimens"];

/// One thing that was done: how it is called, on what, which bytes, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Deed {
    method: String,
    paths: Vec<String>,
    /// From there, so many were asked for.
    bytes: Option<(i64, i64)>,
    moved: i64,
    error: Option<String>,
}

/// What each thread did on the mount, by the files of `strace -ff`.
fn straced(dir: &Path, mnt: &str) -> BTreeMap<i64, Vec<Deed>> {
    let files = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let of_thread = |path: std::path::PathBuf| {
        let tid = path.extension()?.to_str()?.parse().ok()?;
        let (text, mut ends) = (fs::read_to_string(&path).unwrap(), BTreeMap::new());
        let lines = text.lines().filter(|line| line.contains(mnt));
        let deeds: Vec<_> = lines.flat_map(|line| deeds(line, mnt, &mut ends)).collect();
        (!deeds.is_empty()).then_some((tid, deeds))
    };
    files.filter_map(of_thread).collect()
}

/// The requests of one call of strace's, as in `pwrite64(3</mnt/a>, ""..., 4096, 8192) = 4096`. `ends`
/// has where each file's next write(2) goes.
fn deeds(line: &str, mnt: &str, ends: &mut BTreeMap<String, i64>) -> Vec<Deed> {
    let (call, result) = line.rsplit_once(" = ").unwrap();
    let (name, args) = call.trim_end().trim_end_matches(')').split_once('(').unwrap();
    let args: Vec<&str> = args.split(", ").collect();
    let number = |place: usize| args[place].trim_matches(['[', ']']).parse::<i64>().unwrap();
    // Of open files, then of names.
    let below = |path: &str| path.strip_prefix(mnt).map(|path| path.trim_matches('/').to_owned());
    let open = args.iter().filter_map(|arg| below(arg.split_once('<')?.1.trim_end_matches('>')));
    let named = args.iter().filter_map(|arg| below(arg.trim_matches('"')));
    let paths: Vec<String> = open.chain(named).collect();
    let failed = result.starts_with("-1 ");
    let error = failed.then(|| result.split(' ').nth(1).unwrap().to_owned());
    let moved = if failed { 0 } else { result.split('<').next().unwrap().parse().unwrap() };
    let is_root = paths.iter().eq([""]);
    let (method, bytes) = match name {
        "openat" if call.contains("O_DIRECTORY") => return Vec::new(),
        "openat" if call.contains("O_CREAT") => ("create", None),
        "openat" => ("open", None),
        "close" if is_root => return Vec::new(),
        "close" => ("flush", None),
        "fsync" if is_root => ("fsyncdir", None),
        "write" => {
            let end = ends.entry(paths[0].clone()).or_default();
            let from = *end;
            *end += moved;
            ("write", Some((from, number(2))))
        }
        "pwrite64" => ("write", Some((number(3), number(2)))),
        "pread64" => ("read", Some((number(3), number(2)))),
        "copy_file_range" => ("copy_file_range", Some((number(3), number(4)))),
        "fallocate" => ("fallocate", Some((number(2), number(3)))),
        "utimensat" => ("utimens", None),
        "unlinkat" if call.contains("AT_REMOVEDIR") => ("rmdir", None),
        other => (other.trim_end_matches('2').trim_end_matches("at"), None),
    };
    let moves = matches!(method, "write" | "read" | "copy_file_range");
    let deed = |bytes, moved| {
        let (method, paths, error) = (method.to_owned(), paths.clone(), error.clone());
        Deed { method, paths, bytes, moved, error }
    };
    match bytes {
        // A write is a request for each MiB, as far as it comes.
        Some((from, len)) if method == "write" && !failed => {
            let piece = |at: i64| {
                deed(Some((from + at, (len - at).min(1 << 20))), (moved - at).min(1 << 20))
            };
            (0..moved).step_by(1 << 20).map(piece).collect()
        }
        Some((from, len)) if method == "write" => vec![deed(Some((from, len.min(1 << 20))), 0)],
        bytes => vec![deed(bytes, if moves { moved } else { 0 })],
    }
}

/// The same of the trace.
fn traced(events: &[TraceEvent], raw: &str) -> BTreeMap<i64, Vec<Deed>> {
    let mut threads: BTreeMap<i64, Vec<Deed>> = BTreeMap::new();
    let told = |event: &&TraceEvent| TOLD.iter().chain(&MORE).any(|of| *of == event.method);
    for event in events.iter().filter(told) {
        let text = |path: &slowfs::rpc::WirePath| path.0.display().to_string();
        let paths = [&event.path, &event.other].into_iter().flatten().map(text);
        let below = |path: String| path.strip_prefix(raw).unwrap().trim_matches('/').to_owned();
        threads.entry(event.tid).or_default().push(Deed {
            method: event.method.clone(),
            paths: paths.map(below).collect(),
            bytes: event.offset.zip(event.len),
            moved: event.bytes,
            error: (event.errno != 0).then(|| event.result.clone()),
        });
    }
    threads
}

/// As many as were done, by their threads, in their order, with their bytes, and as they ended.
#[test]
fn a_trace_tells_what_strace_tells() {
    let mount = Mount::with(&["--seed", "3"]);
    let (mnt, raw) = (mount.mnt().display().to_string(), mount.raw().display().to_string());
    let half = |fault: slowfs::fault::FaultWords| fault.with("probability", "50%");
    mount.add(&half(failing(&["fsync"], "EIO")));
    mount.add(&half(failing(&["mkdir"], "ENOSPC")));
    mount.add(&half(delaying(&["write"], Duration::from_millis(2))));
    let files = mount.scratch().join("strace");
    fs::create_dir(&files).unwrap();
    let mut client = tracing(&mount);
    let ran = Command::new("strace")
        .args(["-ff", "-y", "-s", "0", "-e", CALLS, "-o"])
        .arg(files.join("of"))
        .args(["/usr/bin/python3", "-c", PROGRAM, &mnt])
        .output()
        .unwrap_or_else(|error| panic!("strace: {error}: apt-get install strace"));
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let (events, dropped) = drain(&mut client);
    let (straced, traced) = (straced(&files, &mnt), traced(&events, &raw));
    assert_eq!((straced.len(), dropped), (4, 0));
    for (tid, done) in straced {
        let told = traced.get(&tid).unwrap_or_else(|| panic!("nothing of thread {tid}"));
        for (n, (done, told)) in done.iter().zip(told).enumerate() {
            assert_eq!(told, done, "the {n}th of thread {tid}");
        }
        assert_eq!(told.len(), done.len(), "of thread {tid}");
        assert!(done.len() > 40, "thread {tid} did {done:?}");
    }
    let failed = |error: &str| events.iter().filter(|event| event.result == error).count();
    for error in ["EIO", "ENOSPC", "ENOTEMPTY"] {
        assert!(failed(error) > 3, "{} of {error}", failed(error));
    }
}
