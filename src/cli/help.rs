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
Each mount has a control socket beside its port. Only the mount's user and root may use it. `slowfs ps` shows \
both. This command does not read $SLOWFS_ADDR.

Examples:
  slowfs mount /data /mnt/slowfs                # in the foreground
  slowfs mount /data                            # over the directory itself
  slowfs mount /data /mnt/slowfs --listen none  # no port, only a control socket
  slowfs mount /mnt/slowfs --subdir /data --daemon --log-file slowfs.log
  slowfs mount /data /mnt/slowfs --listen 127.0.0.1:0 --addr-file /tmp/addr
  slowfs mount /data /mnt/slowfs --listen 0.0.0.0:9090 --allow 10.0.0.0/8
  slowfs mount /data /mnt/slowfs --fault \"delay 10ms -m fsync -r '.*/wal/.*'\"
  slowfs mount /data /mnt/slowfs -o dev,suid
  slowfs mount /data /mnt/slowfs --track-unsynced --images /images    # for power cuts
  slowfs mount /data /mnt/slowfs --http 127.0.0.1:9464 --http-token token";

pub(super) const UMOUNT: &str = "\
A busy mount is refused, and the error names the programs that use it: clear its faults and end these programs \
first. With --force, as with SIGTERM, the daemon releases what faults hold, detaches the mount, busy or not, and ends.

Examples:
  slowfs umount /mnt/slowfs
  slowfs umount --force /mnt/slowfs";

pub(super) const CLEAR: &str = "\
Operations that a cleared fault holds are released at once: they run and succeed. If one of the given names or ids \
does not exist, nothing is cleared. A method is taken from faults; conditions and latches go by name or id.

Examples:
  slowfs clear
  slowfs clear fsync fdatasync
  slowfs clear -m fsync,fdatasync  # the same
  slowfs clear /mnt/slowfs fsync   # on this mount
  slowfs clear slow-wal            # the fault of this name
  slowfs clear 3                   # or by its number in `slowfs list`
  slowfs clear --addr 10.0.0.1:9090 --addr 10.0.0.2:9090";

pub(super) const REMOVE: &str = "\
Examples:
  slowfs remove fsync,fdatasync
  slowfs remove slow-wal  # the fault of this name
  slowfs remove 3         # or by its number in `slowfs list`";

pub(super) const RESET: &str = "\
Examples:
  slowfs reset
  slowfs reset /mnt/slowfs  # on this mount";

pub(super) const STATUS: &str = "\
It prints the first line of `slowfs stats`, and below it what `slowfs list` prints.

Examples:
  slowfs status
  slowfs status /mnt/slowfs  # on this mount";

pub(super) const APPLY: &str = "\
Each line of the file is one fault, as typed after `slowfs`; `slowfs list --commands` prints such lines. # begins a \
comment. Each fault is set beside the others, as with --add. One that is in force already in the same words continues, \
with its counts. One of the same name but other words is replaced. What is not in the file stays, unless --prune. If a \
line is wrong, nothing is set. --addr in a line is ignored.

Examples:
  slowfs apply -f faults.txt
  slowfs apply -f faults.txt /mnt/a /mnt/b            # of these mounts
  slowfs apply -f faults.txt --prune                  # and no other fault";

pub(super) const LIST: &str = "\
MATCHED counts operations that methods, path and filters fit, and that no earlier fault decided. FIRED counts those \
that it fired on, HELD those that it holds now. MATCHED stays 0 if methods, path or filters do not fit, or if an \
earlier fault fires first; a warning says if that is always so. A fault is gone when it was cleared or replaced, when its \
time is over, or when it has fired as often as --count says.

Examples:
  slowfs list
  slowfs list /mnt/slowfs  # on this mount
  slowfs list slow-wal
  slowfs list --ended
  slowfs list --commands   # a script that sets these again
  slowfs list --json";

pub(super) const WAIT: &str = "\
A fault that is gone counts too; of several with one name, the newest. If the number can no longer be reached, the \
command ends at once.

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
A line has a time, and a command as typed after `slowfs`: a kind of fault, clear, recipe, rot or heal. `60s end` is \
the end, when everything it has set is cleared. `once NAME fired N: ..` does the command at that firing. `seed N` makes the \
dice repeatable. A line with @MOUNT before it is for that mount. # begins a comment. The file is read whole before \
anything starts. The scenario ends with this command, or by `slowfs clear`. docs/scenarios.md says more.

Examples:
  slowfs run degrading-disk.scenario
  slowfs run /mnt/slowfs degrading-disk.scenario
  slowfs run degrading-disk.scenario --report report.html
  slowfs run --detach degrading-disk.scenario";

pub(super) const STATS: &str = "\
Each request counts once, fsync and fdatasync apart. INJECTED counts errors that faults gave. USUAL counts ordinary \
answers, such as that a name does not exist, an attribute is not set, or a caller was killed. ERRORS counts all others. Latency \
is from a request's arrival to its answer, delays included. It is measured for requests that come while a fault is set, or for all with \
`slowfs mount --stats`.

Examples:
  slowfs stats
  slowfs stats --json";

pub(super) const WATCH: &str = "\
In a terminal it redraws until you press q or ctrl-C. Elsewhere it prints one line per interval and address. Rates \
and latency are those of the last interval. The counts of faults are since they were set.

Examples:
  slowfs watch
  slowfs watch --interval 200ms --addr 127.0.0.1:9090 --addr 127.0.0.1:9091
  slowfs watch --json --count 10";

pub(super) const TRACE: &str = "\
The first line has the seed, the versions, and one moment on two clocks. Each other line is a request, printed when it is \
answered, with what fired on it. A mount has one trace at a time. Requests that come faster than they are read are dropped and \
counted.

Examples:
  slowfs trace --fired
  slowfs trace -m fsync,write -r '.*/wal/.*' --for 30s --to wal.jsonl";

pub(super) const RECORD: &str = "\
It records how long the backing itself takes, without the delays of faults, as quantiles for each method and \
size. For a mount it records the mount's traffic. For a directory elsewhere it runs a probe with files of its own there, and removes them. \
`slowfs delay file:FILE` and `slowfs device FILE` replay FILE. You can read and change the file.

Examples:
  slowfs record /mnt/slowfs --for 60s --to disk.toml  # the mount's traffic
  slowfs record /var/lib --for 10s --to disk.toml     # a probe of that disk
  slowfs record -m write,fsync -r '.*/wal/.*' --to wal.toml
  slowfs record /mnt/slowfs --for 1m --to disk.toml --force --json";

pub(super) const MATCH: &str = "\
The mount answers, by the same way by which it finds the faults of a request. Patterns are compared with backing paths, so \
the answer has these. A path need not exist. A file with several names meets the faults of all its names. Links below a mount are \
not followed.

Examples:
  slowfs match -r '.*/wal/.*'                     # which files match now
  slowfs match /mnt/slowfs/member --glob '*.wal'  # which of those below that
  slowfs match /mnt/slowfs/member/wal/0.wal       # which faults that file meets
  slowfs match /data/raw/member/wal/0.wal --json  # by its backing path";

pub(super) const INJECTIONS: &str = "\
An injection is a change of bytes by a fault, on disk or in an answer. The list has all since the mount began. Clearing faults does not \
undo them. When a program overwrites the bytes, the injection ends. slowfs keeps 100,000 injections, and 64 MiB of their bytes; of further ones \
it keeps only digests, and cannot heal them.

Examples:
  slowfs injections
  slowfs injections --json       # with the SHA-256 of what should be there
  slowfs injections /mnt/slowfs  # on this mount";

pub(super) const HEAL: &str = "\
Bytes that programs have written since are left alone. A heal is a write: the file is modified, and read(2) sees the right bytes \
at once. A mapping sees them when its pages are dropped. A renamed file is found. The command ends with 1 if something \
cannot be healed.

Examples:
  slowfs heal --all
  slowfs heal 3 7                # by their numbers in `slowfs injections`
  slowfs heal /mnt/slowfs --all  # on this mount";

pub(super) const ROT: &str = "\
The spots are drawn among all units of all matching files, so a large file gets more of them. The same seed changes the same \
bits in the same files. Each change is an injection, and `slowfs heal` undoes it.

Examples:
  slowfs rot -r '.*/data/.*'                   # one bit
  slowfs rot zero --spots 3 --unit 4KiB -r '.*\\.sst' --seed 7
  slowfs rot random --hidden --glob '**/*.db'  # as disks do it: nobody is told";

pub(super) const UNSYNCED: &str = "\
It shows what has not been synced. The kernel does not tell slowfs of sync(2), syncfs(2) and sync_file_range(2). For a file it shows \
each range as OFFSET+LENGTH, and how many other sizes the file may have. It needs a mount with --track-unsynced.

Examples:
  slowfs unsynced
  slowfs unsynced /mnt/slowfs --json";

pub(super) const CHECKPOINT: &str = "\
It is as if everything had been written back. A later power cut takes back only what comes after this.

Examples:
  slowfs checkpoint /mnt/slowfs";

pub(super) const POWER_CUT: &str = "\
With --to it builds a directory below that of `slowfs mount --images`. A file NAME.json beside it says what was kept \
and dropped. Start the database on this image: everything that it has promised must be there. Requests that change something wait meanwhile.

With --now the directory behind the mount itself becomes what such an image would be. Waiting and held operations fail \
with EIO, and so do later ones on files that were open before. Several mounts first make their requests wait, then all are \
cut; if one cannot be cut, none is.

Examples:
  slowfs power-cut --to cut1                       # only what is durable
  slowfs power-cut --to cut2 --keep random --seed 7
  slowfs power-cut /mnt/slowfs --to cut3 --keep prefix:12 --unit 4096
  slowfs power-cut --now --keep random             # in place
  slowfs power-cut --now --kill                    # processes die, too
  slowfs power-cut --now --addr :9090,:9091,:9092  # three mounts at one moment";

pub(super) const POWER_ON: &str = "\
The mount then has what the cut has left. `slowfs clear` does the same, and clears all faults.

Examples:
  slowfs power-on
  slowfs power-on /mnt/slowfs";

pub(super) const CRASH_TEST: &str = "\
The program runs once, on a mirror that is empty or a copy of --tree. What it prints is what it promises: the \
check reads on its standard input what had been printed when the power failed. So print after each commit, and \
flush. Then an image is built and checked for each moment of --at and the end, and for each of --keep. The table has the images \
on which the check failed. All temporary files are in $TMPDIR, else in memory, and are removed.

Exit codes: 0 the check passed on every image, 1 it failed on one, or something could not be done, 2 usage.

Examples:
  slowfs crash-test --check './check {}' -- ./program {}
  slowfs crash-test --check './check {}' --only 7 --seed 1 -- ./program {}
  slowfs crash-test --tree /data --keep random --check './check {}' -- ./db {}
  slowfs crash-test --check './check {}' --keep-images lost -- ./program {}";

pub(super) const PING: &str = "\
Examples:
  slowfs ping
  slowfs ping --addr db1:9090 --json";

pub(super) const PS: &str = "\
It finds mounts by their control sockets and in the mount table. It cannot ask mounts of other users, except as root.

Examples:
  slowfs ps
  slowfs ps --json";

pub(super) const DOCTOR: &str = "\
Each row is a check: what it found, and what that means. Below the table it says what to do. It changes nothing. Root \
sees more than other users.

Exit codes: 0 nothing needs doing, 1 something does.

Examples:
  slowfs doctor
  slowfs doctor /mnt/slowfs  # the machine, and only this mount
  slowfs doctor --json";

pub(super) const COMPLETIONS: &str = "\
Commands, options and their values are completed: methods, errnos, kinds, recipes, mountpoints, and the names and \
numbers of the faults that stand, of the mount that is meant. A mount that does not answer at once is left out. `make \
install` and the packages put the scripts where the shells look for them.

Examples:
  slowfs completions bash        # in ~/.bashrc: source <(slowfs completions bash)
  slowfs completions zsh         # in ~/.zshrc, after compinit: source <(slowfs completions zsh)
  slowfs completions fish        # in config.fish: slowfs completions fish | source";

pub(super) const MAN_PAGES: &str = "\
They are slowfs.1, slowfs-mount.1 and so on, for section 1. Pages that are there are written over.

Examples:
  slowfs man-pages /usr/local/share/man/man1";

pub(super) const DEMO: &str = "\
Examples:
  slowfs demo";

pub(super) const SELFTEST: &str = "\
It takes half a minute, on a slow machine a whole one, and needs only the program. Each row says how often \
it was measured, what was asked, what was got (the median, and its 95% confidence interval), the bar \
that it must meet, and the verdict: ok, failed, or noisy if this machine is too busy to judge.

Exit codes: 0 nothing failed, 1 something failed or could not be measured, 2 the command line is wrong.

Examples:
  slowfs selftest
  slowfs selftest --quick
  slowfs selftest --json --svg accuracy.svg";
