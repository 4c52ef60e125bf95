"""Text as a YAML scalar that reads back as the same text. Pure.

Source: YAML 1.1 (what PyYAML and Kubernetes' libraries read) and YAML 1.2, both: a scalar stands plain only where both
read it as the same string; otherwise it is double-quoted in ASCII.
"""

from __future__ import annotations

import re
from functools import lru_cache

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9._/-]*|[0-9]+/[A-Z]+")
_OTHER_MEANINGS = frozenset(("y", "n", "yes", "no", "on", "off", "true", "false", "null"))
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}


@lru_cache(maxsize=65_536)
def quote_scalar(text: str) -> str:
    """Write a text as a scalar, fit for block and flow context."""
    if _PLAIN.fullmatch(text) and text.lower() not in _OTHER_MEANINGS:
        return text
    return '"' + "".join(_escape(character) for character in text) + '"'


@lru_cache(maxsize=4_096)
def flow_list(texts: tuple[str, ...]) -> str:
    """Write texts as a list on one line."""
    return f"[{', '.join(quote_scalar(text) for text in texts)}]"


def _escape(character: str) -> str:
    code = ord(character)
    if character in _ESCAPES:
        return _ESCAPES[character]
    if 0x20 <= code < 0x7F:
        return character
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
