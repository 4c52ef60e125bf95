"""Names on their way through the agent: from the ring and from files to what a batch carries."""

from __future__ import annotations

import pytest

from callgraph.records import ConnectionObservation
from capture_agent.batches import Identity
from capture_agent.intake import Intake
from capture_agent.pipeline import Moment, Pipeline
from capture_agent.settings import AgentSettings
from tests.acknowledging import AcceptingPublisher
from tests.dns_messages import A, message, record
from tests.ip_packets import SYN, tcp, udp
from tests.ring_blocks import make_block

RESOLVER, CLIENT, SERVER = ("10.96.0.10", 53), ("10.244.1.7", 40000), ("203.0.113.9", 443)
START = 1_700_000_000
WINDOW = 300


class Node:
    """An agent's pure part, on packets whose time is given."""

    def __init__(self) -> None:
        self.publisher = AcceptingPublisher()
        self._pipeline = Pipeline(AgentSettings(), Identity("c", "n", "b"))
        self._pipeline.publisher = self.publisher
        self._intake = Intake(self._pipeline, resolver_ports=(53,))
        self._syns = 0

    def answer(self, name: str, *, seconds: int = 0, client: str = CLIENT[0]) -> None:
        said = message(name, A, [record(b"\xc0\x0c", A, bytes((203, 0, 113, 9)))])
        self._take(udp(RESOLVER, (client, CLIENT[1]), said), seconds)

    def connect(self, *, seconds: int = 0) -> None:
        self._syns += 1
        self._take(tcp(CLIENT, SERVER, flags=SYN, sequence=0x5EED0000 + self._syns), seconds)

    def read_socket(self, *, seconds: int = 0) -> None:
        at = (START + seconds) * 10**9
        seen = ConnectionObservation(
            observed_at=at,
            network_transport="tcp",
            client_address=CLIENT[0],
            server_address=SERVER[0],
            server_port=SERVER[1],
            evidence="socket",
        )
        self._pipeline.settle("socket", seen, at=at)

    def flush(self, seconds: int) -> None:
        for _ in range(2):
            self._pipeline.work(Moment((START + seconds) * 10**9, seconds * 10**9), flush=True)

    def sent(self) -> list[tuple[str | None, int]]:
        """Return the name and count of every connection that was sent."""
        self._pipeline.finish(Moment(START * 10**9, 0), gives_up=lambda: False)
        return [(each.dns_question_name, each.count) for each in self.connections()]

    def connections(self) -> list[ConnectionObservation]:
        return [
            each
            for batch in self.publisher.batches
            for each in batch.record.observations
            if isinstance(each, ConnectionObservation)
        ]

    def _take(self, packet: bytes, seconds: int) -> None:
        self._intake.take_block(make_block([(packet, 7)], seconds=START + seconds), 0)


@pytest.fixture
def node():
    return Node()


def test_syn_bears_the_name_of_the_answer_before_it(node):
    node.answer("api.example.org")
    node.connect(seconds=1)
    assert node.sent() == [("api.example.org", 1)]


def test_socket_bears_the_name_of_the_answer_before_it(node):
    node.answer("api.example.org")
    node.read_socket(seconds=1)
    assert node.sent() == [("api.example.org", 1)]


def test_connection_before_the_answer_stays_without_a_name(node):
    node.connect()
    node.answer("api.example.org", seconds=1)
    assert node.sent() == [(None, 1)]


def test_answer_to_another_client_names_nothing(node):
    node.answer("api.example.org", client="10.244.1.8")
    node.connect(seconds=1)
    assert node.sent() == [(None, 1)]


def test_answer_that_is_suppressed_is_still_remembered(node):
    node.answer("api.example.org")
    node.flush(1)
    node.answer("api.example.org", seconds=2)
    node.connect(seconds=3)
    assert node.sent() == [("api.example.org", 1)]


def test_repeats_under_one_name_are_one_fact(node):
    node.answer("api.example.org")
    for seconds in range(1, 4):
        node.connect(seconds=seconds)
    assert node.sent() == [("api.example.org", 3)]


def test_connections_under_another_name_are_another_fact(node):
    node.connect()
    node.answer("api.example.org", seconds=1)
    node.connect(seconds=2)
    node.answer("www.example.org", seconds=3)
    node.connect(seconds=4)
    node.connect(seconds=5)
    assert node.sent() == [(None, 1), ("api.example.org", 1), ("www.example.org", 2)]


def test_fact_that_is_sent_again_bears_the_time_of_the_latest_answer(node):
    """A pod that took over the address, and asked the same, is then known to have asked."""
    node.answer("api.example.org")
    node.connect(seconds=1)
    node.flush(2)
    node.answer("api.example.org", seconds=200)
    node.connect(seconds=201)
    node.flush(2 + WINDOW)
    node.flush(4 + WINDOW)
    first, again = node.connections()
    assert (first.dns_observed_at, again.dns_observed_at) == (START * 10**9, (START + 200) * 10**9)
