"""MariaDB's InnoDB, through its own client."""

import re
import shutil

from programs import SqlServer, output, unprivileged


class Mariadb(SqlServer):
    name, title = "mariadb", "MariaDB"
    log, data = r".*/ib_logfile0", r".*/bank/t\.ibd"
    ready = "ready for connections"
    loud = r"\[(Warning|ERROR)\]"
    usual = r"io_uring|Could not increase number of max_open_files|skip-name-resolve"
    noise = r"^[0-9-]+ +[0-9:]+ (\d+ )?"
    promise = ("With `innodb_flush_log_at_trx_commit=1` a commit is in the log on disk when it returns. "
               "Log and pages have checksums; pages also go through the doublewrite buffer.")

    def program(self):
        return "MariaDB " + re.search(r"Ver ([0-9.]+)", output([self.server(), "--version"]))[1]

    @staticmethod
    def server():
        return shutil.which("mariadbd", path="/usr/sbin:/usr/bin:/sbin")

    def create(self, home):
        output(unprivileged(["mariadb-install-db", "--no-defaults", f"--datadir={home}", "--skip-test-db",
                             "--auth-root-authentication-method=normal", "--innodb-log-file-size=4M"]))
        (home / "bank").mkdir()

    def argv(self):
        return [self.server(), "--no-defaults", f"--datadir={self.home}", f"--socket={self.scratch}/mariadb",
                f"--pid-file={self.scratch}/mariadb.pid", "--skip-networking", "--skip-name-resolve",
                "--innodb-flush-log-at-trx-commit=1", "--innodb-log-file-size=4M",
                "--innodb-buffer-pool-size=16M", "--innodb-buffer-pool-load-at-startup=0",
                "--innodb-buffer-pool-dump-at-shutdown=0"]

    def client(self):
        return unprivileged(["mariadb", "--no-defaults", f"--socket={self.scratch}/mariadb", "--user=root",
                             "--batch", "--skip-column-names", "--unbuffered", "bank"])

    def start(self):
        super().start()
        if self.starts == 1:
            self.ask("CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, value TEXT) ENGINE=InnoDB;")

    def checkpoint(self):
        self.ask("FLUSH TABLES t FOR EXPORT; UNLOCK TABLES;")

    def verify(self):
        lines = [line.split("\t") for line in self.ask("CHECK TABLE t;")]
        return ["CHECK TABLE: " + line[-1] for line in lines if line[-1] != "OK"]
