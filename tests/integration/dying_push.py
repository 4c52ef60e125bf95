"""Exporters into a repository that are killed with signal 9, each at its next step: `dying_push.py REMOTE FOLDER`.

Steps are the beginnings and ends of starting a git command and of syncing and renaming files. Before each exporter, the
branch main is put back to where it was. Writes a line for each: whether it was killed, and the commit that main is at.
"""

import ctypes
import itertools
import os
import sys
from contextlib import suppress
from pathlib import Path

from callgraph.settings import LogSettings
from callgraph.telemetry import LeanLogger
from sink_exporter.graph import build_graph
from sink_exporter.publishers import GitPublisher
from sink_exporter.settings import ExporterSettings, GitSettings
from tests.git_remote import git
from tests.graphs import SHOP_NAMESPACE, edge_of, shop_edges, workload
from tests.unit.dying_export import run_and_die

CALLS = frozenset(("fork_exec", "fsync", "rename", "replace"))
MORE = edge_of(workload("zz", SHOP_NAMESPACE), workload("frontend", SHOP_NAMESPACE))
PR_SET_CHILD_SUBREAPER = 36


def publish(remote, clone):
    exporter = ExporterSettings(git=GitSettings(url=str(remote)))
    GitPublisher(exporter, LeanLogger(LogSettings(level="error")), clone).publish(build_graph([*shop_edges(), MORE]))


def await_orphans():
    """Wait for the git that an exporter left behind: it may still be pushing."""
    with suppress(ChildProcessError):
        while True:
            os.wait()


def main(remote, folder):
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    old = git(remote, "rev-parse", "main").strip()
    for step in itertools.count(1):
        git(remote, "update-ref", "refs/heads/main", old)
        killed = run_and_die(lambda step=step: publish(remote, folder / str(step)), step, CALLS)
        await_orphans()
        sys.stdout.write(f"{killed} {git(remote, 'rev-parse', 'main')}")
        if not killed:
            break


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
