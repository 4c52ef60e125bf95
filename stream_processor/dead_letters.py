"""A record that does not decode, as a dead letter. Pure."""

from __future__ import annotations

from callgraph.errors import DecodeError
from callgraph.records import DeadLetter

_MOST_BYTES = 64 * 1024
_MOST_DETAIL = 500


def dead_letter(
    error: DecodeError, *, origin: tuple[str, int, int], key: bytes | None, value: bytes | None, failed_at: int
) -> DeadLetter:
    """Describe a record that did not decode: where it stands (topic, partition, offset), why, and its bytes."""
    topic, partition, offset = origin
    return DeadLetter(
        reason=error.reason,
        detail=error.detail[:_MOST_DETAIL],
        topic=topic,
        partition=partition,
        offset=offset,
        failed_at=failed_at,
        key=key[:_MOST_BYTES] if key else None,
        value=value[:_MOST_BYTES] if value else None,
    )
