"""RocksDB, its writes `synced` or `unsynced`, behind lines of text: `put KEY VALUE ...`, `get KEY`, `scan`, `flush`, `mark TEXT`.

An error is printed. It ends the process only where the database cannot be opened: as an application
would, it keeps the database open, so that RocksDB decides what becomes of it.
"""

import ctypes
import ctypes.util
import sys

NO_COMPRESSION = 0


class Rocks:
    """The few calls of rocksdb/c.h that are needed."""

    def __init__(self, path, sync):
        name = ctypes.util.find_library("rocksdb")
        if not name:
            sys.exit("ERROR: no librocksdb: scripts/setup databases installs it")
        self.lib = ctypes.CDLL(name)
        options = self.made("rocksdb_options_create")
        self.call("rocksdb_options_set_create_if_missing", options, ctypes.c_ubyte(1))
        self.call("rocksdb_options_set_compression", options, ctypes.c_int(NO_COMPRESSION))
        self.write_options = self.made("rocksdb_writeoptions_create")
        self.call("rocksdb_writeoptions_set_sync", self.write_options, ctypes.c_ubyte(sync))
        self.read_options = self.made("rocksdb_readoptions_create")
        self.flush_options = self.made("rocksdb_flushoptions_create")
        self.db = self.tried("rocksdb_open", options, path.encode(), result=ctypes.c_void_p)

    def made(self, name):
        function = getattr(self.lib, name)
        function.restype = ctypes.c_void_p
        return ctypes.c_void_p(function())

    def call(self, name, *args, result=None):
        function = getattr(self.lib, name)
        function.restype = result
        answer = function(*args)
        return ctypes.c_void_p(answer) if result is ctypes.c_void_p else answer

    def tried(self, name, *args, result=None):
        """A call whose last argument takes an error."""
        error = ctypes.c_char_p()
        answer = self.call(name, *args, ctypes.byref(error), result=result)
        if error.value is not None:
            raise OSError(error.value.decode(errors="replace"))
        return answer

    def put(self, pairs):
        batch = self.made("rocksdb_writebatch_create")
        for key, value in pairs:
            self.call("rocksdb_writebatch_put", batch, key, ctypes.c_size_t(len(key)), value,
                      ctypes.c_size_t(len(value)))
        try:
            self.tried("rocksdb_write", self.db, self.write_options, batch)
        finally:
            self.call("rocksdb_writebatch_destroy", batch)

    def get(self, key):
        length = ctypes.c_size_t()
        found = self.tried("rocksdb_get", self.db, self.read_options, key, ctypes.c_size_t(len(key)),
                           ctypes.byref(length), result=ctypes.c_void_p)
        if not found.value:
            return None
        value = ctypes.string_at(found, length.value)
        self.call("rocksdb_free", found)
        return value

    def scan(self):
        at = self.call("rocksdb_create_iterator", self.db, self.read_options, result=ctypes.c_void_p)
        try:
            self.call("rocksdb_iter_seek_to_first", at)
            while self.call("rocksdb_iter_valid", at, result=ctypes.c_ubyte):
                yield tuple(self.part(f"rocksdb_iter_{part}", at) for part in ("key", "value"))
                self.call("rocksdb_iter_next", at)
            self.tried("rocksdb_iter_get_error", at)
        finally:
            self.call("rocksdb_iter_destroy", at)

    def part(self, name, iterator):
        length = ctypes.c_size_t()
        start = self.call(name, iterator, ctypes.byref(length), result=ctypes.c_void_p)
        return ctypes.string_at(start, length.value)

    def flush(self):
        self.tried("rocksdb_flush", self.db, self.flush_options)

    def close(self):
        self.call("rocksdb_close", self.db)


def shown(key, value):
    return f"{key.decode(errors='replace')}|{value.decode(errors='replace')}"


def obey(rocks, verb, words):
    """The lines that answer one command."""
    if verb == "put":
        rocks.put(zip(*[iter(word.encode() for word in words)] * 2))
    elif verb == "get":
        value = rocks.get(words[0].encode())
        return [] if value is None else [shown(words[0].encode(), value)]
    elif verb == "scan":
        return [shown(key, value) for key, value in rocks.scan()]
    elif verb == "flush":
        rocks.flush()
    return []


def main():
    try:
        rocks = Rocks(sys.argv[1], sync=sys.argv[2] == "synced")
    except OSError as error:
        sys.exit(f"ERROR: {error}")
    for line in sys.stdin:
        verb, *words = line.split() or [""]
        if verb == "mark":
            print(line.strip().partition(" ")[2], flush=True)
            continue
        try:
            for answer in obey(rocks, verb, words):
                print(answer)
        except OSError as error:
            print(f"ERROR: {error}")
    rocks.close()


if __name__ == "__main__":
    main()
