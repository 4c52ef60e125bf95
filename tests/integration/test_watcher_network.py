"""The watch over a network that goes away without a word: no reset, no end, nothing arrives any more."""

from __future__ import annotations

import os
import shutil
import subprocess
import time

import pytest

from stream_processor.kube_client import KubeClient
from stream_processor.settings import WatcherSettings
from tests.fake_api_server import FakeApiServer
from tests.kube_objects import a_pod
from tests.watching import QUICK, wait_until, watch

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("ip"), reason="needs root and ip(8)"),
]
NAME = f"whocalls-api-{os.getpid()}"
NEAR, FAR = f"wa{os.getpid()}n"[:15], f"wa{os.getpid()}f"[:15]
HERE, THERE = "198.18.77.1", "198.18.77.2"  # RFC 2544


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@pytest.fixture
def server():
    ip("netns", "add", NAME)
    try:
        ip("link", "add", NEAR, "type", "veth", "peer", "name", FAR, "netns", NAME)
        ip("addr", "add", f"{HERE}/30", "dev", NEAR)
        ip("link", "set", NEAR, "up")
        ip("-n", NAME, "addr", "add", f"{THERE}/30", "dev", FAR)
        ip("-n", NAME, "link", "set", FAR, "up")
        with FakeApiServer(host=THERE, netns=NAME) as server:
            yield server
    finally:
        subprocess.run(["ip", "link", "del", NEAR], check=False, capture_output=True)
        ip("netns", "del", NAME)


@pytest.fixture
def stream(server, tmp_path):
    """A watch of pods on which nothing happens."""
    kubeconfig = server.write_kubeconfig(tmp_path)
    stream = KubeClient(WatcherSettings(kubeconfig=kubeconfig, watch=QUICK)).open(
        "/api/v1/pods", {"watch": "true"}, accept="application/json", read_timeout=30
    )
    yield stream
    stream.close()


def go_dark() -> None:
    """Drop whatever the server's side sends, acknowledgements too; neither side is told."""
    ip("-n", NAME, "route", "add", "blackhole", f"{HERE}/32")


def come_back() -> None:
    ip("-n", NAME, "route", "del", "blackhole", f"{HERE}/32")


def test_a_connection_on_which_nothing_is_acknowledged_vouches_for_nothing_after_that(stream):
    wait_until(lambda: stream.silent_nanoseconds() > 0.9e9)
    wait_until(lambda: stream.silent_nanoseconds() < 0.5e9, what="keepalive was acknowledged")
    go_dark()
    lost_at = time.monotonic_ns()
    wait_until(lambda: time.monotonic_ns() - lost_at > 3e9)
    assert stream.silent_nanoseconds() >= 2.9e9


def test_a_connection_that_was_silent_for_a_second_is_acknowledged_at_once_when_asked(stream):
    wait_until(lambda: stream.silent_nanoseconds() > 1.1e9, what="the kernel waits for TCP_KEEPINTVL, two seconds")
    silences = [stream.silent_nanoseconds()]
    stream.ask()
    wait_until(lambda: silences.append(stream.silent_nanoseconds()) or silences[-1] < silences[-2])
    assert max(silences) < 1.9e9, "left alone, it would have been silent for two seconds"


def test_the_watermark_stops_when_the_network_is_gone_and_goes_on_when_it_is_back(server, tmp_path):
    with watch(server, tmp_path) as watching:
        watching.wait_for_watermark()
        go_dark()
        lost_at = time.time_ns()
        server.put(a_pod("unseen"))
        wait_until(lambda: watching.log.count("watch_failed") >= 1, seconds=20, what="keepalive gave the peer up")
        assert watching.watermark < lost_at
        come_back()
        watching.wait_for("unseen")
        watching.wait_for_watermark(after=time.time_ns())
