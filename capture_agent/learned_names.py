"""By which name a client learnt the address of a server. Pure, but for memory.

In: DNS answers and connections of one node, in the order in which they are observed. Out: the connections, with the
latest name before them that a resolver gave this client for this address (docs/adr/0008). Nothing is decided here: the
name is for servers outside of the cluster, and only the processor knows which those are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from sys import intern
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import replace

from callgraph.records import ConnectionObservation, DnsObservation

T = TypeVar("T")
_Pair = tuple[str, str]

MOST_PAIRS = 8_192
"""Pairs of client and server: 74 for each of the 110 pods of a full node. They take 0.7 MB while the answers are known
anyway, 3 MB at most with names of common length."""

_MOST_FRESH = 256

_NEVER_SERVERS = ("0.", "127.", "169.254.", "::")
"""What blocking resolvers answer, and what never leaves a host or a link: no connection to it is ever observed."""


class LearnedName(Struct, frozen=True, gc=False):
    """What one answer taught."""

    question_name: str
    cnames: tuple[str, ...]
    observed_at: int


class LearnedNames:
    """The names that the clients of one node know their servers by; what was not used for longest is forgotten.

    Pairs live in two generations, at less memory than an order of their use would take: a pair that is used enters
    the young one, and when that is full, the old one is dropped and it becomes the old one.
    """

    def __init__(self, limit: int = MOST_PAIRS) -> None:
        self._most_young = limit // 2
        self._young: dict[_Pair, LearnedName] = {}
        self._old: dict[_Pair, LearnedName] = {}
        self._fresh: list[DnsObservation] = []
        """Answers whose pairs are not made yet."""
        self._latest_at = 0
        """When the latest of all answers was observed."""

    def __len__(self) -> int:
        self._take_fresh()
        return len(self._young) + len(self._old)

    def learn(self, answer: DnsObservation) -> None:
        """Take in an answer; one observed earlier than what is known changes nothing.

        Its pairs are made with those of others, when they are asked for or are many: that is faster than one by one.
        """
        self._fresh.append(answer)
        if len(self._fresh) >= _MOST_FRESH:
            self._take_fresh()

    def _take_fresh(self) -> None:
        fresh, self._fresh = self._fresh, []
        for answer in fresh:
            learned = LearnedName(answer.dns_question_name, answer.cnames, answer.observed_at)
            client = intern(answer.client_address)
            if learned.observed_at < self._latest_at:
                self._learn_late(client, answer.addresses, learned)
                continue
            self._latest_at = learned.observed_at
            young = self._make_room(len(answer.addresses))
            for address in answer.addresses:
                if not address.startswith(_NEVER_SERVERS):
                    young[client, address] = learned

    def _learn_late(self, client: str, addresses: Iterable[str], learned: LearnedName) -> None:
        """Learn from an answer that is not the latest of all; what was observed after it stays."""
        for address in addresses:
            pair = (client, address)
            known = self._young.get(pair) or self._old.get(pair)
            if not address.startswith(_NEVER_SERVERS) and (known is None or known.observed_at <= learned.observed_at):
                self._make_room(1)[pair] = learned

    def name_of(self, client_address: str, server_address: str, *, at: int) -> LearnedName | None:
        """Return what the client knew the server by; an answer that came later does not count."""
        learned = self._find((client_address, server_address))
        return learned if learned is not None and learned.observed_at <= at else None

    def name(self, connection: ConnectionObservation) -> ConnectionObservation:
        """Add to a connection what its client knew the server by."""
        learned = self.name_of(connection.client_address, connection.server_address, at=connection.observed_at)
        if learned is None:
            return connection
        self._make_room(1)[connection.client_address, connection.server_address] = learned
        return replace(
            connection,
            dns_question_name=learned.question_name,
            dns_observed_at=learned.observed_at,
            cnames=learned.cnames,
        )

    def still_names(self, connection: ConnectionObservation, *, at: int) -> bool:
        """Tell whether a connection of the same client to the same server would get the same name at a later time."""
        learned = self.name_of(connection.client_address, connection.server_address, at=at)
        return connection.dns_question_name == (None if learned is None else learned.question_name)

    def _find(self, pair: _Pair) -> LearnedName | None:
        if self._fresh:
            self._take_fresh()
        return self._young.get(pair) or self._old.get(pair)

    def _make_room(self, count: int) -> dict[_Pair, LearnedName]:
        """Return the young generation, with room for so many pairs or empty."""
        if len(self._young) + count > self._most_young:
            self._old, self._young = self._young, {}
        return self._young


def name_connections(seen: Iterable[T], names: LearnedNames) -> Iterator[T | ConnectionObservation]:
    """Name the connections among what is seen by the answers before them."""
    for each in seen:
        if isinstance(each, DnsObservation):
            names.learn(each)
        yield names.name(each) if isinstance(each, ConnectionObservation) else each
