"""Exports that are killed with signal 9, each at the next of its calls: `dying_export.py FOLDER`.

Every call of C code that writes, syncs, renames, removes or makes something counts, before it begins and after it has
returned. Each export runs in a process of its own (fork) and a folder of its own, FOLDER/1, FOLDER/2, …, which holds
the export OLD beforehand. The last one lives.
"""

import itertools
import os
import signal
import sys
from pathlib import Path

from sink_exporter.files import replace_files, write_atomically

OLD = {"namespaces/a.yaml": b"a\n", "namespaces/b.yaml": b"b\n", "callgraph.txt": b"text\n"}
NEW = {"namespaces/a.yaml": b"new\n", "namespaces/c.yaml": b"c\n", "callgraph.txt": b"text\n"}
CALLS = frozenset(
    ("open", "write", "flush", "close", "fsync", "rename", "replace", "unlink", "remove", "mkdir", "flock")
)


def export(out):
    replace_files(out, NEW)
    write_atomically(out / ".whocalls/coverage.json", b"{}\n")


def die_at(step, calls):
    count = 0

    def watch(_frame, event, argument):
        nonlocal count
        if event in ("c_call", "c_return") and argument.__name__ in calls:
            count += 1
            if count == step:
                os.kill(os.getpid(), signal.SIGKILL)

    return watch


def run_and_die(work, step, calls=CALLS):
    """Run something in a child that is killed at a step; returns whether it was."""
    child = os.fork()
    if child == 0:
        sys.setprofile(die_at(step, calls))
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL), status
    return status == signal.SIGKILL


if __name__ == "__main__":
    for step in itertools.count(1):
        folder = Path(sys.argv[1], str(step))
        replace_files(folder, OLD)
        if not run_and_die(lambda folder=folder: export(folder), step):
            break
