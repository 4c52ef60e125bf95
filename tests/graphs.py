"""Edges for the tests of the exporter: the shop of the founding article, and anything at all."""

from hypothesis import strategies as st

from callgraph.records import Edge, Workload
from sink_exporter.graph import build_graph

SHOP_NAMESPACE = "otterize-ecom-demo"
SHOP_TEXT = """\
cartservice in namespace otterize-ecom-demo calls:
  - redis-cart
checkoutservice in namespace otterize-ecom-demo calls:
  - cartservice
  - currencyservice
  - emailservice
  - paymentservice
  - productcatalogservice
  - shippingservice
frontend in namespace otterize-ecom-demo calls:
  - adservice
  - cartservice
  - checkoutservice
  - currencyservice
  - productcatalogservice
  - recommendationservice
  - shippingservice
loadgenerator in namespace otterize-ecom-demo calls:
  - frontend
recommendationservice in namespace otterize-ecom-demo calls:
  - productcatalogservice
"""

# What a name must survive: YAML's other meanings, quotes, markup, line breaks, other scripts, endings of paths.
HOSTILE = [
    *("a", "b", "yes", "null", "1e5", "0x1f", "12:30:45", "~", "", " ", "- x", "a: b", "#x", "é", "\U0001f600"),
    *("..", "../../etc/x", '"', "\\", "'", "\n", "\x00", "\x1b[2J", "\x85", "\u202e", "<img src=x onerror=alert(1)>"),
    *("%41", "A", "a.b", "2026-01-01", "=", "<<", "---", "...", "[x]", "{x}", "*a", "&a", "!a", "|", ">", "@a", "`a"),
]
names = st.sampled_from(HOSTILE)
_clusters = st.sampled_from(["c", "d"])
_kinds = st.sampled_from(["Deployment", "Service", "no", "StatefulSet"])
workloads = st.builds(Workload, cluster=_clusters, namespace=names, kind=_kinds, name=names)
outside = st.builds(Workload, cluster=_clusters, namespace=st.just(""), kind=st.just("External"), name=names)


def _sorted_tuples(values):
    return st.sets(values, max_size=3).map(sorted).map(tuple)


edges = st.builds(
    Edge,
    client=workloads,
    server=workloads | outside,
    server_port=st.none() | st.sampled_from([80, 443, 7070]),
    network_transport=st.none() | st.sampled_from(["tcp", "udp"]),
    evidence=_sorted_tuples(st.sampled_from(["dns", "socket", "syn"])),
    dns_names=_sorted_tuples(names),
    services=_sorted_tuples(names),
    first_seen=st.integers(0, 9),
    last_seen=st.integers(10, 2**62),
    observations=st.integers(1, 9),
)
edge_lists = st.lists(edges, max_size=6)
graphs = edge_lists.map(build_graph)


def workload(name, namespace="shop", kind="Deployment", cluster="c"):
    return Workload(cluster=cluster, namespace=namespace, kind=kind, name=name)


def edge_of(client, server, **fields):
    return Edge(**({"client": client, "server": server, "evidence": ("dns",)} | fields))


def graph_of(*pairs):
    return build_graph(edge_of(client, server) for client, server in pairs)


def shop_edges(namespace=SHOP_NAMESPACE):
    client, edges = "", []
    for line in SHOP_TEXT.splitlines():
        if line.startswith("  - "):
            edges.append(edge_of(workload(client, namespace), workload(line[4:], namespace), first_seen=1, last_seen=2))
        else:
            client = line.split()[0]
    return edges


def shuffled_and_repeated(some, random):
    again = [*some, *some[::2]]
    random.shuffle(again)
    return again
