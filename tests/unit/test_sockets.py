"""Socket tables to connections: the ports the right way round, and every row accounted for."""

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture_agent.malformed import MalformedSocketError
from capture_agent.sockets import MAX_SOCKETS, NamespaceSockets, parse_row
from tests.socket_tables import HEADER, row, table

POD, SERVER, PEER = "10.244.0.9", "10.96.0.10", "10.244.1.7"


def read(*lines, transport="tcp", byte_order="little"):
    sockets = NamespaceSockets(byte_order=byte_order)
    sockets.read_table([HEADER, *lines], transport)
    return sockets


def observe(*lines, transport="tcp", **more):
    return read(*lines, transport=transport).observe(5, **more)


def ends(observations):
    return {(each.client_address, each.server_address, each.server_port, each.count) for each in observations}


def test_socket_on_an_ephemeral_port_is_the_client_and_the_remote_port_the_servers():
    (seen,) = observe(row(POD, 40000, SERVER, 80))
    assert (seen.client_address, seen.client_port, seen.server_address, seen.server_port) == (POD, 40000, SERVER, 80)
    assert (seen.evidence, seen.network_transport, seen.client_side, seen.observed_at) == (
        "socket",
        "tcp",
        "inferred",
        5,
    )


def test_connections_of_a_pool_are_one_observation_with_their_count():
    (seen,) = observe(*(row(POD, port, SERVER, 5432) for port in range(40000, 40500)))
    assert (seen.count, seen.client_port, seen.server_port) == (500, None, 5432)


@pytest.mark.parametrize("listener", ["0.0.0.0", "10.244.0.9"])
def test_socket_on_a_port_that_is_listened_on_is_the_servers(listener):
    assert observe(row(POD, 8080, PEER, 51720), row(listener, 8080, "0.0.0.0", 0, state=10)) == []


def test_listener_on_another_address_is_somebody_elses():
    (seen,) = observe(row(POD, 40000, SERVER, 80), row("10.244.0.8", 40000, "0.0.0.0", 0, state=10))
    assert seen.server_address == SERVER


def test_listener_of_tcp6_speaks_for_a_socket_of_tcp():
    sockets = read(row(POD, 8080, PEER, 51720))
    sockets.read_table([row("::", 8080, "::", 0, state=10)], "tcp")
    assert sockets.observe(5) == []


def test_listener_of_udp_does_not_speak_for_tcp():
    sockets = read(row(POD, 40000, SERVER, 80))
    sockets.read_table([row("0.0.0.0", 40000, "0.0.0.0", 0, state=7)], "udp")
    assert len(sockets.observe(5)) == 1


def test_server_side_is_an_option_with_the_peer_as_the_client():
    (seen,) = observe(row(POD, 8080, PEER, 51720), row("::", 8080, "::", 0, state=10), server_side=True)
    assert (seen.client_address, seen.client_port, seen.server_address, seen.server_port) == (PEER, 51720, POD, 8080)
    assert seen.client_side == "known"


def test_socket_that_is_opening_is_known_to_be_the_clients():
    (seen,) = observe(row(POD, 700, SERVER, 2049, state=2))
    assert seen.client_side == "known"


def test_side_is_unknown_where_neither_a_listener_nor_the_port_tells():
    (seen,) = observe(row(POD, 8080, PEER, 51720))
    assert seen.client_side == "unknown"


def test_ephemeral_ports_are_the_namespaces_own():
    (seen,) = observe(row(POD, 8080, PEER, 9090), ephemeral_ports=range(1024, 32768))
    assert seen.client_side == "inferred"


def test_higher_port_is_the_clients_where_the_range_of_ephemeral_ports_was_changed():
    (seen,) = observe(row(POD, 20000, PEER, 443))
    assert seen.client_side == "inferred"


def test_mapped_addresses_are_ipv4_and_alike_sockets_of_both_tables_one():
    sockets = read(row(POD, 40000, SERVER, 80))
    sockets.read_table([row(f"::ffff:{POD}", 40001, f"::ffff:{SERVER}", 80)], "tcp")
    assert ends(sockets.observe(5)) == {(POD, SERVER, 80, 1)}


def test_ipv6_is_read():
    assert ends(observe(row("fd00::9", 40000, "fd00::a", 443))) == {("fd00::9", "fd00::a", 443, 1)}


@pytest.mark.parametrize("state", [3, 4, 5, 6, 7, 8, 9, 11, 12])
def test_socket_that_is_closing_or_half_open_is_left_out(state):
    sockets = read(row(POD, 40000, SERVER, 80, state=state))
    assert (sockets.observe(5), sockets.dropped["not_connected"]) == ([], 1)


def test_connected_udp_socket_is_a_client():
    (seen,) = observe(row(POD, 40000, SERVER, 53), transport="udp")
    assert (seen.network_transport, seen.server_port) == ("udp", 53)


def test_udp_socket_that_shares_the_port_of_an_unconnected_one_is_a_servers():
    rows = row(POD, 5353, PEER, 40000), row("0.0.0.0", 5353, "0.0.0.0", 0, state=7)
    assert observe(*rows, transport="udp") == []


@pytest.mark.parametrize(
    ("local", "remote"),
    [("127.0.0.1", "127.0.0.1"), ("::1", "::1"), ("0.0.0.0", SERVER), ("fe80::1", "fe80::2"), (POD, "169.254.169.254")],
)
def test_loopback_link_local_and_unspecified_are_silent(local, remote):
    sockets = read(row(local, 40000, remote, 80))
    assert (sockets.observe(5), sockets.dropped["silent_address"]) == ([], 1)


def test_pod_of_the_namespace_goes_along():
    assert observe(row(POD, 40000, SERVER, 80), pod_uid="u-1")[0].pod_uid == "u-1"


def test_words_are_read_in_the_byte_order_of_the_host():
    line = row("10.0.0.1", 40000, "fd00::a", 80, byte_order="big")
    assert parse_row(line, byte_order="big").local_address == "10.0.0.1"
    assert parse_row(row("fd00::9", 1, "fd00::a", 2, byte_order="big"), byte_order="big").remote_address == "fd00::a"


def test_row_of_the_kernel_is_read_as_documented():
    line = b"   0: 5978F40A:89A4 B30E620A:0050 01 00000000:00000000 03:00000ACB 00000000     0        0 0 3 0000"
    assert parse_row(line, byte_order="little") == ("10.244.120.89", 35236, "10.98.14.179", 80, "ESTABLISHED")


BROKEN = (
    b"rubbish",
    b"1: 5978F40A:89A4 B30E620A:0050",
    b"1: 5978F40A:89A4 B30E620A:0050 FF 0",
    b"1: 5978F40:89A4 B30E620A:0050 01 0",
    b"1: 5978F40A:89A4 B30E620A-0050 01 0",
    b"1: XX78F40A:89A4 B30E620A:0050 01 0",
    b"1: 5978F40A:89A4 B30E620A:00G0 01 0",
    b"1: 5978F40A:GGGG 00000000:0000 0A 0",
    b"1: \xff\xfe78F40A:89A4 B30E620A:0050 01 0",
)


@pytest.mark.parametrize("line", BROKEN)
def test_malformed_row_costs_itself_and_no_other(line):
    sockets = read(row(POD, 40000, SERVER, 80), line, row(POD, 40001, PEER, 80))
    assert len(sockets.observe(5)) == 2
    assert (sockets.received, sockets.dropped["malformed_socket_row"]) == (3, 1)


@pytest.mark.parametrize("line", BROKEN)
def test_malformed_row_alone_is_the_one_error(line):
    with pytest.raises(MalformedSocketError):
        parse_row(line, byte_order="little")


@settings(deadline=None)
@given(st.lists(st.binary(max_size=80).map(lambda octets: octets.replace(b"\n", b"")), max_size=10))
def test_every_row_is_observed_or_counted(lines):
    sockets = read(row(POD, 40000, SERVER, 80), *lines)
    observations = sockets.observe(5)
    assert sockets.received == sum(each.count for each in observations) + sum(sockets.dropped.values())


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((POD, SERVER, "127.0.0.1", "::", "fd00::1", "0.0.0.0")),
            st.sampled_from((80, 8080, 40000, 40001)),
            st.sampled_from((PEER, SERVER, "fd00::2", "0.0.0.0")),
            st.sampled_from((80, 50051, 51720)),
            st.integers(1, 12),
        ),
        max_size=30,
    ),
    st.booleans(),
    st.sampled_from(("tcp", "udp")),
)
def test_received_is_observed_plus_dropped(rows, server_side, transport):
    lines = [
        row(local, port, remote, other, state=state)
        for local, port, remote, other, state in rows
        if (":" in local) == (":" in remote)
    ]
    sockets = read(*lines, transport=transport)
    observations = sockets.observe(5, server_side=server_side)
    assert sockets.received == len(lines)
    assert sockets.received == sum(each.count for each in observations) + sum(sockets.dropped.values())


def test_hundred_thousand_sockets_take_bounded_memory():
    lines = list(table(row(POD, 1024 + each % 60_000, SERVER, 80 + each // 60_000) for each in range(100_000)))
    tracemalloc.start()
    sockets = NamespaceSockets(byte_order="little")
    sockets.read_table(iter(lines), "tcp")
    observations = sockets.observe(5)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(each.count for each in observations) == 100_000
    assert peak < 16 * 2**20


def test_sockets_beyond_the_bound_are_counted(monkeypatch):
    monkeypatch.setattr("capture_agent.sockets.MAX_SOCKETS", 10)
    sockets = read(*(row(POD, port, SERVER, 80) for port in range(40000, 40025)))
    assert (sockets.observe(5)[0].count, sockets.dropped["overflow"]) == (10, 15)
    assert MAX_SOCKETS >= 100_000
