"""A shop of six teams, for the page: enough to see every kind of call, small enough to know by heart.

Times are seconds before `NOW`. Ends are `namespace/name`; a name without a namespace is outside the cluster.
"""

from __future__ import annotations

from callgraph.records import Edge, Workload
from sink_exporter.graph import EXTERNAL, CallGraph, build_graph

NOW = 1_795_000_000
_SECOND = 1_000_000_000
_DAY = 86_400
_BOTH = ("dns", "socket")
_DNS = ("dns",)
_KINDS = {
    **dict.fromkeys(("checkout/redis-cart", "payments/ledger", "payments/payments-db"), "StatefulSet"),
    **dict.fromkeys(("catalog/elasticsearch", "data/kafka", "data/orders-db", "monitoring/prometheus"), "StatefulSet"),
    **dict.fromkeys(("payments/nightly-reconcile", "data/warehouse-loader"), "CronJob"),
}
_CALLS = (
    # client, server, port, evidence, seconds since it was last seen
    ("web/loadgenerator", "web/frontend", 8080, _BOTH, 20),
    ("web/frontend", "checkout/checkoutservice", 5050, _BOTH, 30),
    ("web/frontend", "checkout/cartservice", 7070, _BOTH, 12),
    ("web/frontend", "catalog/productcatalogservice", 3550, _BOTH, 40),
    ("web/frontend", "catalog/recommendationservice", 8080, _BOTH, 9),
    ("web/frontend", "catalog/currencyservice", 7000, ("dns", "syn"), 5),
    ("web/frontend", "catalog/adservice", None, _DNS, 70),
    ("web/frontend", "checkout/shippingservice", 50051, _BOTH, 0),
    ("web/mobile-bff", "checkout/checkoutservice", 5050, _BOTH, 0),
    ("web/mobile-bff", "checkout/cartservice", 7070, _BOTH, 0),
    ("web/mobile-bff", "catalog/search", 9000, _BOTH, 60),
    ("checkout/checkoutservice", "checkout/cartservice", 7070, _BOTH, 0),
    ("checkout/checkoutservice", "catalog/currencyservice", 7000, _BOTH, 0),
    ("checkout/checkoutservice", "checkout/emailservice", None, _DNS, 0),
    ("checkout/checkoutservice", "payments/paymentservice", 50051, _BOTH, 3),
    ("checkout/checkoutservice", "catalog/productcatalogservice", 3550, _BOTH, 0),
    ("checkout/checkoutservice", "checkout/shippingservice", 50051, _BOTH, 0),
    ("checkout/checkoutservice", "data/kafka", 9092, _BOTH, 0),
    ("checkout/cartservice", "checkout/redis-cart", 6379, ("socket",), 2),
    ("checkout/shippingservice", "data/orders-db", 5432, _BOTH, 0),
    ("checkout/emailservice", "email.eu-west-1.amazonaws.com", 443, _BOTH, 0),
    ("payments/paymentservice", "payments/fraud-check", 8443, _BOTH, 90),
    ("payments/paymentservice", "payments/ledger", 5432, _BOTH, 0),
    ("payments/paymentservice", "api.stripe.com", 443, _BOTH, 15),
    ("payments/paymentservice", "data/kafka", 9092, _BOTH, 0),
    ("payments/ledger", "payments/payments-db", 5432, ("socket",), 0),
    ("payments/nightly-reconcile", "payments/ledger", 5432, _BOTH, 40_000),
    ("payments/nightly-reconcile", "payments/payments-db", None, _DNS, 40_000),
    ("payments/fraud-check", "eu.risk.example.com", 443, _BOTH, 60),
    ("payments/fraud-check", "us.risk.example.com", 443, _BOTH, 60),
    ("catalog/recommendationservice", "catalog/productcatalogservice", 3550, _BOTH, 0),
    ("catalog/search", "catalog/elasticsearch", 9200, _BOTH, 0),
    ("catalog/productcatalogservice", "catalog/elasticsearch", 9200, _BOTH, 0),
    ("catalog/adservice", "ads.doubleclick.net", None, _DNS, 0),
    ("catalog/currencyservice", "api.exchangerate.host", 443, _BOTH, 0),
    ("data/etl-orders", "data/kafka", 9092, _BOTH, 0),
    ("data/etl-orders", "data/orders-db", 5432, ("socket",), 0),
    ("data/warehouse-loader", "data/orders-db", 5432, _BOTH, 7_200),
    ("data/warehouse-loader", "warehouse.s3.eu-west-1.amazonaws.com", 443, _BOTH, 7_200),
    ("monitoring/prometheus", "web/frontend", 9100, _BOTH, 10),
    ("monitoring/prometheus", "payments/paymentservice", 9100, _BOTH, 10),
    ("web/frontend", "kube-system/coredns", 53, ("syn",), 1),
)
_NEW = frozenset(("payments/fraud-check",))


def workload_at(path: str) -> Workload:
    """Return the workload that a path names."""
    namespace, _, name = path.rpartition("/")
    kind = _KINDS.get(path, "Deployment") if namespace else EXTERNAL
    return Workload(cluster="prod-eu1", namespace=namespace, kind=kind, name=name)


def sample_edges(now: int = NOW) -> list[Edge]:
    """Return the calls of the shop."""
    return [_edge(*call, now) for call in _CALLS]


def sample_graph() -> CallGraph:
    """Return the shop as a graph."""
    return build_graph(sample_edges())


def _edge(client: str, server: str, port: int | None, evidence: tuple[str, ...], ago: int, now: int) -> Edge:
    age = 3_600 if {client, server} & _NEW else 9 * _DAY
    outside = "/" not in server
    namespace, _, name = server.rpartition("/")
    return Edge(
        client=workload_at(client),
        server=workload_at(server),
        server_port=port,
        network_transport=None if port is None else "tcp",
        evidence=evidence,
        first_seen=(now - age - ago) * _SECOND + 123_456_789,
        last_seen=(now - ago) * _SECOND,
        observations=421,
        dns_names=() if "dns" not in evidence else (server if outside else f"{name}.{namespace}.svc.cluster.local",),
        services=() if outside else (server,),
        nodes=("node-a", "node-c"),
        exemplars=("whocalls.dns-answers/3/88121",),
    )
