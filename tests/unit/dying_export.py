"""An export that kills itself before the n-th change of the disk: `dying_export.py OUT N`."""

import os
import sys
from pathlib import Path

from sink_exporter.files import replace_files

NEW = {"namespaces/a.yaml": b"new\n", "namespaces/c.yaml": b"c\n", "callgraph.txt": b"text\n"}
CHANGES = frozenset(("os.rename", "os.remove", "os.mkdir"))


def die_at(step):
    count = 0

    def watch(event, arguments):
        nonlocal count
        writes = event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
        if event in CHANGES or writes:
            count += 1
            if count == step:
                os._exit(9)

    return watch


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.addaudithook(die_at(int(sys.argv[2])))
    replace_files(Path(sys.argv[1]), NEW)
