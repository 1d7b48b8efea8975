"""Redis with an append-only file that is synced for every write."""

import contextlib
import re
import socket
import time

from programs import PATIENCE, Refused, Server, output, unprivileged
import daemons


class Redis(Server):
    name, title = "redis", "Redis"
    log, data = r".*/appendonly\.aof\.[0-9]+\.incr\.aof", r".*/(appendonly\.aof\.[0-9]+\.base\.rdb|temp-rewriteaof-.*)"
    ready = "eady to accept connections"
    loud = r"^\d+:[A-Z] .* # "
    usual = (r"oO0OoO0OoO0Oo|Redis version=|Configuration loaded|Warning: no config file|overcommit_memory|"
             r"TCP backlog|Transparent Huge|Server initialized|User requested shutdown|Redis is now ready to exit")
    noise = r"^\d+:[A-Z] .*? # "
    promise = ("With `appendfsync always` a write is in the append-only file on disk when it is answered. "
               "The base file (RDB) has a checksum, what is appended has none. A truncated tail is cut off "
               "at the start (`aof-load-truncated yes`); anything else that is wrong is refused.")
    connection = None

    def program(self):
        return "Redis " + re.search(r"v=([0-9.]+)", output(["redis-server", "--version"]))[1]

    def argv(self):
        return ["redis-server", "--port", "0", "--unixsocket", self.scratch / "redis", "--dir", self.home,
                "--save", "", "--appendonly", "yes", "--appendfsync", self.policy, "--rdbcompression", "no",
                "--auto-aof-rewrite-percentage", "0"]

    # How its log is synced.
    policy = "always"

    def close(self):
        if self.connection:
            with contextlib.suppress(OSError):  # It would send what is left.
                self.connection.close()
        self.connection = None

    def ask(self, *commands):
        """Sends all the commands, and gives the answer to the last; an error among them is raised."""
        sent = b"".join(b"*%d\r\n" % len(c) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in c)
                        for c in ([str(word).encode() for word in command] for command in commands))
        try:
            if not self.connection:
                stream = socket.socket(socket.AF_UNIX)
                stream.settimeout(PATIENCE)
                stream.connect(str(self.scratch / "redis"))
                self.connection = stream.makefile("rwb")
                stream.close()
            self.connection.write(sent)
            self.connection.flush()
            return [self.answer() for _ in commands][-1]
        except (OSError, Refused) as error:
            self.close()
            raise Refused(str(error)) from None

    def answer(self):
        line = self.connection.readline().rstrip(b"\r\n").decode()
        if not line:
            raise Refused("the server closed the connection")
        if line[0] == "-":
            raise Refused(line[1:])
        if line[0] == "$":
            length = int(line[1:])
            return None if length < 0 else self.connection.read(length + 2)[:-2].decode(errors="replace")
        return [self.answer() for _ in range(int(line[1:]))] if line[0] == "*" else line[1:]

    def commit(self, rows):
        self.ask(["MULTI"], *(["SET", row, text] for row, text in rows.items()), ["EXEC"])

    def scan(self):
        rows = self.ask(["KEYS", "*"])
        values = self.ask(["MGET", *rows]) if rows else []
        return {int(row) if row.isdecimal() else row: text for row, text in zip(rows, values)}

    def get(self, row):
        return self.ask(["GET", row])

    def repair(self):
        manifest = self.home / "appendonlydir/appendonly.aof.manifest"
        output(unprivileged(["sh", "-c", f"echo y | redis-check-aof --fix {manifest}"]))
        return "redis-check-aof --fix"

    def checkpoint(self):
        self.ask(["BGREWRITEAOF"])
        daemons.until(lambda: "aof_rewrite_in_progress:0" in self.ask(["INFO", "persistence"]), "rewrite")
        if "aof_last_bgrewrite_status:ok" not in self.ask(["INFO", "persistence"]):
            raise Refused("aof_last_bgrewrite_status is err")


class RedisEverysec(Redis):
    """The same, synced every second, by a thread of its own."""

    name, title = "redis-everysec", "Redis, synced every second"
    policy = "everysec"
    variant, only = True, ("killed", "full", "eio-log")
    promise = ("With `appendfsync everysec` a write is answered before it is on disk: a power cut may lose a "
               "second of them, the end of the server alone none.")

    def commit(self, rows):
        time.sleep(0.05)  # A few seconds of transactions, not hundreds.
        super().commit(rows)
