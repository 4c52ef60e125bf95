"""Classic BPF programs run by the kernel itself, on any bytes: no root, no network. Shell: a pair of Unix sockets."""

from __future__ import annotations

import ctypes
import socket
import struct
from types import TracebackType
from typing import Self

_SO_ATTACH_FILTER = 26


class KernelFilter:
    """A datagram socket that receives what a program accepts."""

    def __init__(self, program: bytes) -> None:
        self._sender, self._receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        code = ctypes.create_string_buffer(program)
        argument = struct.pack("@HxxxxxxP", len(program) // 8, ctypes.addressof(code))
        self._receiver.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, argument)
        self._receiver.setblocking(False)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._sender.close()
        self._receiver.close()

    def accepts(self, packet: bytes) -> bool:
        """Tell whether the program lets a packet through."""
        try:
            self._sender.send(packet)
            self._receiver.recv(len(packet) + 1)
        except (BlockingIOError, PermissionError):
            return False
        return True
