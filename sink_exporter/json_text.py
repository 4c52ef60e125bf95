"""Values as JSON text that is safe to print: what is not printable stands as an escape. Pure. Source: RFC 8259, 7."""

from __future__ import annotations

from typing import Any

import msgspec

_ENCODER = msgspec.json.Encoder()


def encode_json(value: Any) -> str:
    """Encode a value on one line. Outside its strings JSON is printable, so every odd character is inside one."""
    text = _ENCODER.encode(value).decode()
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escape(character) for character in text)


def _escape(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
