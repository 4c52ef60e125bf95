"""Edges become one graph, whatever their order and repetition."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from sink_exporter.graph import EdgeKey, assemble_graph, build_graph, edge_key, format_port, list_clusters
from tests.graphs import edge_lists, edge_of, shuffled_and_repeated, workload

FRONTEND = workload("frontend")
CART = workload("cartservice")
STRIPE = workload("api.stripe.com", "", "External")


def edge(**fields):
    return edge_of(**({"client": FRONTEND, "server": CART} | fields))


def test_edges_of_one_pair_become_one_arrow():
    dns = edge(dns_names=("cart.shop",), first_seen=5, last_seen=7, observations=2, nodes=("n1",))
    tcp = edge(server_port=7070, network_transport="tcp", evidence=("syn", "socket"), first_seen=3, last_seen=6)
    (arrow,) = build_graph([dns, tcp]).calls
    assert arrow.via == ("dns", "socket", "syn")
    assert arrow.ports == ("7070/TCP",)
    assert (arrow.first_seen, arrow.last_seen, arrow.observations) == (3, 7, 2)
    assert (arrow.dns_names, arrow.nodes) == (("cart.shop",), ("n1",))


def test_observations_of_all_edges_of_a_pair_are_counted():
    edges = [edge(observations=2), edge(server_port=80, network_transport="tcp", observations=3)]
    assert build_graph(edges).calls[0].observations == 5


def test_sets_of_a_record_that_came_unsorted_are_put_in_order():
    assert build_graph([edge(evidence=("syn", "dns", "syn"))]).calls[0].via == ("dns", "syn")


def test_ports_stand_in_the_order_of_their_numbers():
    ports = [edge(server_port=port, network_transport="tcp") for port in (10000, 443, 9)]
    assert build_graph(ports).calls[0].ports == ("9/TCP", "443/TCP", "10000/TCP")


def test_calls_out_of_the_cluster_are_apart():
    graph = build_graph([edge(server=STRIPE), edge()])
    assert [arrow.server for arrow in graph.calls] == [CART]
    assert [arrow.server for arrow in graph.external] == [STRIPE]


def test_of_two_records_of_one_edge_the_one_that_saw_more_counts():
    older, newer = edge(last_seen=5, observations=3), edge(last_seen=9, observations=8)
    assert build_graph([newer, older]).calls[0].observations == 8


def test_the_port_of_an_unknown_transport_stands_alone():
    assert format_port(53, None) == "53"
    assert format_port(None, "tcp") is None


def test_the_clusters_of_both_ends_are_known():
    assert list_clusters(build_graph([edge(server=replace(CART, cluster="b"))])) == ("b", "c")


def test_an_edge_is_known_by_its_ends_port_and_transport():
    assert edge_key(edge(server_port=80, network_transport="tcp")) == EdgeKey(FRONTEND, CART, 80, "tcp")


@given(edge_lists, st.randoms(use_true_random=False))
def test_shuffled_and_repeated_edges_give_the_same_graph(some, random):
    assert build_graph(shuffled_and_repeated(some, random)) == build_graph(some)


@given(edge_lists, st.randoms(use_true_random=False))
def test_a_graph_put_together_from_its_shuffled_arrows_is_the_same(some, random):
    graph = build_graph(some)
    arrows = list(graph.arrows) * 2
    random.shuffle(arrows)
    assert assemble_graph(arrows) == graph


@given(edge_lists)
def test_every_pair_of_workloads_has_exactly_one_arrow(some):
    pairs = [(arrow.client, arrow.server) for arrow in build_graph(some).arrows]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) == {(one.client, one.server) for one in some}
