"""The demo's shop is what it says: sixteen calls, one reused address, one call known only from /proc."""

import json

from whocalls.shop import CALLS, EVICTED_AT, PODS, REPLACED_AT, REUSED_ADDRESS, SERVICES, SOCKET_ONLY, shop_objects
from whocalls.shop_traffic import write_shop_input


def test_the_shop_has_the_sixteen_calls_of_the_founding_article():
    assert sum(len(servers) for servers in CALLS.values()) == 16


def test_one_address_changes_hands_half_way():
    before, after = sorted((pod for pod in PODS if pod.address == REUSED_ADDRESS), key=lambda pod: pod.started_at)
    assert before.workload == "loadgenerator"
    assert before.ended_at == EVICTED_AT
    assert after.workload == "checkoutservice"
    assert after.started_at == REPLACED_AT > EVICTED_AT


def test_no_address_belongs_to_two_living_pods_or_services():
    living = [pod.address for pod in PODS if pod.ended_at is None] + [service.address for service in SERVICES]
    assert len(set(living)) == len(living)


def test_the_input_is_the_same_bytes_every_time(tmp_path):
    first, second = write_shop_input(tmp_path / "a"), write_shop_input(tmp_path / "b")
    assert [path.read_bytes() for path in first.captures.values()] == [
        path.read_bytes() for path in second.captures.values()
    ]
    assert first.objects.read_bytes() == second.objects.read_bytes()


def test_no_packet_shows_the_call_that_only_proc_knows(tmp_path):
    shop = write_shop_input(tmp_path)
    client, server = SOCKET_ONLY
    name = server.encode()
    assert all(name not in capture.read_bytes() for capture in shop.captures.values())
    cart = next(pod for pod in PODS if pod.workload == client)
    tables = [path.read_text() for path in shop.proc_trees[cart.node].glob("*/net/tcp")]
    assert sum(" 01 " in table for table in tables) == 1


def test_the_objects_are_what_kubectl_prints(tmp_path):
    items = json.loads(write_shop_input(tmp_path).objects.read_text())["items"]
    assert items == shop_objects()["items"]
    assert {item["kind"] for item in items} == {"Pod", "Service", "EndpointSlice", "ReplicaSet", "Node"}
