"""The installed `whocalls` command, run as a person or a container runs it. Shell: processes."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from whocalls.child_process import ends_with_parent

WHOCALLS = Path(sys.executable).with_name("whocalls")
_ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/nonexistent"}
"""Nothing of this machine's settings: no WHOCALLS_… variable, no kubeconfig."""


def run_whocalls(*arguments: str, seconds: float = 60, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [str(WHOCALLS), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds,
        env=_ENVIRONMENT | environment,
    )


def until(condition: Callable[[], Any], *, seconds: float, what: Callable[[], str], check: Callable[[], None]) -> Any:
    """Poll until the condition holds and return its value; `what` tells what is missing, `check` may raise before."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        check()
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {what()}"
        time.sleep(0.05)
    return value


class Roles:
    """Long-running roles in the background, with their logs; stopped at the end, the last started first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for name in reversed(list(self._processes)):
            with contextlib.suppress(AssertionError):
                self.stop(name)

    def start(self, name: str, *arguments: str, wrap: Callable[[list[str]], list[str]] = ends_with_parent) -> None:
        """Start a role; `wrap` turns the command into one that runs somewhere else."""
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                wrap([str(WHOCALLS), *arguments]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                env=_ENVIRONMENT,
            )

    def stop(self, name: str) -> None:
        """Ask a role to end, and see that it does, with exit code 0."""
        process = self._processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            code = process.wait()
        assert code == 0, f"{name} ended with {code}: {self.last_lines(name)}"

    def pids(self) -> dict[str, int]:
        """Return the process ids of the roles that were started and not ended yet."""
        # A copy: another thread may start and end roles meanwhile.
        return {name: process.pid for name, process in tuple(self._processes.items())}

    def running(self) -> list[str]:
        """Name the roles that were started and not ended yet, the first started first."""
        return list(self._processes)

    def ended(self) -> list[str]:
        """Name the roles that ended by themselves."""
        return [name for name, process in self._processes.items() if process.poll() is not None]

    def kill(self, name: str) -> None:
        """End a role as the kernel does: no goodbye."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def finish(self, name: str, *, seconds: float = 60) -> None:
        """Wait for a role that ends by itself, with exit code 0."""
        code = self._processes.pop(name).wait(seconds)
        assert code == 0, f"{name} ended with {code}: {self.last_lines(name)}"

    def check(self) -> None:
        """Fail when a role has ended."""
        for name, process in self._processes.items():
            assert process.poll() is None, f"{name} ended with {process.returncode}: {self.last_lines(name)}"

    def await_event(self, name: str, event: str, *, seconds: float = 60) -> dict[str, Any]:
        """Wait until a role has logged an event, and return the line."""
        return until(
            lambda: next((line for line in self.events(name) if line.get("event") == event), None),
            seconds=seconds,
            what=lambda: f"{event} of {name}; it logged: {self.last_lines(name)}",
            check=self.check,
        )

    def events(self, name: str) -> list[dict[str, Any]]:
        """Read what a role has logged so far."""
        lines = (self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("}")]

    def last_lines(self, name: str) -> str:
        """Return the end of a role's log."""
        return "\n".join((self._folder / f"{name}.log").read_text(encoding="utf-8", errors="replace").splitlines()[-8:])
