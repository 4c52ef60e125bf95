"""How the fake API server behaves; tests turn these while it runs."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class Switches:
    """What a test may change."""

    users: dict[str, str] = field(default_factory=dict)  # by token; empty: no token is asked for
    denied: set[tuple[str, str, str | None]] = field(default_factory=set)  # verb, resource, namespace
    watch_list: str = "served"  # or "forbidden" (422), "failing" (500 in the stream), "ignored"
    bookmark_seconds: float = 60.0
    future_seconds: float = 3.0
    frozen: set[str] = field(default_factory=set)  # resources; "*" is everything
    rules: list[dict] = field(default_factory=list)  # what SelfSubjectRulesReview tells, beyond what everybody may
    failures: dict[str, list[int]] = field(default_factory=dict)  # statuses of the next answers, by resource
