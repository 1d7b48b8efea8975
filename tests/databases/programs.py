"""What a database under test is to the others here: processes, sessions, and one class for all."""

import contextlib
import hashlib
import os
import re
import selectors
import subprocess
import time
from pathlib import Path

import daemons

PATIENCE = 90  # s, on a machine that does other things too
NOBODY = 65534


class Refused(Exception):
    """The database said no, or ended; the text is what it said."""


class Hung(Refused):
    """The database gave no answer at all."""


def value(row, length):
    """What row `row` holds: like nothing else, so that it can be found among raw bytes."""
    return hashlib.shake_128(f"row {row}".encode()).hexdigest((length + 1) // 2)[:length]


def unprivileged(argv):
    """As an ordinary user if we are root: some servers refuse root, and no file must need it."""
    identity = [f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
    return ["setpriv", *identity, *argv] if os.geteuid() == 0 else argv


def hand_over(path):
    if os.geteuid() == 0:
        os.chown(path, NOBODY, NOBODY)


def output(argv):
    """What a command prints; raises `Refused` with it if it fails."""
    env = {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "LC_ALL": "C"}
    done = subprocess.run([str(a) for a in argv], env=env, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=PATIENCE)
    if done.returncode != 0:
        raise Refused(f"{Path(argv[0]).name} ended with {done.returncode}: {done.stdout.strip()}")
    return done.stdout


class Session:
    """A client program that reads statements, and stops at the first that fails.

    So the mark that is asked for after each comes back only if all before it were done.
    """

    MARK = "-- all of this is done --"

    def __init__(self, argv, ask_mark, quiet=""):
        self.ask_mark, self.quiet = ask_mark, quiet
        env = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
        self.process = subprocess.Popen(
            [str(a) for a in argv], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, start_new_session=True)
        os.set_blocking(self.process.stdin.fileno(), False)
        self.came = b""

    def ask(self, statements):
        """The lines answered to these statements."""
        mark = f"{self.MARK}\n".encode()
        left = f"{statements}\n{self.ask_mark.format(self.MARK)}\n".encode()
        end = time.monotonic() + PATIENCE
        with selectors.DefaultSelector() as ready:
            ready.register(self.process.stdout, selectors.EVENT_READ)
            ready.register(self.process.stdin, selectors.EVENT_WRITE)
            while not (self.came == mark or self.came.endswith(b"\n" + mark)):
                if time.monotonic() > end:
                    raise Hung(f"no answer within {PATIENCE} s")
                for key, _ in ready.select(1):
                    if key.fileobj is self.process.stdin:
                        left = self.write(left)
                        if not left:
                            ready.unregister(self.process.stdin)
                    else:
                        came = os.read(self.process.stdout.fileno(), 1 << 20)
                        if not came:
                            raise Refused(self.last_words())
                        self.came += came
        answer, self.came = self.came[:-len(mark)], b""
        return answer.decode(errors="replace").splitlines()

    def write(self, left):
        try:
            return left[os.write(self.process.stdin.fileno(), left):]
        except BlockingIOError:
            return left
        except BrokenPipeError:
            return b""

    def last_words(self):
        code = self.process.wait()
        lines = [line for line in self.came.decode(errors="replace").splitlines() if line.strip()]
        complaints = [line for line in lines if re.search("error|fatal|panic|lost|closed", line, re.I)]
        return "\n".join((complaints or lines[-3:])[:5]) or f"ended with {code}, saying nothing"

    def end(self):
        """Ends it by SIGKILL, if it has not ended."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()


class Database:
    """One database: what it is, where its files are, and how it is made to do its work.

    `log` and `data` are regular expressions of the paths of its files. `loud` finds the lines of its
    log that complain, `usual` those of them that it also says when nothing is amiss: runs without a
    fault pin that. `quiet` finds lines that tell where recovery ended, in words or at a level that
    are no complaint. `noise` is what begins its lines and is different each time.
    """

    name = title = log = data = None
    loud = usual = quiet = None
    noise = "$^"
    # A library in a process of its client, which opens it again after an error; else a server.
    embedded = True
    # Another one's other setting, under some faults only.
    variant, only = False, None
    # What becomes durable as the program's own documents say, and where they say it.
    promise = ""

    def __init__(self, home, scratch):
        self.home, self.scratch = Path(home), Path(scratch)
        self.process = None
        self.starts = 0

    # What each database says in its own way.

    def program(self):
        """Its name and version."""
        raise NotImplementedError

    def create(self, home):
        """Makes an empty database in `home`, where there is no mount yet."""

    def start(self):
        """Starts it; raises `Refused` if it does not come up."""
        raise NotImplementedError

    def commit(self, rows):
        """One transaction with these rows; comes back when that is acknowledged."""
        raise NotImplementedError

    def scan(self):
        """All rows in one go."""
        raise NotImplementedError

    def get(self, row):
        """One row's value, or None."""
        raise NotImplementedError

    def checkpoint(self):
        """Has what is in the log written to the data files, and synced."""
        raise NotImplementedError

    def stop(self):
        """Ends it as its administrator would."""
        raise NotImplementedError

    def kill(self):
        """Ends all of it by SIGKILL."""
        raise NotImplementedError

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def verify(self):
        """What its own check of its files complains of."""
        return []

    def unplugged(self):
        """Removes what another boot of the machine would not believe, before it starts on a copy of its files."""

    def repair(self):
        """Has its own tool repair files that it refused; the command, or None if it has no such tool."""
        return None

    # What is the same for all.

    def plain(self, text):
        """What it says, without where it happened to be."""
        return text.replace(str(self.home), "DIR").replace(str(self.scratch), "DIR")

    def journal(self):
        """The log of this start."""
        return self.scratch / f"{self.name}.{self.starts}.log"

    def said(self):
        """The complaints in the log of this start."""
        return self.lines(self.loud, self.usual)

    def remarked(self):
        """What it says of recovery there without a complaint."""
        return self.lines(self.quiet)

    def lines(self, wanted, unwanted=None):
        """Lines of the log of this start, each once, without what differs each time."""
        path, lines = self.journal(), {}
        for line in path.read_text(errors="replace").splitlines() if path.exists() and wanted else ():
            if re.search(wanted, line) and not (unwanted and re.search(unwanted, line)):
                lines.setdefault(self.plain(re.sub(self.noise, "", line).strip()))
        return list(lines)


class Server(Database):
    """A database that is a server, with a log of its own."""

    embedded = False
    ready = None
    grace = 60

    def argv(self):
        raise NotImplementedError

    def is_ready(self):
        return re.search(self.ready, self.journal().read_text(errors="replace"))

    def start(self):
        self.starts += 1
        self.process = daemons.start(unprivileged(self.argv()), self.journal())
        try:
            daemons.until(self.is_ready, self.title, [(self.process, self.journal())], PATIENCE)
        except TimeoutError:
            self.kill()
            raise Hung("\n".join(self.said()) or f"not ready within {PATIENCE} s, no word why") from None
        except RuntimeError as error:
            self.kill()
            said = self.said() or daemons.tail(self.journal()).splitlines()[-3:]
            raise Refused("\n".join(said) or str(error)) from None

    def stop(self):
        self.close()
        if self.process:
            daemons.stop(self.process, grace=self.grace)
            self.kill()

    def kill(self):
        self.close()
        if self.process:
            # It has a session of its own: what it started ends with it, and holds its memory until then.
            end = time.monotonic() + PATIENCE
            with contextlib.suppress(ProcessLookupError):
                while time.monotonic() < end:
                    os.killpg(self.process.pid, 9)
                    self.process.poll()
                    time.sleep(0.01)
            self.process.wait()

    def close(self):
        """Ends the session with it."""


class SqlServer(Server):
    """A server with a client program that reads SQL."""

    mark = "SELECT '{}';"
    session = None

    def client(self):
        raise NotImplementedError

    def close(self):
        if self.session:
            self.session.end()
        self.session = None

    def ask(self, statements):
        self.session = self.session or Session(self.client(), self.mark)
        try:
            return self.session.ask(statements)
        except Refused:
            self.close()
            raise

    def commit(self, rows):
        inserts = "".join(f"INSERT INTO t VALUES({row}, '{text}');\n" for row, text in rows.items())
        self.ask(f"BEGIN;\n{inserts}COMMIT;")

    def scan(self):
        return dict(parsed(line) for line in self.ask("SELECT id, value FROM t;"))

    def get(self, row):
        lines = self.ask(f"SELECT id, value FROM t WHERE id = {row};")
        return parsed(lines[0])[1] if lines else None


def parsed(line):
    """A row from a line of its number and its value; what is no row stays a wrong answer."""
    number, _, text = line.replace("\t", "|").partition("|")
    return (int(number) if number.isdecimal() else number), text
