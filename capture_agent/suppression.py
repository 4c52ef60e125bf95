"""What the agent knows already, so that a repeat is counted and not sent again. Pure.

In: observations, and the bytes that they came in. Out: facts that wait to be sent. A fact is new, then on its way,
then known for a window that begins with the broker's acknowledgement. A fact that was seen again in its window goes
out once more at the end of it, with the count and the time of the latest repeat: a lost batch heals, and an address
that has got a new owner meanwhile speaks for the new one. A fact that was not seen again is forgotten.

A packet is seen at several taps of one node (veth, bridge, tunnel). Repeats count at the tap of the first sighting
only.

Facts and bytes are known by their hashes alone, of 64 bits and with a key of the process (SipHash), which cost a
fifth of the memory. That two of 65,536 facts share one has a chance of 1 in 8 billion, and nobody outside can bring
it about.

Everything is bounded: facts, their raw bytes, and what one client can make up in a window: names, or servers. Where
room is needed, what was never seen again goes first, so one-off names do not crowd out what repeats.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Iterable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from callgraph.records import ConnectionObservation, DnsObservation

Observation = DnsObservation | ConnectionObservation
Outcome = Literal["new", "repeat", "overflow", "client_overflow"]

RAW_FORMS_PER_FACT = 8
"""Byte forms remembered for one fact: with and without EDNS, flags of several resolvers, spellings."""

_FOREIGN_PATIENCE_NS = 1_000_000_000
"""Sightings at another tap, this long after the last at the own one, mean that the own tap is gone."""


class Fact(Struct, gc=False):
    """One distinct observation and what was seen of it since it was last sent."""

    key: int
    observation: Observation
    tap: int
    last_at: int
    """Nanoseconds of the latest sighting at the own tap."""
    repeats: int = 0
    """Sightings at the own tap that no batch carries yet, beyond `observation.count`."""
    foreign_at: int = 0
    """Nanoseconds of the latest sighting at another tap."""
    raw_forms: tuple[int, ...] = ()
    is_new: bool = True
    """No batch has carried it yet."""
    due_at: int = 0
    """When its window ends, once it is known."""


class Suppressor:
    """The facts of one kind of source."""

    def __init__(self, *, window_ns: int, entries: int, names_per_client: int, keeps_all: bool = False) -> None:
        """`keeps_all`: no two observations are the same fact."""
        self._keeps_all = keeps_all
        self._window_ns = window_ns
        self._entries = entries
        self._names_per_client = names_per_client
        self._facts: dict[int, Fact] = {}
        self._waiting: deque[Fact] = deque()
        self._known: deque[Fact] = deque()
        """In the order in which their windows end."""
        self._proven: deque[Fact] = deque()
        """Known facts that were passed over when room was needed, because they repeat."""
        self._serial = 0
        self._names: dict[str, set[Hashable]] = {}
        self._names_until = 0
        self.raw: dict[int, Fact] = {}
        """Facts by the hash of the bytes that they came in; the packet loop looks here first."""

    def __len__(self) -> int:
        return len(self._facts)

    @property
    def waiting(self) -> int:
        """How many facts wait to be sent."""
        return len(self._waiting)

    def offer(self, observation: Observation, *, tap: int = 0, at: int, form: int = 0) -> Outcome:
        """Take a sighting in: a new fact waits to be sent, a repeat is counted.

        `form` is the hash of the bytes that it came in, 0 where those are not to be remembered.
        """
        key = self._next_serial() if self._keeps_all else hash(identify(observation))
        fact = self._facts.get(key)
        if fact is not None:
            note_repeat(fact, tap, at, observation.count)
            if form:
                self._remember_raw(fact, form)
            return "repeat"
        if len(self._facts) >= self._entries and not self._forget_oldest():
            return "overflow"
        if not (self._keeps_all or self._admit(observation, at)):
            return "client_overflow"
        fact = Fact(key, observation, tap, at)
        self._facts[key] = fact
        self._waiting.append(fact)
        if form:
            self._remember_raw(fact, form)
        return "new"

    def take(self, limit: int) -> list[Fact]:
        """Take facts that wait, oldest first; each must come back through `confirm` or `give_back`."""
        count = min(limit, len(self._waiting))
        return [self._waiting.popleft() for _ in range(count)]

    def confirm(self, facts: Iterable[Fact], *, now: int) -> None:
        """Begin the window of facts that the broker has."""
        due_at = now + self._window_ns
        for fact in facts:
            fact.is_new = False
            fact.due_at = due_at
            self._known.append(fact)

    def give_back(self, facts: Iterable[Fact]) -> None:
        """Let facts wait again that could not be delivered."""
        self._waiting.extend(facts)

    def end_windows(self, now: int) -> None:
        """Let facts that were seen again wait for another batch; forget the others."""
        for known in (self._known, self._proven):
            while known and known[0].due_at <= now:
                self._end_window(known.popleft())

    def end_all_windows(self) -> None:
        """Let everything wait that no batch carries yet: the program is about to end."""
        for known in (self._known, self._proven):
            while known:
                self._end_window(known.popleft())

    def _end_window(self, fact: Fact) -> None:
        if renew(fact):
            self._waiting.append(fact)
        else:
            self._forget(fact)

    def _admit(self, observation: Observation, at: int) -> bool:
        """Bound what one client can make up in a window: names, or servers with their ports."""
        if not self._names_until - self._window_ns <= at < self._names_until:
            # The window is over, or the clock was set back.
            self._names.clear()
            self._names_until = at + self._window_ns
        names = self._names.get(observation.client_address)
        if names is None:
            names = self._names[observation.client_address] = set()
        if isinstance(observation, DnsObservation):
            name: Hashable = observation.dns_question_name
        else:
            # The hash alone: a few bytes less for each of many, and a collision admits one server too many.
            name = hash((observation.server_address, observation.server_port))
        if name not in names:
            if len(names) >= self._names_per_client:
                return False
            names.add(name)
        return True

    def _next_serial(self) -> int:
        self._serial += 1
        return self._serial

    def _remember_raw(self, fact: Fact, form: int) -> None:
        if len(fact.raw_forms) < RAW_FORMS_PER_FACT and form not in self.raw and not self._keeps_all:
            fact.raw_forms += (form,)
            self.raw[form] = fact

    def _forget_oldest(self) -> bool:
        """Make room: forget a known fact, one that does not repeat if there is one. What is not delivered yet stays."""
        while self._known:
            fact = self._known.popleft()
            if not fact.repeats:
                self._forget(fact)
                return True
            self._proven.append(fact)
        if self._proven:
            self._forget(self._proven.popleft())
            return True
        return False

    def _forget(self, fact: Fact) -> None:
        del self._facts[fact.key]
        for form in fact.raw_forms:
            del self.raw[form]


def identify(observation: Observation) -> Hashable:
    """Return what makes two observations the same fact: neither time, nor TTL, nor the path that the answer took."""
    if isinstance(observation, DnsObservation):
        return (
            observation.client_address,
            observation.dns_question_name,
            observation.dns_question_type,
            observation.addresses,
            observation.cnames,
            observation.targets,
        )
    return (
        observation.client_address,
        observation.server_address,
        observation.server_port,
        observation.network_transport,
        observation.evidence,
        observation.pod_uid,
        observation.dns_question_name,
    )


def note_repeat(fact: Fact, tap: int, at: int, count: int = 1) -> None:
    """Count a sighting of a known fact, if it is not the same packet at another tap."""
    if fact.tap == tap:
        fact.repeats += count
        fact.last_at = at
    else:
        fact.foreign_at = at


def renew(fact: Fact) -> bool:
    """Prepare a fact for another batch if it was seen since the last one."""
    if fact.foreign_at > fact.last_at + _FOREIGN_PATIENCE_NS:
        fact.last_at, fact.tap = fact.foreign_at, -1
        fact.repeats = fact.repeats or 1
    if not fact.repeats:
        return False
    fact.observation = replace(fact.observation, count=fact.repeats, observed_at=fact.last_at)
    fact.repeats = 0
    return True


def carry(fact: Fact) -> Observation:
    """Return the observation as a batch carries it now; what was counted meanwhile goes along."""
    if fact.repeats:
        fact.observation = replace(fact.observation, count=fact.observation.count + fact.repeats)
        fact.repeats = 0
    return fact.observation
