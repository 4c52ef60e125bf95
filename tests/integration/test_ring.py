"""The ring on a real interface: what the kernel hands over, and what it says that it dropped."""

from __future__ import annotations

import os
import select
import socket

import pytest

from callgraph.errors import CapabilityError
from capture_agent.filters import build_filter
from capture_agent.ring import Ring
from capture_agent.ring_layout import BLOCK_HEADER
from tests.dns_messages import A, message, record

pytestmark = pytest.mark.root

NAME = "ring-test.example"
ANSWER = message(NAME, A, [record(b"\xc0\x0c", A, bytes(4))])


@pytest.fixture
def ring():
    if os.geteuid() != 0:
        pytest.skip("needs root for a packet socket")
    ring = Ring(build_filter(resolver_ports=(53535,), syn=False), ring_bytes=2**20)
    yield ring
    ring.close()


def send_answers(count: int, *, port: int = 53535) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.bind(("127.0.0.1", port))
        for _ in range(count):
            sender.sendto(ANSWER, ("127.0.0.1", 9))


def read_packets(ring: Ring, count: int) -> int:
    """Read blocks until so many packets have come; the test's time limit is the poll's."""
    poller = select.poll()
    poller.register(ring, select.POLLIN)
    seen = 0
    while seen < count and poller.poll(5000):
        seen += sum(BLOCK_HEADER.unpack_from(ring.memory, start)[1] for start in ring.ready_blocks())
    return seen


def test_each_packet_comes_once_for_each_direction_and_none_is_dropped(ring):
    """On the loopback interface a packet is seen going out and coming in."""
    send_answers(10)
    assert read_packets(ring, 20) == 20
    assert ring.take_statistics()[:2] == (20, 0)


def test_what_the_filter_refuses_wakes_nobody(ring):
    send_answers(10, port=53536)
    poller = select.poll()
    poller.register(ring, select.POLLIN)
    assert poller.poll(400) == []


def test_the_ring_goes_on_after_it_was_full(ring):
    send_answers(20_000)
    full = read_packets(ring, 1)
    dropped = ring.take_statistics().dropped
    assert full > 0
    assert dropped > 0
    while read_packets(ring, 1):
        if ring.take_statistics().received == 0:
            break
    send_answers(5)
    assert read_packets(ring, 10) >= 10


def test_statistics_are_of_the_time_since_the_last_question(ring):
    send_answers(3)
    read_packets(ring, 6)
    ring.take_statistics()
    assert ring.take_statistics() == (0, 0, 0)


def test_a_ring_that_cannot_be_is_one_sentence():
    if os.geteuid() != 0:
        pytest.skip("needs root for a packet socket")
    with pytest.raises(CapabilityError, match="cannot set up a packet ring"):
        Ring(build_filter(resolver_ports=(53,), syn=False), ring_bytes=2**40)
