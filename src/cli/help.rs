//! The text and the examples at the end of each command's help; a test parses every example. A paragraph
//! is one line here: the terminal's width folds it.

pub(super) const SLOWFS: &str = "\
`slowfs help COMMAND` shows a command's options and examples.

Examples:
  slowfs demo
  slowfs mount /mnt/slowfs --subdir /data/raw
  slowfs delay 300ms -m fsync,fdatasync -r '(^|.*/)member/wal/.*'
  slowfs list /mnt/slowfs
  slowfs clear /mnt/slowfs
  slowfs umount /mnt/slowfs

Exit codes: 0 done, 1 refused or failed, 2 usage.";

pub(super) const MOUNT: &str = "\
Each mount has a control socket beside its port, which only its user may use; `slowfs ps` shows both. \
$SLOWFS_ADDR is for the commands that ask a mount: this one does not read it.

Examples:
  slowfs mount /mnt/slowfs --subdir /data/raw         # in the foreground
  slowfs mount /data/raw                              # over the directory itself
  slowfs mount /mnt/slowfs --subdir /data/raw --daemon --log-file /var/log/slowfs.log
  slowfs mount /mnt/slowfs --subdir /data/raw --listen 127.0.0.1:0 --addr-file /tmp/addr
  slowfs mount /mnt/slowfs --subdir /data/raw --listen none     # no port, its control socket only
  slowfs mount /mnt/slowfs --subdir /data/raw --listen 0.0.0.0:9090 --allow 10.0.0.0/8
  slowfs mount /mnt/slowfs --subdir /data/raw --fault \"delay 10ms -m fsync -r '.*/wal/.*'\"
  slowfs mount /mnt/slowfs --subdir /data/raw -o dev,suid";

pub(super) const UMOUNT: &str = "\
A busy mount is refused, and who uses it is named: clear its faults and end these programs first. \
--force ends the daemon, which releases what is held and detaches, busy or not; so does SIGTERM.

Examples:
  slowfs umount /mnt/slowfs
  slowfs umount --force /mnt/slowfs";

pub(super) const CLEAR: &str = "\
What a cleared fault holds is released at once: it runs and succeeds. If one of what is named is not \
there nothing is cleared.

Examples:
  slowfs clear
  slowfs clear fsync fdatasync
  slowfs clear -m fsync,fdatasync                     # the same
  slowfs clear /mnt/slowfs fsync                      # of that mount
  slowfs clear slow-wal                               # the fault of that name
  slowfs clear 3                                      # or by its number in `slowfs list`
  slowfs clear --addr 10.0.0.1:9090 --addr 10.0.0.2:9090";

pub(super) const REMOVE: &str = "\
Examples:
  slowfs remove fsync,fdatasync
  slowfs remove slow-wal                              # the fault of that name
  slowfs remove 3                                     # or by its number in `slowfs list`";

pub(super) const RESET: &str = "\
Examples:
  slowfs reset
  slowfs reset /mnt/slowfs                            # of that mount";

pub(super) const STATUS: &str = "\
The headline of `slowfs stats` above what `slowfs list` shows.

Examples:
  slowfs status
  slowfs status /mnt/slowfs                           # of that mount";

pub(super) const LIST: &str = "\
MATCHED counts the operations that methods, path and filters fitted and that no fault before it took, \
FIRED those that the fault hit, HELD those that it holds now. MATCHED stays 0 where methods, path or \
filters do not fit, or where an earlier fault fires first: a warning says so where that is always. A \
fault that was cleared or replaced, whose time is over, or that has fired as often as --count says, \
has gone.

Examples:
  slowfs list
  slowfs list /mnt/slowfs                             # of that mount
  slowfs list slow-wal
  slowfs list --ended
  slowfs list --commands                              # a script that sets these again
  slowfs list --json";

pub(super) const WAIT: &str = "\
A fault that has gone counts, too: of several of one name the newest. Where it cannot come to that any \
more the command does not wait.

Examples:
  slowfs wait slow-wal --fired 3
  slowfs wait 7 --held 1 --timeout 1m";

pub(super) const KINDS: &str = "\
Examples:
  slowfs kinds
  slowfs kinds delay
  slowfs kinds device nvme";

pub(super) const METHODS: &str = "\
Examples:
  slowfs methods
  slowfs methods --addr 127.0.0.1:9091 --json";

pub(super) const RUN: &str = "\
A line is a time and a command as it is typed after `slowfs`: a kind of fault, clear, recipe, rot or heal; `60s end` \
says when all that it has set is cleared. `once NAME fired N: ..` does it at that firing, `seed N` makes the \
dice repeatable, @MOUNT before a line is for that mount, # begins a comment. The file is read whole before \
anything starts. It ends with this command, or by `slowfs clear`. docs/scenarios.md says more.

Examples:
  slowfs run degrading-disk.scenario
  slowfs run /mnt/slowfs degrading-disk.scenario
  slowfs run degrading-disk.scenario --report report.html
  slowfs run --detach degrading-disk.scenario";

pub(super) const STATS: &str = "\
Each request counts once, fsync and fdatasync apart. INJECTED errors are those that faults gave; USUAL ones \
are answers that nothing is wrong for, as that a name is not there, an attribute not set or a caller killed; \
ERRORS are all others. Latency is from a request's arrival to its answer, delays included, of requests \
that came while a fault was set, or of all with `slowfs mount --stats`.

Examples:
  slowfs stats
  slowfs stats --json";

pub(super) const WATCH: &str = "\
In a terminal it redraws until q or ctrl-C is pressed; elsewhere it prints one line per interval and address. Rates \
and latency are those of the last interval, the faults' numbers those since they were set.

Examples:
  slowfs watch
  slowfs watch --interval 200ms --addr 127.0.0.1:9090 --addr 127.0.0.1:9091
  slowfs watch --json --count 10";

pub(super) const TRACE: &str = "\
The first line tells seed, versions, and one moment on both clocks; each other one a request, once it is \
answered, with what fired on it. One trace at a time; what comes faster than it is read is dropped \
and counted.

Examples:
  slowfs trace --fired
  slowfs trace -m fsync,write -r '.*/wal/.*' --for 30s --to wal.jsonl";

pub(super) const RECORD: &str = "\
What is recorded is how long the backing itself takes, without what faults add, in quantiles for each method and \
size. Of a mount its own traffic counts, of a directory elsewhere a probe with files of its own in it, which are removed. \
`slowfs delay file:FILE` and `slowfs device FILE` draw from FILE, which is for people to read and change, too.

Examples:
  slowfs record /mnt/slowfs --for 60s --to disk.toml          # what the mount's traffic takes
  slowfs record /var/lib --for 10s --to disk.toml             # what a probe of that disk takes
  slowfs record -m write,fsync -r '.*/wal/.*' --to wal.toml   # until ctrl-C
  slowfs record /mnt/slowfs --for 1m --to disk.toml --force --json";

pub(super) const MATCH: &str = "\
The mount tells, as its requests find it. The path of a file that is looked for is the backing's, which patterns are held \
against. A path need not exist; of a file with several names requests meet what any of them does. Links below a \
mount are not followed.

Examples:
  slowfs match -r '.*/wal/.*'                         # which files that is now
  slowfs match /mnt/slowfs/member --glob '*.wal'      # which of those below that
  slowfs match /mnt/slowfs/member/wal/0.wal           # which faults that file meets
  slowfs match /data/raw/member/wal/0.wal --json      # the same by the path behind the mount";

pub(super) const INJECTIONS: &str = "\
All bytes that faults have changed, on the disk or in an answer, since the mount began; clearing faults leaves them. What a \
program writes there ends one. 100,000 are kept, and 64 MiB of bytes; of what is beyond the digests are, and it cannot be \
healed.

Examples:
  slowfs injections
  slowfs injections --json                            # with the SHA-256 of what should be there
  slowfs injections /mnt/slowfs                       # of that mount";

pub(super) const HEAL: &str = "\
Bytes that a program has written since are left alone, byte by byte. A heal is a write: the file is modified, and read(2) sees it \
at once; what is mapped shows it once its pages are dropped. A file that was renamed is found. Ends with 1 if something \
cannot be healed.

Examples:
  slowfs heal --all
  slowfs heal 3 7                                     # by their numbers in `slowfs injections`
  slowfs heal /mnt/slowfs --all                       # of that mount";

pub(super) const ROT: &str = "\
The spots are drawn among all units of all files that match, so that a large file gets more of them. The same seed and the same \
files: the same bits. What is spoilt is an injection, and `slowfs heal` undoes it.

Examples:
  slowfs rot -r '.*/data/.*'                          # one bit
  slowfs rot zero --spots 3 --unit 4KiB -r '.*\\.sst' --seed 7
  slowfs rot random --hidden --glob '**/*.db'         # as disks do it: nobody is told";

pub(super) const UNSYNCED: &str = "\
What has not been synced, as far as requests tell: sync(2), syncfs(2) and sync_file_range(2) tell nobody. Of a file \
each range as OFFSET+LENGTH, and how many other sizes it may have. `slowfs mount --track-unsynced` has a mount \
remember it.

Examples:
  slowfs unsynced
  slowfs unsynced /mnt/slowfs --json";

pub(super) const CHECKPOINT: &str = "\
As if everything had been written back: what a later power cut takes back came after this.

Examples:
  slowfs checkpoint /mnt/slowfs";

pub(super) const POWER_CUT: &str = "\
With --to a directory is made below that of `slowfs mount --images`, beside a file NAME.json that says what was kept \
and dropped. Start the database on it: what it was promised must be there. Requests that change something wait meanwhile.

With --now the directory behind the mount itself becomes what such an image would be. What is under way or held fails \
with EIO, and so does whatever asks by files that were open; names are looked up anew. Each of several mounts \
has its requests wait first, then all are cut; where one cannot be, none is.

Examples:
  slowfs power-cut --to cut1                          # what is durable, and nothing else
  slowfs power-cut --to cut2 --keep random --seed 7
  slowfs power-cut /mnt/slowfs --to cut3 --keep prefix:12 --unit 4096
  slowfs power-cut --now --keep random                # in place
  slowfs power-cut --now --kill                       # processes die, too
  slowfs power-cut --now --addr :9090,:9091,:9092     # three mounts at one moment";

pub(super) const POWER_ON: &str = "\
What is there then is what the cut has left. `slowfs clear` does the same, and clears all faults.

Examples:
  slowfs power-on
  slowfs power-on /mnt/slowfs";

pub(super) const CRASH_TEST: &str = "\
The program runs once, on a mirror that is empty or a copy of --tree. What it prints is what it has promised: the \
check reads on its standard input as much of it as was printed when the power went. So print after each commit, and \
flush. Then for each moment of --at, and the end, and for each of --keep an image is built and checked; the table has \
those on which the check failed. Images, the mirror and what is temporary are in $TMPDIR, else in memory, and are removed.

Exit codes: 0 the check held on every image, 1 it failed on one, or something could not be done, 2 usage.

Examples:
  slowfs crash-test --check './check {}' -- ./program {}
  slowfs crash-test --check './check {}' --only 7 --seed 1 -- ./program {}
  slowfs crash-test --tree /data --keep none,random,random --check './check {}' -- ./db {}
  slowfs crash-test --check './check {}' --keep-images /tmp/lost -- sh -c 'cd {} && make'";

pub(super) const PING: &str = "\
Examples:
  slowfs ping
  slowfs ping --addr db1:9090 --json";

pub(super) const PS: &str = "\
It finds the mounts by their control sockets and in the mount table. Those of other users it may not ask.

Examples:
  slowfs ps
  slowfs ps --json";

pub(super) const DOCTOR: &str = "\
For each check: what is, what that means, and below the table what to do. It changes nothing, and looks at \
what the calling user may see: as root at more.

Exit codes: 0 nothing needs doing, 1 something does.

Examples:
  slowfs doctor
  slowfs doctor /mnt/slowfs                           # beside the machine that mount only
  slowfs doctor --json";

pub(super) const DEMO: &str = "\
Examples:
  slowfs demo";

pub(super) const SELFTEST: &str = "\
Takes half a minute and needs nothing but the program. Each row says what was asked, what was got (the \
median, and between what it lies with 95% confidence), what it is held to, and the verdict: ok, failed, or \
noisy where this machine is too busy to judge.

Exit codes: 0 nothing failed, 1 something failed or could not be measured.

Examples:
  slowfs selftest
  slowfs selftest --quick
  slowfs selftest --json --svg accuracy.svg";
