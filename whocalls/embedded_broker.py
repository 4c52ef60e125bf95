"""A broker for one machine: the `noida-db` binary, started and stopped by us. Shell: one process and its port.

In: a folder for the data. Out: the `KafkaSettings` of a broker on loopback that speaks the Kafka protocol.
It knows no encryption, no users and no expiry of dead members: good for `whocalls demo`, `whocalls up` and tests,
never for production. Source: the Metadata request of the Kafka protocol, version 1 (kafka.apache.org/protocol).
"""

from __future__ import annotations

import importlib.util
import os
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from callgraph.errors import ConfigurationError, PortTakenError, UnreachableError
from callgraph.settings import KafkaSettings
from whocalls.child_process import ends_with_parent

_HOST = "127.0.0.1"
# Length, then: Metadata, version 1, correlation id 0, no client id, no topics. Any complete answer will do.
_METADATA_REQUEST = struct.pack("!ihhihi", 14, 3, 1, 0, -1, 0)
_POLL_SECONDS = 0.002
# The binary was linked against a newer libc than it needs; the loader says so at every start.
_HARMLESS = "weak version"


class EmbeddedBroker:
    """A running broker, as a context manager.

    Without a folder the data live in a temporary one. With port 0 the broker gets a free one. It ends with the
    thread that started it: start it from the main thread.
    """

    def __init__(self, folder: Path | None = None, *, port: int = 0, start_seconds: float = 10.0) -> None:
        self._folder = folder
        self._asked_port = port
        self._start_seconds = start_seconds
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self.port = port

    @property
    def kafka_settings(self) -> KafkaSettings:
        """Say how clients reach the broker, and that it needs their patience."""
        return KafkaSettings(bootstrap_servers=f"{_HOST}:{self.port}", embedded=True)

    @property
    def pid(self) -> int | None:
        """The broker's process, while there is one."""
        return self._process.pid if self._process else None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker and wait until it answers.

        Raises ConfigurationError (not installed), PortTakenError and UnreachableError (it did not start).
        """
        binary = find_binary()
        self.port = reserve_port(self._asked_port)
        folder = self._make_folder()
        # A log of its own: another broker in the same folder may still be writing to its own.
        log = folder / f"broker-{self.port}.log"
        command = [binary, "start", "--only", "kafka", "--data-dir", str(folder)]
        with log.open("wb") as output:
            self._process = subprocess.Popen(  # noqa: S603  (the binary of the package that we pin)
                ends_with_parent([*command, "--host", _HOST, "--kafka-port", str(self.port)]),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # A Ctrl-C at the terminal is for us; the broker is stopped after its clients.
                start_new_session=True,
            )
        try:
            self._await_answer(log)
        except BaseException:
            self.stop()
            raise

    def stop(self, *, grace_seconds: float = 10.0) -> None:
        """Stop the broker: it saves its data on SIGTERM, and is killed when that takes too long."""
        if self._process:
            self._process.terminate()
            try:
                self._process.wait(grace_seconds)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._temporary:
            self._temporary.cleanup()
            self._temporary = None

    def _make_folder(self) -> Path:
        if self._folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="whocalls-broker-")
            return Path(self._temporary.name)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"cannot make the broker's data folder {str(self._folder)!r}: {error.strerror}"
            ) from error
        return self._folder

    def _await_answer(self, log: Path) -> None:
        assert self._process
        deadline = time.monotonic() + self._start_seconds
        while not answers_metadata(_HOST, self.port):
            if self._process.poll() is not None:
                raise UnreachableError(f"the embedded broker ended at its start: {_last_line(log)}")
            if time.monotonic() >= deadline:
                raise UnreachableError(
                    f"the embedded broker does not answer within {self._start_seconds:g} s: {_last_line(log)}"
                )
            time.sleep(_POLL_SECONDS)


def find_binary() -> str:
    """Return the path of the broker's binary inside its package. Raises ConfigurationError with the remedy."""
    spec = importlib.util.find_spec("noida_db")
    binary = Path(spec.origin).with_name("noida-db") if spec and spec.origin else None
    if binary is None or not binary.is_file():
        raise ConfigurationError("the embedded broker is not installed (pip install 'whocalls[embedded]')")
    if not os.access(binary, os.X_OK):
        raise ConfigurationError(f"the embedded broker is not executable (chmod +x {binary})")
    return str(binary)


def reserve_port(port: int) -> int:
    """Return the port if it is free on loopback, or a free one for 0. Raises PortTakenError."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except OSError as error:
            raise PortTakenError(
                f"cannot listen on {_HOST}:{port}: {error.strerror} (stop what holds the port, or choose another)"
            ) from error
        bound: int = probe.getsockname()[1]
        return bound


def answers_metadata(host: str, port: int) -> bool:
    """Tell whether a Kafka broker answers there now."""
    try:
        with socket.create_connection((host, port), timeout=1) as connection, connection.makefile("rb") as answer:
            connection.sendall(_METADATA_REQUEST)
            length = answer.read(4)
            return len(length) == 4 and len(answer.read(int.from_bytes(length))) == int.from_bytes(length)
    except OSError:
        return False


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    told = [line.strip() for line in lines if line.strip() and _HARMLESS not in line and not line.startswith("hint:")]
    return told[-1].removeprefix("error: ") if told else "it said nothing"
