"""Blocks of a TPACKET_V3 ring as the kernel lays them out (include/uapi/linux/if_packet.h), for tests. Pure."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Sequence

_BLOCK_BYTES = 65_536
_FIRST_AT, _DATA_AT = 48, 96


def make_block(
    packets: Sequence[tuple[bytes, int]],
    *,
    seconds: int = 1_700_000_000,
    times: Sequence[tuple[int, int]] = (),
) -> mmap.mmap:
    """Lay out packets, each with the interface that it was seen on, ready to be read.

    All at the same second, or each at a time of its own, in seconds and nanoseconds.
    """
    stamps = times or [(seconds, 0)] * len(packets)
    memory = mmap.mmap(-1, _BLOCK_BYTES)
    struct.pack_into("=II III", memory, 0, 1, 48, 1, len(packets), _FIRST_AT)
    at = _FIRST_AT
    for (packet, interface), stamp in zip(packets, stamps, strict=True):
        size = (_DATA_AT + len(packet) + 15) & ~15
        struct.pack_into("=6IHH", memory, at, size, *stamp, len(packet), len(packet), 1, _DATA_AT, _DATA_AT)
        struct.pack_into("=HHiHBB8s", memory, at + 48, 17, 8, interface, 1, 0, 6, b"")
        memory[at + _DATA_AT : at + _DATA_AT + len(packet)] = packet
        at += size
    return memory
