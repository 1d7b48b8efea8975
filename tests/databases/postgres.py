"""PostgreSQL with data checksums, through psql."""

import re
from pathlib import Path

from programs import SqlServer, output, unprivileged


def tool(name):
    """A program of the newest version that is installed; Debian has them out of PATH."""
    versions = [p for p in Path("/usr/lib/postgresql").glob("[0-9]*") if (p / "bin/postgres").exists()]
    if not versions:
        raise RuntimeError("no PostgreSQL server here: scripts/setup databases installs it")
    return max(versions, key=lambda path: int(path.name)) / "bin" / name


class Postgres(SqlServer):
    name, title = "postgres", "PostgreSQL"
    log, data = r".*/pg_wal/[0-9A-F]{24}", r".*/base/[0-9]+/[0-9]+"
    ready = "ready to accept connections"
    loud = r" (WARNING|ERROR|FATAL|PANIC):  "
    quiet = r" LOG:  (could not read|invalid|incorrect|record with|unexpected|out-of-sequence|contrecord|there is no contrecord)"
    # Clients that were killed, or came too early.
    usual = r"(the database system is (starting up|not yet accepting|in recovery)|terminating connection because of crash)"
    noise = r"^[0-9-]+ [0-9:.]+ [A-Z]+ \[\d+\] "
    promise = ("With `fsync` and `synchronous_commit` on, a commit is in the log on disk when it returns. "
               "Records of the log have a CRC, pages a checksum (`--data-checksums`). A failed fsync is a PANIC.")

    def program(self):
        return "PostgreSQL " + re.search(r"[0-9][0-9.]+", output([tool("postgres"), "--version"]))[0]

    def create(self, home):
        output(unprivileged([tool("initdb"), "--username=postgres", "--auth=trust", "--no-locale",
                             "--data-checksums", "--wal-segsize=1", "--no-sync", "--pgdata", home]))
        single = [tool("postgres"), "--single", "-D", home, "postgres"]
        sql = "CREATE TABLE t(id integer PRIMARY KEY, value text)"
        output(unprivileged(["sh", "-c", f'echo "{sql}" | "$@"', "sh", *single]))

    # Further ones of its command line.
    more_options = ()

    def argv(self):
        options = ["listen_addresses=", f"unix_socket_directories={self.scratch}", "autovacuum=off",
                   # Room for what would else be segments of shared memory with names.
                   "min_dynamic_shared_memory=4MB", *self.more_options]
        return [tool("postgres"), "-D", self.home, *(a for option in options for a in ("-c", option))]

    def client(self):
        return unprivileged([tool("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", self.scratch, "-U",
                             "postgres", "postgres"])

    def checkpoint(self):
        self.ask("CHECKPOINT;")

    def unplugged(self):
        # It names a process, which is alive where the copy was made from a server that goes on.
        (self.home / "postmaster.pid").unlink(missing_ok=True)

    def stop(self):
        self.close()
        if self.alive():
            self.process.send_signal(2)  # Fast: it waits for no client.
            self.process.wait(60)
        self.kill()

    # The segments that have names all the same.
    shared = ()

    def start(self):
        super().start()
        if self.alive():
            maps = Path(f"/proc/{self.process.pid}/maps").read_text()
            self.shared = set(re.findall(r"/dev/shm/PostgreSQL\.[0-9]+", maps))

    def kill(self):
        super().kill()
        # Killed, it leaves them to its next start in the same directory, which may never come.
        for segment in self.shared:
            Path(segment).unlink(missing_ok=True)
