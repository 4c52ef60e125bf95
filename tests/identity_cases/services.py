"""What is behind a Service: R6. See `build`."""

from __future__ import annotations

from tests.identity_cases.build import (
    ASK_CART,
    CANARY,
    CART,
    CART_SERVICE,
    FRONTEND_ID,
    SHOP,
    TO_CART,
    case,
    conn,
    dns,
    exposing,
    external,
    outside,
)
from tests.small_cluster import FRONTEND, NODES, Json, endpoints, pod, service


def _alias(name: str, target: str) -> Json:
    return service(name, None, type="ExternalName", externalName=target, ports=[])


CART_SERVICE_ID = "shop/Service/cart"


def _unready(obj: Json) -> Json:
    return {**obj, "endpoints": [{**each, "conditions": {"ready": False}} for each in obj["endpoints"]]}


CASES = [
    case("R6.1 Without slices the selector leads to the pods.", SHOP, [ASK_CART], TO_CART, forbidden=["EndpointSlice"]),
    case(
        "R6.1 A selector looks in its own namespace only.",
        [*NODES, FRONTEND, pod("cart-0", "10.0.1.7", labels={"app": "cart"}, namespace="other"), CART_SERVICE],
        [ASK_CART],
        (FRONTEND_ID, CART_SERVICE_ID),
    ),
    case(
        "R6.1 Every label of the selector must fit.",
        [*NODES, FRONTEND, CART, service("cart", "10.96.5.5", selector={"app": "cart", "tier": "back"})],
        [ASK_CART],
        (FRONTEND_ID, CART_SERVICE_ID),
        forbidden=["EndpointSlice"],
    ),
    case(
        "R6.1 An endpoint that is not ready counts.",
        [*NODES, FRONTEND, CART, CART_SERVICE, _unready(endpoints("cart", CART))],
        [ASK_CART],
        TO_CART,
    ),
    case(
        "R6.1 Each family's cluster IP leads to the Service.",
        [
            *NODES,
            FRONTEND,
            CART,
            {
                **CART_SERVICE,
                "spec": {**CART_SERVICE["spec"], "clusterIP": "10.96.5.5", "clusterIPs": ["10.96.5.5", "fd00:96::5"]},
            },
            endpoints("cart", CART),
        ],
        [dns(10, "cart.shop.svc.cluster.local", "fd00:96::5")],
        TO_CART,
    ),
    case(
        "R6.2 Two workloads behind a selector are the Service.",
        [*NODES, FRONTEND, CART, CANARY, CART_SERVICE],
        [ASK_CART],
        (FRONTEND_ID, CART_SERVICE_ID),
        forbidden=["EndpointSlice"],
    ),
    case(
        "R6.2 A connection to the cluster IP of two workloads is the Service.",
        [*NODES, FRONTEND, CART, CANARY, CART_SERVICE, endpoints("cart", CART, CANARY)],
        [conn(10, "10.0.0.5", "10.96.5.5")],
        (FRONTEND_ID, CART_SERVICE_ID),
    ),
    case(
        "R6.3 A connection to a Service without endpoints is the Service.",
        [*NODES, FRONTEND, service("idle", "10.96.7.7", selector={"app": "idle"})],
        [conn(10, "10.0.0.5", "10.96.7.7")],
        (FRONTEND_ID, "shop/Service/idle"),
    ),
    case(
        "R6.3 A connection to a Service that leads outside is the Service.",
        [*NODES, FRONTEND, service("db", "10.96.7.8"), outside(endpoints("db"), "203.0.113.9")],
        [conn(10, "10.0.0.5", "10.96.7.8")],
        (FRONTEND_ID, "shop/Service/db"),
    ),
    case(
        "R6.4 A load balancer's address on another port is outside.",
        exposing(balancer=["198.51.100.7"]),
        [conn(10, "10.0.0.5", "198.51.100.7", 8443)],
        (FRONTEND_ID, external("198.51.100.7")),
    ),
    case(
        "R6.4 An external IP on another transport is outside.",
        exposing(externalIPs=["198.51.100.8"]),
        [conn(10, "10.0.0.5", "198.51.100.8", proto="udp")],
        (FRONTEND_ID, external("198.51.100.8")),
    ),
    case(
        "R6.4 A node port leads to its Service on every node.",
        exposing(type="NodePort", ports=[{"port": 80, "targetPort": 8080, "nodePort": 31234}]),
        [conn(10, "10.0.0.5", "192.168.1.10", 31234), conn(11, "10.0.0.5", "192.168.1.11", 31234)],
        TO_CART,
    ),
    case(
        "R6.4 A node port of another transport leads nowhere.",
        exposing(type="NodePort", ports=[{"port": 80, "targetPort": 8080, "nodePort": 31234}]),
        [conn(10, "10.0.0.5", "192.168.1.10", 31234, proto="udp")],
        refused=[(0, "server", "ambiguous_host_network")],
    ),
    case(
        "R6.4 An address shared by two load balancers is told apart by the port.",
        [
            *exposing(balancer=["198.51.100.7"]),
            service("other", "10.96.5.6", balancer=["198.51.100.7"], ports=[{"port": 81}]),
        ],
        [conn(10, "10.0.0.5", "198.51.100.7", 81), conn(11, "10.0.0.5", "198.51.100.7", 80)],
        (FRONTEND_ID, "shop/Service/other"),
        TO_CART,
    ),
    case(
        "R6.5 An ExternalName is the target outside.",
        [*NODES, FRONTEND, _alias("db", "db.example.com")],
        [
            dns(
                10,
                "db.shop.svc.cluster.local",
                "db.shop.svc.cluster.local CNAME db.example.com",
                "db.example.com A 203.0.113.30",
            )
        ],
        (FRONTEND_ID, external("db.example.com")),
    ),
    case(
        "R6.5 Also where the target is itself an alias.",
        [*NODES, FRONTEND, _alias("db", "db.example.com")],
        [
            dns(
                10,
                "db.shop.svc.cluster.local",
                "db.shop.svc.cluster.local CNAME db.example.com.",
                "db.example.com CNAME x.rds.example",
                "x.rds.example A 203.0.113.30",
            )
        ],
        (FRONTEND_ID, external("db.example.com")),
    ),
    case(
        "R6.5 Also where the answer hides the alias.",
        [*NODES, FRONTEND, _alias("db", "db.example.com")],
        [dns(10, "db.shop.svc.cluster.local", "203.0.113.30")],
        (FRONTEND_ID, external("db.example.com")),
    ),
    case(
        "R6.5 An alias of an alias ends at the last one's target.",
        [*SHOP, _alias("a", "b.shop.svc.cluster.local"), _alias("b", "cart.shop.svc.cluster.local")],
        [
            dns(
                10,
                "a.shop.svc.cluster.local",
                "a.shop.svc.cluster.local CNAME b.shop.svc.cluster.local",
                "b.shop.svc.cluster.local CNAME cart.shop.svc.cluster.local",
                "cart.shop.svc.cluster.local A 10.96.5.5",
            )
        ],
        TO_CART,
    ),
]
