"""Which databases have the plug pulled, with which of their settings, and what these promise."""

from etcd import Etcd
from postgres import Postgres
from redis import Redis, RedisEverysec
from rocksdb import Rocksdb
from sqlite import Sqlite

# What a setting promises of acknowledged transactions after a power cut.
ALL = "keeps all"
TAIL = "loses the newest at most"
NOTHING = "nothing"


def set_to(base, name, words, promise, **settings):
    """A database with some of its settings."""
    return type(base.__name__, (base,), {"name": name, "words": words, "keeps": promise, **settings})


def sqlite(journal, synchronous, promise):
    name = f"sqlite-{journal}-{synchronous}".lower()
    words = f"journal_mode={journal}, synchronous={synchronous}"
    return set_to(Sqlite, name, words, promise, journal_mode=journal, synchronous=synchronous)


def postgres(fsync, full_page_writes, promise):
    words = f"fsync={fsync}, full_page_writes={full_page_writes}"
    options = (f"fsync={fsync}", f"full_page_writes={full_page_writes}")
    return set_to(Postgres, f"postgres-{fsync}-{full_page_writes}", words, promise, more_options=options)


SETTINGS = [
    sqlite("WAL", "FULL", ALL),
    sqlite("WAL", "NORMAL", TAIL),
    sqlite("WAL", "OFF", NOTHING),
    sqlite("DELETE", "EXTRA", ALL),
    sqlite("DELETE", "FULL", TAIL),
    sqlite("DELETE", "NORMAL", NOTHING),
    sqlite("DELETE", "OFF", NOTHING),
    postgres("on", "on", ALL),
    postgres("on", "off", NOTHING),
    postgres("off", "on", NOTHING),
    postgres("off", "off", NOTHING),
    set_to(Redis, "redis-always", "appendfsync always", ALL),
    set_to(RedisEverysec, "redis-everysec", "appendfsync everysec", TAIL),
    set_to(Etcd, "etcd", "as it is", ALL),
    set_to(Rocksdb, "rocksdb-sync", "with sync", ALL),
    set_to(Rocksdb, "rocksdb-nosync", "without sync", TAIL, sync=False),
]

# Of `make test`.
SHORT = ("sqlite-wal-full", "redis-always")
