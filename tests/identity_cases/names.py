"""What a DNS answer says, and to whom: R7 and R8. See `build`."""

from __future__ import annotations

from tests.identity_cases.build import (
    AMBIGUOUS_NODE,
    ASK_CART,
    CANARY,
    CART,
    CART_ID,
    CART_SERVICE,
    FRONTEND_ID,
    NEW,
    OLD,
    SHOP,
    TO_CART,
    case,
    conn,
    dns,
    external,
    gone,
    watch,
)
from tests.small_cluster import FRONTEND, NODES, endpoints, pod, service

COREDNS = pod("coredns-5dd5756b68-a", "10.0.0.2", namespace="kube-system", labels={"k8s-app": "kube-dns"})
DB = (pod("db-0", "10.0.1.30", labels={"app": "db"}), pod("db-1", "10.0.1.31", labels={"app": "db"}))
DB_ID = "shop/StatefulSet/db"
HEADLESS = [*NODES, FRONTEND, *DB, service("db", None, selector={"app": "db"}), endpoints("db", *DB)]
GHOST = "other/Service/ghost"
CASES = [
    case(
        "R7.1 A domain that only ends alike is outside.",
        SHOP,
        [dns(10, "api.mycluster.local", "203.0.113.5"), dns(11, "cart.shop.svc.notcluster.local", "203.0.113.6")],
        (FRONTEND_ID, external("api.mycluster.local")),
        (FRONTEND_ID, external("cart.shop.svc.notcluster.local")),
    ),
    case(
        "R7.1 The default domain is outside where another is configured.",
        SHOP,
        [dns(10, "ghost.other.svc.cluster.local", "203.0.113.5")],
        (FRONTEND_ID, external("ghost.other.svc.cluster.local")),
        clusterDomain="k8s.corp.example",
    ),
    case(
        "R7.2 Dashes of an IPv6 address.",
        [*NODES, FRONTEND, pod("six-0", "fd00:10::46")],
        [dns(10, "fd00-10--46.shop.pod.cluster.local", "fd00:10::46")],
        (FRONTEND_ID, "shop/StatefulSet/six"),
    ),
    case(
        "R7.2 A pod's name without the pod proves nothing.",
        SHOP,
        [
            dns(10, "10-0-0-251.shop.pod.cluster.local", "10.0.0.251"),
            dns(11, "1-2-3-4.shop.pod.cluster.local", "1.2.3.4"),
        ],
        refused=[(0, "server", "unknown_server_ip"), (1, "server", "unknown_server_ip")],
    ),
    case(
        "R7.2 The pod of a name is the one of that time.",
        [*NODES, FRONTEND, OLD],
        [
            watch(20.5, "DELETED", gone(20)),
            watch(26, "ADDED", NEW),
            dns(10, "10-0-0-80.shop.pod.cluster.local", "10.0.0.80", at=60),
        ],
        (FRONTEND_ID, "shop/StatefulSet/old"),
    ),
    case(
        "R7.3 A headless name of two workloads is two edges.",
        [
            *NODES,
            FRONTEND,
            CART,
            CANARY,
            service("cart", None, selector={"app": "cart"}),
            endpoints("cart", CART, CANARY),
        ],
        [dns(10, "cart.shop.svc.cluster.local", "10.0.1.7", "10.0.1.8")],
        TO_CART,
        (FRONTEND_ID, "shop/StatefulSet/canary"),
    ),
    case(
        "R7.3 A pod's name below a headless Service is decided by its address.",
        HEADLESS,
        [dns(10, "db-0.db.shop.svc.cluster.local", "10.0.1.31")],
        (FRONTEND_ID, DB_ID),
    ),
    case(
        "R7.4 Targets of SRV below a headless Service.",
        HEADLESS,
        [
            dns(
                10,
                "_pg._tcp.db.shop.svc.cluster.local",
                "_pg._tcp.db.shop.svc.cluster.local SRV 0 50 5432 db-0.db.shop.svc.cluster.local.",
                "_pg._tcp.db.shop.svc.cluster.local SRV 0 50 5432 db-1.db.shop.svc.cluster.local.",
                qtype="SRV",
            )
        ],
        (FRONTEND_ID, DB_ID),
    ),
    case(
        "R7.4 Targets of SRV outside.",
        SHOP,
        [dns(10, "_sip._tcp.example.com", "_sip._tcp.example.com SRV 0 5 5060 sip.provider.example.")],
        (FRONTEND_ID, external("sip.provider.example")),
    ),
    case(
        "R7.5 The address beats another Service's name.",
        [*SHOP, pod("db-0", "10.0.1.30")],
        [dns(10, "cart.shop.svc.cluster.local", "10.0.1.30")],
        (FRONTEND_ID, DB_ID),
    ),
    case(
        "R7.5 The address beats an outside name.",
        SHOP,
        [dns(10, "cart.example.com", "10.96.5.5"), dns(11, "pod.example.com", "10.0.1.7")],
        TO_CART,
    ),
    case(
        "R7.5 A known Service's name beats an unknown address.",
        SHOP,
        [dns(10, "cart.shop.svc.cluster.local", "10.96.200.200")],
        TO_CART,
        serviceCIDRs=["10.96.0.0/16"],
    ),
    case(
        "R7.5 Also below a headless Service.",
        HEADLESS,
        [dns(10, "db-9.db.shop.svc.cluster.local", "10.0.1.99")],
        (FRONTEND_ID, DB_ID),
    ),
    case(
        "R7.5 The pod that comes within the late window beats the name.",
        HEADLESS,
        [
            dns(10, "db-9.db.shop.svc.cluster.local", "10.0.1.99"),
            watch(30, "ADDED", pod("spare-0", "10.0.1.99", start=8)),
        ],
        (FRONTEND_ID, "shop/StatefulSet/spare"),
    ),
    case(
        "R7.5 A Service that comes within the late window beats the bare name.",
        [*NODES, FRONTEND, CART],
        [ASK_CART, watch(30, "ADDED", CART_SERVICE), watch(31, "ADDED", endpoints("cart", CART))],
        TO_CART,
    ),
    case(
        "R7.5 A name without its Service is unverified, with an outside address too.",
        SHOP,
        [dns(10, "ghost.other.svc.cluster.local", "203.0.113.80")],
        (FRONTEND_ID, GHOST),
    ),
    case(
        "R7.6 Other failures and other records say nothing.",
        SHOP,
        [
            dns(10, "cart.shop.svc.cluster.local", rcode="SERVFAIL"),
            dns(11, "example.com", "example.com MX 10 mail.example.com", qtype="MX"),
            dns(12, "example.com", "example.com TXT x", qtype="TXT"),
            dns(13, "a.example.com", "a.example.com CNAME b.example.com"),
        ],
        refused=[(index, "event", "not_an_answer") for index in range(4)],
    ),
    case(
        "R7.7 Behind outside aliases the asked name counts.",
        SHOP,
        [
            dns(
                10,
                "www.shop.example",
                "www.shop.example CNAME shop.cdn.example",
                "shop.cdn.example CNAME edge7.cdn.example",
                "edge7.cdn.example A 203.0.113.7",
            )
        ],
        (FRONTEND_ID, external("www.shop.example")),
    ),
    case(
        "R7.7 An outside alias of an in-cluster name is the Service.",
        [*NODES, FRONTEND, CART],
        [
            dns(
                10,
                "shop.example.com",
                "shop.example.com CNAME ghost.other.svc.cluster.local",
                "ghost.other.svc.cluster.local A 10.96.9.9",
            )
        ],
        (FRONTEND_ID, GHOST),
        forbidden=["Service"],
        serviceCIDRs=["10.96.0.0/16"],
    ),
    case(
        "R7.7 An alias of the search path is what it stands for.",
        SHOP,
        [
            dns(
                10,
                "api.example.com.shop.svc.cluster.local",
                "api.example.com.shop.svc.cluster.local CNAME api.example.com",
                "api.example.com A 203.0.113.10",
            )
        ],
        (FRONTEND_ID, external("api.example.com")),
    ),
    case(
        "R7.7 Records in any order and case.",
        SHOP,
        [dns(10, "WWW.shop.example.", "Shop.CDN.example. A 203.0.113.7", "www.SHOP.example. CNAME shop.cdn.EXAMPLE.")],
        (FRONTEND_ID, external("www.shop.example")),
    ),
    case(
        "R8.1 What CoreDNS is answered about the cluster is recursion too.",
        [*SHOP, COREDNS],
        [dns(10, "cart.shop.svc.cluster.local", "10.96.5.5", client="10.0.0.2")],
        refused=[(0, "client", "dns_infrastructure")],
    ),
    case(
        "R8.1 Connections of CoreDNS are its own.",
        [*SHOP, COREDNS],
        [conn(10, "10.0.0.2", "10.0.1.7")],
        ("kube-system/StatefulSet/coredns-5dd5756b68", CART_ID),
    ),
    case(
        "R8.2 Over either transport, to whomever.",
        [*SHOP, COREDNS],
        [conn(10, "10.0.0.5", "10.96.0.10", 53, proto="udp"), conn(11, "10.0.0.5", "1.1.1.1", 53)],
        refused=[(0, "event", "dns_transport"), (1, "event", "dns_transport")],
    ),
    case(
        "R8.3 The upstream leg of NodeLocal DNSCache comes from the node.",
        SHOP,
        [dns(10, "api.example.com", "203.0.113.20", client="192.168.1.10")],
        refused=AMBIGUOUS_NODE,
    ),
    case(
        "R8.3 The kube-dns address bound on the node serves as well.",
        SHOP,
        [dns(10, "cart.shop.svc.cluster.local", "10.96.5.5", server="10.96.0.10")],
        TO_CART,
    ),
]
