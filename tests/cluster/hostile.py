"""What a hostile pod sends from port 53. Pure.

Malformed messages after RFC 1035, section 4, each with what is wrong with it, and noise of a fixed seed.
"""

from __future__ import annotations

import random

from tests.dns_messages import A, message, record

_HEADER = bytes.fromhex("1234 8180 0001 0001 0000 0000")
FORGED_NAME, FORGED_ADDRESS = "forged.example.com", bytes((198, 51, 100, 66))


def malformed_messages() -> tuple[bytes, ...]:
    """Return messages that pass the kernel's filter and are no answers."""
    noise = random.Random(53)
    question = b"\x03abc\x00" + b"\x00\x01\x00\x01"
    return (
        _HEADER + b"\x3fabc",  # a label that is longer than the message
        _HEADER + b"\xc0\x0c\x00\x01\x00\x01",  # a name that points at itself
        _HEADER + b"\x03abc\xc0\x0c\x00\x01\x00\x01",  # a name that ends where it begins
        _HEADER + b"\xc0\xff" + b"\x00\x01\x00\x01",  # a name beyond the end
        _HEADER[:6] + b"\xff\xff\x00\x00\x00\x00" + question,  # 65,535 records announced, none there
        _HEADER + question + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\xff\xff\x01",  # data longer than the message
        _HEADER + question + b"\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x1e\x00\x03abc",  # an address of three bytes
        *(_HEADER + noise.randbytes(length) for length in range(1, 200, 3)),
    )


def forged_answer() -> bytes:
    """Return an answer that nobody asked for, and that is as good as any other."""
    return message(FORGED_NAME, A, [record(b"\xc0\x0c", A, FORGED_ADDRESS)])
