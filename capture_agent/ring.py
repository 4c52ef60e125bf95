"""Packets from the kernel: an AF_PACKET socket with a TPACKET_V3 ring, on all interfaces. Shell: socket, mmap.

In: a filter. Out: blocks of the ring, read in place and given back. The socket is of type SOCK_DGRAM, so every packet
begins at its IP header, and is bound to all protocols, both directions and every interface: answers of a resolver on
the host are outgoing packets only, and bridged ones never pass ETH_P_IP.

Source: Documentation/networking/packet_mmap.rst and include/uapi/linux/if_packet.h of the Linux kernel.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import socket
from collections.abc import Iterator
from struct import Struct as Wire
from typing import NamedTuple

from callgraph.errors import CapabilityError
from capture_agent.bpf import Instruction, pack
from capture_agent.ring_layout import BLOCK_STATUS_AT

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_SO_ATTACH_FILTER = 26
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_TPACKET_V3 = 2

_MOST_BLOCK_BYTES, _LEAST_BLOCKS = 2**20, 4
"""Large, for the same reason that blocks are handed over late: 10,000 answers a second fill three of them."""
RETIRE_MILLISECONDS = 500
"""A block that is not full is handed over after this time: two wake-ups a second, however little comes. Each costs
what the caches have forgotten meanwhile; packets bear their own times, and batches wait longer anyway."""

_FRAME_BYTES = 2048  # Only a unit of account in version 3, where packets are laid end to end.

_REQUEST = Wire("=7I")  # struct tpacket_req3
_STATISTICS = Wire("=3I")  # struct tpacket_stats_v3
_SOCK_ADDRESS = Wire("=HHiHBB8s")  # struct sockaddr_ll
_SOCK_FILTER_PROGRAM = Wire("@HxxxxxxP")  # struct sock_fprog

_KERNEL = bytes(4)
"""The status of a block that the kernel still fills."""


class RingStatistics(NamedTuple):
    """What the kernel did since it was last asked."""

    received: int
    dropped: int
    frozen: int
    """How often the ring was full; it thaws by itself when a block is given back."""


class Ring:
    """An open ring."""

    def __init__(self, program: tuple[Instruction, ...], *, ring_bytes: int) -> None:
        """Open a ring; raise CapabilityError where the kernel does not allow it."""
        block_bytes = min(_MOST_BLOCK_BYTES, 1 << (ring_bytes // _LEAST_BLOCKS).bit_length() - 1)
        blocks = ring_bytes // block_bytes
        try:
            # Protocol 0 receives nothing: no packet may come in before the filter is there.
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        except PermissionError as error:
            raise CapabilityError(
                "cannot open a packet socket: permission denied (the agent needs CAP_NET_RAW, or run it with "
                "agent.capture.dns and agent.capture.syn set to false)"
            ) from error
        try:
            self._set_up(program, blocks, block_bytes)
        except OSError as error:
            self._socket.close()
            raise CapabilityError(f"cannot set up a packet ring of {ring_bytes} bytes: {error.strerror}") from error
        self.memory = mmap.mmap(self._socket.fileno(), blocks * block_bytes)
        self._starts = tuple(range(0, blocks * block_bytes, block_bytes))
        self._next = 0

    def fileno(self) -> int:
        """Return the descriptor to poll: readable when a block is ready."""
        return self._socket.fileno()

    def ready_blocks(self) -> Iterator[int]:
        """Yield where each ready block begins in `memory`; it goes back to the kernel when the next one is asked for.

        Ends after one round, so that the rest of the loop gets its turn under any load.
        """
        memory = self.memory
        for _ in self._starts:
            start = self._starts[self._next]
            if memory[start + BLOCK_STATUS_AT : start + BLOCK_STATUS_AT + 4] == _KERNEL:
                return
            yield start
            memory[start + BLOCK_STATUS_AT : start + BLOCK_STATUS_AT + 4] = _KERNEL
            self._next = (self._next + 1) % len(self._starts)

    def take_statistics(self) -> RingStatistics:
        """Return the kernel's counters since the last call, which resets them."""
        raw = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        return RingStatistics(*_STATISTICS.unpack(raw))

    def close(self) -> None:
        """Give everything back."""
        self.memory.close()
        self._socket.close()

    def _set_up(self, program: tuple[Instruction, ...], blocks: int, block_bytes: int) -> None:
        _attach_filter(self._socket, program)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_VERSION, _TPACKET_V3)
        frames = blocks * block_bytes // _FRAME_BYTES
        request = _REQUEST.pack(block_bytes, blocks, _FRAME_BYTES, frames, RETIRE_MILLISECONDS, 0, 0)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_RX_RING, request)
        _bind_everywhere(self._socket)


def _attach_filter(packet_socket: socket.socket, program: tuple[Instruction, ...]) -> None:
    code = ctypes.create_string_buffer(pack(program))
    packet_socket.setsockopt(
        socket.SOL_SOCKET, _SO_ATTACH_FILTER, _SOCK_FILTER_PROGRAM.pack(len(program), ctypes.addressof(code))
    )


def _bind_everywhere(packet_socket: socket.socket) -> None:
    """Bind to every interface, those to come included: index 0, which socket.bind cannot say."""
    address = _SOCK_ADDRESS.pack(socket.AF_PACKET, socket.htons(_ETH_P_ALL), 0, 0, 0, 0, bytes(8))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(packet_socket.fileno(), address, len(address)):
        number = ctypes.get_errno() or errno.EIO
        raise OSError(number, os.strerror(number))
