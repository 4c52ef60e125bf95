"""A port of this machine's loopback, made reachable on the loopback of a network namespace. Shell: sockets, setns.

A socket belongs to the namespace that it was made in; so one process listens there and connects here.
Source: setns(2), network_namespaces(7).
"""

from __future__ import annotations

import contextlib
import ctypes
import selectors
import socket
import threading
from pathlib import Path

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)
_HOST = "127.0.0.1"


class LoopbackRelay:
    """Relays connections to 127.0.0.1:PORT in a namespace to the same address out here, until closed."""

    def __init__(self, namespace: str, port: int) -> None:
        self._port = port
        self._listener = _listen_in(namespace, port)
        self._selector = selectors.DefaultSelector()
        self._peers: dict[socket.socket, socket.socket] = {}
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._wake, self._waker = socket.socketpair()
        self._selector.register(self._wake, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._waker.send(b"x")
        self._thread.join()
        for each in (*self._peers, self._listener, self._wake, self._waker):
            each.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._wake:
                    return
                if key.fileobj is self._listener:
                    self._accept()
                elif key.fileobj in self._peers:
                    self._pass_on(key.fileobj)

    def _accept(self) -> None:
        inner, _ = self._listener.accept()
        try:
            outer = socket.create_connection((_HOST, self._port))
        except OSError:
            inner.close()
            return
        for here, there in ((inner, outer), (outer, inner)):
            self._peers[here] = there
            self._selector.register(here, selectors.EVENT_READ)

    def _pass_on(self, here: socket.socket) -> None:
        data = b""
        with contextlib.suppress(OSError):
            data = here.recv(1 << 18)
        try:
            if data:
                self._peers[here].sendall(data)
                return
        except OSError:
            pass
        for end in (here, self._peers[here]):
            self._selector.unregister(end)
            del self._peers[end]
            end.close()


def _listen_in(namespace: str, port: int) -> socket.socket:
    """Make a listening socket in the namespace, from a thread that then ends: setns moves only its thread."""
    made: list[socket.socket | OSError] = []

    def make() -> None:
        try:
            _enter(namespace)
            made.append(socket.create_server((_HOST, port)))
        except OSError as error:
            made.append(error)

    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    (result,) = made
    if isinstance(result, OSError):
        raise result
    return result


def _enter(namespace: str) -> None:
    with Path(f"/run/netns/{namespace}").open("rb") as file:
        if _LIBC.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter the network namespace {namespace}")
