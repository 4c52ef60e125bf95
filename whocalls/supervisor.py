"""The roles as child processes of one machine's pipeline. Shell: processes.

Every child is `python -m whocalls ROLE`, writes its log to a file, and dies with its parent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from callgraph.errors import WhocallsError
from whocalls.child_process import ends_with_parent

_STOP_SECONDS = 10.0


class Role:
    """One running child."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    def last_words(self) -> str:
        """Return the last line that the child wrote."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "it wrote nothing"


class Supervisor:
    """Starts roles, notices when one fails, and stops them all, the last started first."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        """`folder` takes the logs; `environment` is added to the children's (`WHOCALLS_…` settings)."""
        self._folder = folder
        self._environment = os.environ | environment
        self._roles: list[Role] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, name: str, *arguments: str) -> Role:
        """Start a role in the background."""
        log = self._folder / f"{name}.log"
        with log.open("wb") as stream:
            process = subprocess.Popen(  # noqa: S603  (our own command, arguments of our own)
                ends_with_parent([sys.executable, "-m", "whocalls", *arguments]),
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=self._environment,
                # A Ctrl-C at the terminal is for us; the roles are stopped in order.
                start_new_session=True,
            )
        role = Role(name, process, log)
        self._roles.append(role)
        return role

    def finish(self, role: Role, *, seconds: float) -> None:
        """Wait for a role that ends by itself. Raises WhocallsError when it fails or takes too long."""
        deadline = time.monotonic() + seconds
        while role.process.poll() is None:
            self.check()
            if time.monotonic() > deadline:
                raise WhocallsError(f"the {role.name} did not end within {seconds:g} s (its log: {role.log})")
            time.sleep(0.02)
        self.check()

    def check(self) -> None:
        """Raise WhocallsError when a role has failed."""
        for role in self._roles:
            if role.process.poll():
                raise WhocallsError(f"the {role.name} ended with {role.process.returncode}: {role.last_words()}")

    def stop(self) -> None:
        """Ask the roles to end, the last started first; kill those that do not."""
        for role in reversed(self._roles):
            if role.process.poll() is None:
                role.process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    role.process.wait(_STOP_SECONDS)
            if role.process.poll() is None:
                role.process.kill()
                role.process.wait()
        self._roles.clear()
