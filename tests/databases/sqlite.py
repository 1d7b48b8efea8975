"""SQLite with a write-ahead log, through its own shell; the shell's process is the database."""

from programs import Database, Refused, Session, output, parsed, unprivileged


class Sqlite(Database):
    name, title = "sqlite", "SQLite"
    log, data = r".*/bank\.db-wal", r".*/bank\.db"
    loud = r"$^"  # It has no log.
    promise = ("With `synchronous=FULL` a commit is on disk when it returns. Frames of the log have "
               "checksums, pages of the database have none.")
    journal_mode, synchronous = "WAL", "FULL"
    session = None

    def program(self):
        return "SQLite " + output(["sqlite3", "--version"]).split()[0]

    def create(self, home):
        output(unprivileged(["sqlite3", "-batch", "-bail", home / "bank.db",
                             f"PRAGMA journal_mode={self.journal_mode};"
                             "CREATE TABLE t(id INTEGER PRIMARY KEY, value);"]))

    def start(self):
        self.kill()
        argv = ["stdbuf", "-oL", "sqlite3", "-batch", "-bail", self.home / "bank.db"]
        self.session = Session(unprivileged(argv), "SELECT '{}';")
        self.process = self.session.process
        # Only we make checkpoints.
        self.ask(f"PRAGMA synchronous={self.synchronous}; PRAGMA wal_autocheckpoint=0;"
                 "SELECT count(*) FROM sqlite_schema;")

    def ask(self, statements):
        if not self.alive():
            self.start()
        try:
            return self.session.ask(statements)
        except Refused:
            self.kill()
            raise

    def commit(self, rows):
        inserts = "".join(f"INSERT INTO t VALUES({row}, '{text}');\n" for row, text in rows.items())
        self.ask(f"BEGIN;\n{inserts}COMMIT;")

    def scan(self):
        return dict(parsed(line) for line in self.ask("SELECT id, value FROM t;"))

    def get(self, row):
        lines = self.ask(f"SELECT id, value FROM t WHERE id = {row};")
        return parsed(lines[0])[1] if lines else None

    def checkpoint(self):
        answer = self.ask("PRAGMA wal_checkpoint(TRUNCATE);")
        # Without a log there is nothing to do.
        if answer[:1] not in (["0|0|0"], ["0|-1|-1"]):
            raise Refused(f"wal_checkpoint answered {answer}")

    def verify(self):
        try:
            return [line for line in self.ask("PRAGMA integrity_check;") if line != "ok"][:3]
        except Refused as why:
            return [str(why)]

    def stop(self):
        self.session.process.stdin.close()
        self.process.wait(60)
        self.kill()

    def kill(self):
        if self.session:
            self.session.end()
