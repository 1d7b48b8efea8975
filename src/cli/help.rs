//! The examples at the end of each command's help; a test parses every one.

pub(super) const SLOWFS: &str = "\
`slowfs help COMMAND` shows a command's options and examples.

Examples:
  slowfs demo
  slowfs mount /mnt/slowfs --subdir /data/raw
  slowfs delay 300ms -m fsync,fdatasync -r '(^|.*/)member/wal/.*'
  slowfs clear
  slowfs umount /mnt/slowfs

Exit codes: 0 done, 1 refused or failed, 2 usage.";

pub(super) const MOUNT: &str = "\
Examples:
  slowfs mount /mnt/slowfs --subdir /data/raw         # in the foreground
  slowfs mount /data/raw                              # over the directory itself
  slowfs mount /mnt/slowfs --subdir /data/raw --daemon --log-file /var/log/slowfs.log
  slowfs mount /mnt/slowfs --subdir /data/raw --listen 127.0.0.1:0
  slowfs mount /mnt/slowfs --subdir /data/raw --fault \"delay 10ms -m fsync -r '.*/wal/.*'\"
  slowfs mount /mnt/slowfs --subdir /data/raw -o dev,suid";

pub(super) const UMOUNT: &str = "\
Examples:
  slowfs umount /mnt/slowfs

A busy mount is refused: clear its faults and end its programs first, or end the daemon with
SIGTERM, which releases what is held and detaches.";

pub(super) const DELAY: &str = "\
The delay comes before the operation, which then goes on. Each operation is delayed on its own.

Examples:
  slowfs delay 300ms -m fsync,fdatasync -r '(^|.*/)member/wal/.*'
  slowfs delay 1us -m all
  slowfs delay 2s -m write -p 1% --for 10m            # one write in a hundred, for ten minutes
  slowfs delay 50ms -m read --add                     # beside the other faults of read";

pub(super) const HANG: &str = "\
Held operations run and succeed when the fault is cleared or replaced.

Examples:
  slowfs hang -m fsync
  slowfs hang -m write -r '.*/data/.*' --count 1      # one write, until `slowfs clear`
  slowfs hang -m open --for 30s                       # until cleared, or 30 seconds later";

pub(super) const ERROR: &str = "\
`random` draws from E2BIG (7) to EXFULL (54) without ENOSYS, which is refused: the kernel would
never ask again.

Examples:
  slowfs error ENOSPC -m write,create,fallocate
  slowfs error EIO,ENOSPC -m write -p 0.1%            # one of the two, on one write in a thousand
  slowfs error random -m all -r '.*\\.db' --for 10s
  slowfs error EIO -m fsync --after 100 --count 1     # the 101st fsync, once";

pub(super) const KILL: &str = "\
SIGKILL goes to the process that made the operation, which then goes on. Pid 1 and the daemon are
spared.

Examples:
  slowfs kill -m fsync --count 1
  slowfs kill -m write -r '.*/wal/.*' --after 1000 --count 1";

pub(super) const CLEAR: &str = "\
What a cleared fault holds is released at once: it runs and succeeds.

Examples:
  slowfs clear
  slowfs clear fsync fdatasync
  slowfs clear --id 3
  slowfs clear --addr 10.0.0.1:9090 --addr 10.0.0.2:9090";

pub(super) const LIST: &str = "\
MATCHED counts the operations that the methods and the path fitted, FIRED those that the fault hit,
HELD those that it holds now. MATCHED stays 0 where the path or the methods do not fit. A fault that
was cleared or replaced, whose time is over, or that has fired as often as --count says, has gone.

Examples:
  slowfs list
  slowfs list --ended
  slowfs list --json";

pub(super) const METHODS: &str = "\
Examples:
  slowfs methods
  slowfs methods --addr 127.0.0.1:9091 --json";

pub(super) const STATS: &str = "\
A request counts for each method it consults, so that fsync includes fdatasync. ERRORS are injected
ones and real ones. Latency is from a request's arrival to its answer, delays included, of requests
that came while a fault was set, or of all with `slowfs mount --stats`.

Examples:
  slowfs stats
  slowfs stats --json";

pub(super) const WATCH: &str = "\
In a terminal it redraws until ctrl-C; elsewhere it prints one line per interval and address. Rates
and latency are those of the last interval, the faults' numbers those since they were set.

Examples:
  slowfs watch
  slowfs watch --interval 200ms --addr 127.0.0.1:9090 --addr 127.0.0.1:9091
  slowfs watch --json --count 10";

pub(super) const PING: &str = "\
Examples:
  slowfs ping
  slowfs ping --addr db1:9090 --json";

pub(super) const DEMO: &str = "\
Examples:
  slowfs demo";
