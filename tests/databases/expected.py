"""What each database's own documents let one expect of each fault: which outcomes, and why."""

from judge import HUNG, KEPT, LOST, LOST_SAID, REFUSED, WRONG

# What a log that ends early by its checksums cannot tell: whether there was more.
ENDS = "replay ends at the first record whose checksum is wrong"

WHY = {
    "killed": "an acknowledged transaction is in the log, synced",
    "stopped": "a clean stop leaves all in the data files",
    "torn-log": "the last record is not whole, and was not acknowledged",
    "full": "a transaction that finds no space fails, and earlier ones stay",
    "eio-log": "what could not be synced is not acknowledged, or is synced later",
    "eio-data": "the log is kept until the data are synced",
}

EXPECTED = {
    "torn-log": {
        "redis": ([KEPT, REFUSED], "a truncated end is cut off; other damage is refused until redis-check-aof repairs it"),
    },
    "torn-log-unsaid": {
        "sqlite": ([LOST], ENDS),
        "postgres": ([LOST], ENDS),
        "mariadb": ([LOST, REFUSED], ENDS),
        "redis": ([REFUSED], "damage within the file is refused until redis-check-aof repairs it"),
        "etcd": ([REFUSED], "a CRC that does not match is fatal"),
        "rocksdb": ([LOST_SAID], f"{ENDS}, and says so in LOG"),
    },
    "flip-log": {
        "sqlite": ([LOST], ENDS),
        "postgres": ([LOST], ENDS),
        "mariadb": ([LOST, REFUSED], ENDS),
        "redis": ([REFUSED, WRONG], "appended data has no checksum: only damage to the protocol is seen"),
        "etcd": ([REFUSED], "a CRC that does not match is fatal"),
        "rocksdb": ([LOST_SAID], f"{ENDS}, and says so in LOG"),
    },
    "flip-log-copied": {
        "sqlite": ([WRONG], "a checkpoint copies pages from the log, and only recovery checks their checksums"),
        "postgres": ([KEPT], "a checkpoint writes pages from memory, and replay begins after it"),
        "mariadb": ([KEPT, LOST, REFUSED], "pages are written from memory, but a part of the log is still needed"),
        "redis": ([KEPT], "the file is rewritten from memory"),
        "etcd": ([REFUSED], "the log is read from its last snapshot on, whatever the database has"),
        "rocksdb": ([KEPT], "tables are written from memory, and replay begins after them"),
    },
    "flip-data": {
        "sqlite": ([WRONG], "pages have no checksum"),
        "postgres": ([REFUSED], "a page whose checksum is wrong is an error"),
        "mariadb": ([REFUSED], "a page whose checksum is wrong is corrupt"),
        "redis": ([REFUSED], "the base file ends with a CRC64"),
        "etcd": ([WRONG], "pages have no checksum"),
        "rocksdb": ([REFUSED], "a block whose checksum is wrong is an error"),
    },
}

# What cannot be read must not be taken for what is not there.
UNREADABLE = ([REFUSED], "a read that fails is an error")
EXPECTED["bad-log"] = EXPECTED["bad-data"] = {}


def expected(database, fault):
    """The outcomes that one may expect, and why."""
    if fault in WHY and database not in EXPECTED.get(fault, {}):
        return [KEPT], WHY[fault]
    return EXPECTED[fault].get(database, UNREADABLE)

# What is behind an outcome that one would not guess, said only where that is the outcome.
NOTES = {
    ("postgres", "bad-log", LOST):
        "When it recovers from a crash, it takes a part of the log that it cannot read for the end of the log.",
    ("etcd", "bad-data", HUNG):
        "It maps its database with MAP_POPULATE, and this mmap(2) does not return: Linux tries to read the unreadable page "
        "again and again.",
    ("sqlite", "flip-log-copied", WRONG): "A page's checksum is not checked when the page is copied from the log to the database.",
    ("sqlite", "flip-data", WRONG): "A page has no checksum.",
    ("etcd", "flip-data", WRONG): "A page of its database has no checksum.",
    ("sqlite", "bad-data", REFUSED): "It reports an unreadable page as malformed.",
    ("redis-everysec", "full", REFUSED):
        "It does the same on a plain tmpfs that is full for a while, without slowfs, but only after a BGREWRITEAOF. "
        "What redis-check-aof then cuts off had been acknowledged.",
    ("redis", "flip-log", WRONG): "A value in the append-only file has no checksum.",
    ("etcd", "torn-log-unsaid", LOST):
        "It allocates space for its log ahead. So it takes a record that begins with zeros for the end of the log, and a record "
        "with a sector of zeros for one that a crash has torn, wherever they are. What had reached its database before stays.",
}
