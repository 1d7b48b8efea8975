"""RocksDB's library in a process of its own, with synced writes; it is what ldb is made from."""

import re
import sys
from pathlib import Path

from programs import Database, Refused, Session, output, parsed, unprivileged

WORKER = Path(__file__).with_name("rocksdb_worker.py")


class Rocksdb(Database):
    name, title = "rocksdb", "RocksDB"
    log, data = r".*/[0-9]+\.log", r".*/[0-9]+\.sst"
    loud = r"\[(WARN|ERROR|FATAL)\]|Corruption|IO error"
    noise = r"^[0-9/:.-]+ [0-9a-f]+ (\[(WARN|ERROR)\] )?(\[[^]]*\] )*"
    promise = ("A write with `sync` is in the log on disk when it returns. Records of the log and blocks of "
               "tables have checksums. The log is replayed up to the first that is wrong "
               "(`kPointInTimeRecovery`, the default).")
    sync = True
    session = None

    def program(self):
        return "RocksDB " + re.search(r"RocksDB ([0-9.]+)", output(["ldb", "--version"]))[1]

    def journal(self):
        return self.home / "LOG"

    def start(self):
        self.kill()
        how = "synced" if self.sync else "unsynced"
        self.session = Session(unprivileged([sys.executable, WORKER, self.home, how]), "mark {}")
        self.process = self.session.process
        self.ask("")

    def ask(self, commands):
        if not self.alive():
            self.start()
        answer = self.session.ask(commands)
        errors = [line for line in answer if line.startswith("ERROR: ")]
        if errors:
            raise Refused(errors[0].removeprefix("ERROR: "))
        return answer

    def commit(self, rows):
        self.ask("put " + " ".join(f"{row} {text}" for row, text in rows.items()))

    def scan(self):
        return dict(parsed(line) for line in self.ask("scan"))

    def get(self, row):
        lines = self.ask(f"get {row}")
        return parsed(lines[0])[1] if lines else None

    def checkpoint(self):
        self.ask("flush")

    def repair(self):
        output(unprivileged(["ldb", f"--db={self.home}", "repair"]))
        return "ldb repair"

    def stop(self):
        self.session.process.stdin.close()
        self.process.wait(60)
        self.kill()

    def kill(self):
        if self.session:
            self.session.end()
