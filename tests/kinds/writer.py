"""Writes a byte to a file for each line that it reads: by its main thread, or by another if that is `thread`.

    writer.py FILE

Prints what came of it: `ok`, or the name of the error.
"""

import errno
import os
import sys
import threading

file = os.open(sys.argv[1], os.O_WRONLY)


def write():
    try:
        os.pwrite(file, b"w", 0)
        print("ok", flush=True)
    except OSError as error:
        print(errno.errorcode[error.errno], flush=True)


for line in sys.stdin:
    if line == "thread\n":
        other = threading.Thread(target=write)
        other.start()
        other.join()
    else:
        write()
