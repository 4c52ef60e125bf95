"""One agent on a node with twenty pods on a bridge: every lookup and every connection, once."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from tests.end_to_end.lab import Lab, Node, Place, missing_tool
from tests.end_to_end.processes import Roles

pytestmark = pytest.mark.root

NODE = Node("one", ("192.168.91.1/24", "fd91::1/64"), ("10.91.0.0/24", "fd91:1::/64"))
RESOLVER, SERVER, SERVICE = "10.91.0.53", "10.91.0.9", "10.191.0.9"
PODS = [f"pod-{number}" for number in range(20)]
CLIENTS = {pod: f"10.91.0.{100 + number}" for number, pod in enumerate(PODS)}
IPV6_CLIENTS = {pod: f"fd91:1::{100 + number}" for number, pod in enumerate(PODS)}
NAME = "server.shop.lab"
CALLS = 3


@pytest.fixture(scope="module")
def seen(tmp_path_factory):
    """What an agent wrote down while every pod called the server three times."""
    if why := missing_tool():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("node")
    places = [
        Place("dns", "one", (RESOLVER,)),
        Place("server", "one", (SERVER, "fd91:1::9"), service_addresses=(SERVICE,), ports=(8080,)),
        *(Place(pod, "one", (CLIENTS[pod], IPV6_CLIENTS[pod])) for pod in PODS),
    ]
    with Lab((NODE,), tuple(places), resolver=RESOLVER, search="shop.lab lab") as lab, Roles(folder) as roles:
        lab.serve_names("dns", [f"host-record={NAME},{SERVICE}", "no-negcache"])
        lab.call(PODS[0], NAME, 8080, keep=True)
        start = ("agent", "--agent-node=one", "--to", str(folder / "seen"), "--agent-publish-flush-seconds=0.2")
        roles.start("agent", *start, wrap=lambda command: lab.inside("one", command))
        roles.await_event("agent", "agent_started")
        for _ in range(CALLS):
            for pod in PODS:
                lab.call(pod, "server", 8080)
                lab.call(pod, "fd91:1::9", 8080)
        roles.stop("agent")
    return [json.loads(line) for line in (folder / "seen").read_text().splitlines()]


def test_every_lookup_is_counted_once(seen):
    lookups = Counter()
    for each in seen:
        if each["schema"] == "dns-answers.v1" and each["dns_question_type"] == "A":
            lookups[each["client_address"], each["dns_question_name"], *each["addresses"]] += each.get("count", 1)
    assert lookups == {(CLIENTS[pod], NAME, SERVICE): CALLS for pod in PODS}


def test_every_connection_is_counted_once(seen):
    connections = Counter()
    for each in seen:
        if each.get("evidence") == "syn" and each["server_port"] == 8080:
            connections[each["client_address"], each["server_address"]] += each.get("count", 1)
    over_ipv4 = {(CLIENTS[pod], SERVICE): CALLS for pod in PODS}
    over_ipv6 = {(IPV6_CLIENTS[pod], "fd91:1::9"): CALLS for pod in PODS}
    assert connections == over_ipv4 | over_ipv6


def test_a_connection_that_was_open_before_is_found_in_proc(seen):
    sockets = {
        (each["client_address"], each["server_address"], each["server_port"])
        for each in seen
        if each.get("evidence") == "socket" and each["server_port"] == 8080
    }
    assert (CLIENTS[PODS[0]], SERVICE, 8080) in sockets


def test_each_observation_names_the_resolver_that_answered(seen):
    assert {each["server_address"] for each in seen if each["schema"] == "dns-answers.v1"} == {RESOLVER}
