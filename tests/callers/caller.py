"""A caller as the tests need it: caller.py WHAT FILE [HOW]

aio-read, aio-write  a thread submits one direct request and ends; HOW is `early` (it ends at once) or
                     `late` (when the first line comes in), then `reap` (tells the result), `exec`
                     (executes a program, which waits for the request) or `stay`
open                 opens FILE; then HOW
core                 opens FILE and has 2 MiB of memory, which alone are in its core; at a line a thread
                     closes FILE, and at another it dumps core where FILE is
map                  maps FILE, shared; at a line it dirties a page; then HOW
exec, leave          a thread syncs FILE, and at a line another executes a program, or ends the process
close                opens FILE; at a line it executes a program, which closes it
ahead                has FILE read ahead, and at a line truncates it
direct               opens FILE, has it go past the page cache by fcntl(2), and at a line writes to it
shut                 opens FILE; at a line it closes it; a SIGUSR1 does nothing
sync                 HOW threads, or if negative processes, sync FILE0, FILE1, ...; tells the processes

HOW is exit, abort, msync or stay. It says `ready` when a line is due, and what comes of it. With
GROUPS set it acts as user and group 1234 with these supplementary groups.
"""
import ctypes, fcntl, mmap, os, platform, resource, signal, struct, sys, threading, time

libc = ctypes.CDLL(None, use_errno=True)
SETUP, SUBMIT, GETEVENTS = {"x86_64": (206, 209, 208)}.get(platform.machine(), (0, 2, 4))


def call(number, *args):
    result = libc.syscall(ctypes.c_long(number), *args)
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def say(*words):
    print(*words, flush=True)


def wait_for_a_line():
    say("ready")
    sys.stdin.readline()


def end(how):
    if how == "exit":
        os._exit(0)
    if how == "abort":
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.abort()
    time.sleep(600)


def aio(writes, path, when, how):
    fd = os.open(path, (os.O_WRONLY if writes else os.O_RDONLY) | os.O_DIRECT)
    context = ctypes.c_ulong(0)
    call(SETUP, 8, ctypes.byref(context))
    buffer = mmap.mmap(-1, 4096)
    buffer.write(b"x" * 4096)
    address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))
    request = ctypes.create_string_buffer(
        struct.pack("<QIIHhIQQqQII", 1, 0, 0, writes, 0, fd, address, 4096, 0, 0, 0, 0))
    requests = (ctypes.c_void_p * 1)(ctypes.addressof(request))
    tids = []

    def submit():
        tids.append(threading.get_native_id())
        call(SUBMIT, context, ctypes.c_long(1), requests)
        if when == "late":
            wait_for_a_line()

    thread = threading.Thread(target=submit)
    thread.start()
    thread.join()
    while os.path.exists(f"/proc/self/task/{tids[0]}"):
        time.sleep(0.001)
    say("submitted")
    if how == "exec":
        os.execv("/bin/true", ["true"])
    if how != "reap":
        end(how)
    event = ctypes.create_string_buffer(32)
    call(GETEVENTS, context, ctypes.c_long(1), ctypes.c_long(1), event, None)
    say(struct.unpack("<QQqq", event.raw)[2])


def map_it(path, how):
    fd = os.open(path, os.O_RDWR)
    mapping = mmap.mmap(fd, 65536)
    wait_for_a_line()
    mapping[5000:5005] = b"dirty"
    say("dirty")
    if how == "msync":
        mapping.flush()
    end(how)


def dump(path):
    fd = os.open(path, os.O_RDWR)
    os.chdir(os.path.dirname(path))
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    # A core is written page by page: without the pages of the interpreter.
    with open("/proc/self/coredump_filter", "w") as shared_alone:
        shared_alone.write("2")
    memory = mmap.mmap(-1, 2 << 20)
    memory.write(b"x" * len(memory))
    wait_for_a_line()
    threading.Thread(target=os.close, args=(fd,)).start()
    wait_for_a_line()
    os.abort()


def end_another(path, end):
    fd = os.open(path, os.O_WRONLY)
    threading.Thread(target=os.fsync, args=(fd,)).start()
    wait_for_a_line()
    end()


def close(path):
    os.open(path, os.O_RDWR)
    wait_for_a_line()
    os.execv("/bin/true", ["true"])


def ahead(path):
    fd = os.open(path, os.O_RDWR)
    os.posix_fadvise(fd, 0, 65536, os.POSIX_FADV_WILLNEED)
    wait_for_a_line()
    os.ftruncate(fd, 0)


def direct(path):
    fd = os.open(path, os.O_RDWR)
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_DIRECT)
    page = mmap.mmap(-1, 4096)
    wait_for_a_line()
    os.pwritev(fd, [page], 0)


def shut(path):
    fd = os.open(path, os.O_RDWR)
    signal.signal(signal.SIGUSR1, lambda *_: None)
    wait_for_a_line()
    os.close(fd)


def crowd(path, many):
    threading.stack_size(65536)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children = []
    for n in range(abs(many)):
        fd = os.open(f"{path}{n}", os.O_CREAT | os.O_WRONLY)
        if many > 0:
            threading.Thread(target=os.fsync, args=(fd,)).start()
        else:
            children.append(os.fork())
            if children[-1] == 0:
                os.fsync(fd)
                os._exit(0)
    say("ready")
    say(*children)
    time.sleep(600)


what, path, *how = sys.argv[1:]
if "GROUPS" in os.environ:
    os.setgroups([int(group) for group in os.environ["GROUPS"].split()])
    os.setgid(1234)
    os.setuid(1234)
if what in ("aio-read", "aio-write"):
    aio(what == "aio-write", path, *how)
elif what == "open":
    os.open(path, os.O_RDWR)
    wait_for_a_line()
    end(*how)
elif what == "core":
    dump(path)
elif what == "map":
    map_it(path, *how)
elif what == "exec":
    end_another(path, lambda: os.execv("/bin/true", ["true"]))
elif what == "leave":
    end_another(path, lambda: os._exit(0))
elif what == "close":
    close(path)
elif what == "ahead":
    ahead(path)
elif what == "direct":
    direct(path)
elif what == "shut":
    shut(path)
elif what == "sync":
    crowd(path, int(how[0]))
