"""What could not be attributed, counted by reason and sampled. Pure.

In: decisions with their refusals. Out: how many observations were refused, by reason, and records for the `unresolved`
topic: each reason and address at most once a minute, and no more than a bounded number of them in a minute.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from callgraph.records import UnresolvedRecord
from stream_processor.attribution import Decision
from stream_processor.resolve import Refusal

MINUTE = 60_000_000_000
MOST_PER_MINUTE = 1000


class UnresolvedSample:
    """Remembers what it has shown in the current minute."""

    def __init__(self) -> None:
        self._minute = 0
        self._shown: set[tuple[str, str, str]] = set()
        self._records: list[UnresolvedRecord] = []

    def take(self, decisions: Iterable[Decision], *, now: int) -> Counter[str]:
        """Count what was refused altogether, by its first reason, and sample every refusal."""
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._shown.clear()
        counts: Counter[str] = Counter()
        for decision in decisions:
            if decision.refusals and not decision.attributed:
                counts[decision.refusals[0].reason] += len(decision.indexes)
            for refusal in decision.refusals:
                self._sample(decision, refusal)
        return counts

    def records(self) -> list[UnresolvedRecord]:
        """Hand out the samples since the last time."""
        records, self._records = self._records, []
        return records

    def _sample(self, decision: Decision, refusal: Refusal) -> None:
        shown = (decision.cluster, refusal.reason, refusal.address)
        if shown in self._shown or len(self._shown) >= MOST_PER_MINUTE:
            return
        self._shown.add(shown)
        observation = decision.observations[0]
        self._records.append(
            UnresolvedRecord(
                cluster=decision.cluster,
                node=decision.node,
                reason=refusal.reason,
                side=refusal.side,
                address=refusal.address,
                observed_at=observation.observed_at,
                dns_question_name=getattr(observation, "dns_question_name", None),
                server_port=getattr(observation, "server_port", None),
                count=observation.count,
            )
        )
