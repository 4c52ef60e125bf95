"""A gate on new calls: what is called now, was not before, and nobody has allowed. Pure.

The list of what is allowed is text, a rule a line: `CLIENT -> SERVER`, each a pattern as in `sink_exporter.filters`
(`shop/* -> data/redis`); `#` begins a comment.
"""

from __future__ import annotations

from msgspec import Struct

from callgraph.errors import InputError
from sink_exporter.difference import compare_graphs
from sink_exporter.filters import matches
from sink_exporter.graph import Arrow, CallGraph


class AllowedCall(Struct, frozen=True, kw_only=True):
    """Patterns of a client and a server."""

    client: str
    server: str


def parse_allowed_calls(text: str, name: str) -> tuple[AllowedCall, ...]:
    """Read the list. Raises InputError, naming the line."""
    allowed = []
    for number, line in enumerate(text.splitlines(), start=1):
        rule = line.partition("#")[0].strip()
        client, arrow, server = (part.strip() for part in rule.partition("->"))
        if rule and not (client and arrow and server and "->" not in server):
            raise InputError(
                f"line {number} of {name} is {line.strip()!r}, not CLIENT -> SERVER (shop/* -> data/redis)"
            )
        if rule:
            allowed.append(AllowedCall(client=client, server=server))
    return tuple(allowed)


def find_new_calls(baseline: CallGraph, now: CallGraph, allowed: tuple[AllowedCall, ...] = ()) -> tuple[Arrow, ...]:
    """Return the arrows that are in the graph now, not in the baseline, and not allowed."""
    return tuple(arrow for arrow in compare_graphs(baseline, now).added if not _is_allowed(arrow, allowed))


def _is_allowed(arrow: Arrow, allowed: tuple[AllowedCall, ...]) -> bool:
    return any(matches(arrow.client, rule.client) and matches(arrow.server, rule.server) for rule in allowed)
