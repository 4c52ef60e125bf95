"""Many followers of the event stream at once: each is told everything, memory stays, the slow are cut off."""

import contextlib
import json
import os
import selectors
import socket
import time

import pytest
from msgspec.structs import replace

from tests.page.serving import ServeProcess, Topic, await_that, read_events
from tests.sample_cluster import sample_edges, workload_at

pytestmark = pytest.mark.kafka

FOLLOWERS = 200
SECONDS = float(os.environ.get("WHOCALLS_TEST_FOLLOW_SECONDS", "60"))
_GROWTH_BYTES = 16 * 1024 * 1024


class Follower:
    """One reader of the stream on a plain socket; a stalled one connects and never reads."""

    def __init__(self, port, *, stalled=False):
        self.socket = socket.socket()
        if stalled:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        self.socket.setblocking(False)
        self.versions = []
        self.ended = False
        self._text = b""

    def read(self):
        """Take what has come."""
        with contextlib.suppress(BlockingIOError):
            data = self.socket.recv(1 << 20)
            self.ended = not data
            self._text += data
        whole, _, self._text = self._text.rpartition(b"\n\n")
        self.versions += [data["version"] for name, data in read_events(_without_chunks(whole)) if name == "change"]


def _without_chunks(text):
    """Leave out the lines of the chunked encoding and of the header: none of them looks like an event."""
    kept = [line.rstrip(b"\r") for line in text.split(b"\n")]
    return (
        b"\n".join(line for line in kept if not line or line.partition(b":")[0] in (b"event", b"id", b"data")) + b"\n\n"
    )


@pytest.fixture
def topic(kafka_settings, topic_settings):
    topic = Topic(kafka_settings, topic_settings)
    topic.publish(*sample_edges())
    return topic


@pytest.fixture
def served(topic, tmp_path):
    process = ServeProcess(tmp_path, environment=topic.environment).start()
    yield process
    if process.process.poll() is None:
        assert process.stop() == 0


@pytest.fixture
def connect(served):
    """Open followers; all are closed when the test ends."""
    opened = []

    def open_followers(count, *, stalled=False):
        new = [Follower(served.port, stalled=stalled) for _ in range(count)]
        opened.extend(new)
        return new

    yield open_followers
    for follower in opened:
        follower.socket.close()


def follow(followers, until, publish):
    """Read all followers until the time, publishing in between."""
    selector = selectors.DefaultSelector()
    for follower in followers:
        selector.register(follower.socket, selectors.EVENT_READ, follower)
    while time.monotonic() < until:
        publish()
        for key, _ in selector.select(0.1):
            key.data.read()
            if key.data.ended:
                selector.unregister(key.fileobj)
    selector.close()


def large_change(number):
    """Make edges whose message is about 60 kB."""
    for index in range(400):
        yield replace(
            sample_edges()[0],
            server=workload_at(f"many/{'service-with-a-long-name' * 3}-{index}"),
            last_seen=(1_800_000_000 + number) * 1_000_000_000,
        )


def test_two_hundred_followers_for_a_minute(served, topic, connect):
    followers = connect(FOLLOWERS)
    await_that(lambda: served.metric("whocalls_page_followers") == FOLLOWERS, what="200 followers")
    edge, count = sample_edges()[0], 0

    def publish():
        nonlocal count
        count += 1
        topic.publish(replace(edge, last_seen=(1_800_000_000 + count) * 1_000_000_000, observations=count))

    follow(followers, time.monotonic() + min(10, SECONDS / 4), publish)
    before = served.resident_bytes()
    follow(followers, time.monotonic() + SECONDS, publish)
    last = json.loads(served.get("api/v1/graph")[2])["version"]
    await_that(
        lambda: [f.read() for f in followers] and all(f.versions[-1] == last for f in followers), what="the last"
    )
    grown = served.resident_bytes() - before
    told = {len(follower.versions) for follower in followers}
    print(f"\n{FOLLOWERS} followers, {told} messages each, memory grew by {grown / 1024:.0f} KiB")  # noqa: T201
    assert len(told) == 1
    assert all(follower.versions == followers[0].versions for follower in followers)
    assert grown < _GROWTH_BYTES
    assert served.metric("whocalls_page_slow_followers_total") == 0


def test_a_reader_that_does_not_read_is_cut_off_and_counted_and_the_others_go_on(served, topic, connect):
    slow = connect(3, stalled=True)
    quick = connect(3)
    await_that(lambda: served.metric("whocalls_page_followers") == 6, what="6 followers")
    number = 0

    def publish():
        nonlocal number
        number += 1
        topic.publish(*large_change(number))

    def are_cut_off():
        follow(quick, time.monotonic() + 0.5, publish)
        return served.metric("whocalls_page_slow_followers_total") == 3

    await_that(are_cut_off, seconds=120, what="the end of the slow ones")
    await_that(lambda: served.metric("whocalls_page_followers") == 3, what="3 followers left")
    assert not any(follower.ended for follower in quick)
    assert len({tuple(follower.versions[:5]) for follower in quick}) == 1
    assert all(slow_one.socket.fileno() > 0 for slow_one in slow)


def test_a_follower_that_comes_back_goes_on_where_it_was(served, topic, connect):
    (first,) = connect(1)
    await_that(lambda: served.metric("whocalls_page_followers") == 1, what="a follower")
    topic.publish(replace(sample_edges()[0], last_seen=1_800_000_001 * 1_000_000_000))
    await_that(lambda: first.read() or first.versions, what="a change")
    topic.publish(replace(sample_edges()[0], last_seen=1_800_000_002 * 1_000_000_000))
    await_that(
        lambda: json.loads(served.get("api/v1/graph")[2])["version"] != first.versions[-1], what="the next change"
    )
    again = socket.create_connection(("127.0.0.1", served.port))
    again.sendall(
        f"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\nLast-Event-ID: {first.versions[-1]}\r\n\r\n".encode()
    )
    again.settimeout(30)
    text = b""
    while b"event: change" not in text:
        text += again.recv(65536)
    (change,) = [data for name, data in read_events(_without_chunks(text)) if name == "change"]
    assert change["before"] == first.versions[-1]
    again.close()


def test_the_page_ends_in_time_with_followers_open(served, connect):
    followers = connect(20)
    await_that(lambda: served.metric("whocalls_page_followers") == 20, what="20 followers")
    assert served.stop() == 0
    for follower in followers:
        follower.read()
