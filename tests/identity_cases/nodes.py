"""Nodes, the API server, the outside, repeats, and missing rights: R9 to R14. See `build`."""

from __future__ import annotations

from tests.identity_cases.build import (
    AMBIGUOUS_NODE,
    CART_ID,
    FRONTEND_ID,
    SHOP,
    TO_CART,
    case,
    conn,
    dns,
    exposing,
    external,
    outside,
    watch,
)
from tests.small_cluster import FRONTEND, NODES, endpoints, node, owner, pod, service, text

EXPORTERS = (
    pod(
        "exporter-a",
        "192.168.1.10",
        host_network=True,
        owners=[owner("DaemonSet", "exporter")],
        ports=[{"containerPort": 9100, "hostPort": 9100}],
    ),
    pod(
        "proxy-a",
        "192.168.1.10",
        host_network=True,
        owners=[owner("DaemonSet", "proxy")],
        ports=[{"containerPort": 9100}],
    ),
)
UID = "89071208-a40c-4101-8226-0b19d48ecbed"
HINTED = pod("exporter-a", "192.168.1.10", host_network=True, owners=[owner("DaemonSet", "exporter")], uid=UID)
KUBERNETES = (
    service("kubernetes", "10.96.0.1", namespace="default", ports=[{"port": 443, "targetPort": 6443}]),
    outside(endpoints("kubernetes", namespace="default", ports=[{"name": "https", "port": 6443}]), "192.168.1.10"),
)
MANAGED = (
    KUBERNETES[0],
    outside(endpoints("kubernetes", namespace="default", ports=[{"name": "https", "port": 6443}]), "192.168.9.2"),
)
API_SERVER = "default/Service/kubernetes"
CASES = [
    case(
        "R9.1 An address is a node's only while the node is there.",
        [*NODES, FRONTEND, node("node-3", "10.0.9.9")],
        [
            watch(20, "DELETED", node("node-3", "10.0.9.9")),
            watch(31, "ADDED", pod("heir-0", "10.0.9.9", start=30)),
            conn(10, "10.0.9.9", "10.0.0.5"),
            conn(40, "10.0.9.9", "10.0.0.5"),
        ],
        ("shop/StatefulSet/heir", FRONTEND_ID),
        refused=[(2, "client", "ambiguous_host_network")],
    ),
    case(
        "R9.2 The pod's UID names the client on the host's network.",
        [*SHOP, HINTED],
        [conn(10, "192.168.1.10", "10.0.1.7", hint={"podUID": UID})],
        ("shop/DaemonSet/exporter", CART_ID),
    ),
    case(
        "R9.2 A cgroup's path spells the UID with underscores.",
        [*SHOP, HINTED],
        [conn(10, "192.168.1.10", "10.0.1.7", cgroup=f"/kubepods.slice/kubepods-pod{UID.replace('-', '_')}.slice")],
        ("shop/DaemonSet/exporter", CART_ID),
    ),
    case(
        "R9.2 The UID of a pod that nobody knows names none.",
        SHOP,
        [conn(10, "192.168.1.10", "10.0.1.7", pod_uid=UID)],
        refused=AMBIGUOUS_NODE,
    ),
    case(
        "R9.2 The UID of a pod of another time names none.",
        SHOP,
        [
            watch(100, "ADDED", {**HINTED, "metadata": {**HINTED["metadata"], "creationTimestamp": text(99)}}),
            conn(10, "192.168.1.10", "10.0.1.7", pod_uid=UID, at=101),
        ],
        refused=[(1, "client", "ambiguous_host_network")],
    ),
    case(
        "R9.3 A port that two pods of the node declare is nobody's.",
        [*SHOP, *EXPORTERS],
        [conn(10, "10.0.0.5", "192.168.1.10", 9100)],
        refused=[(0, "server", "ambiguous_host_network")],
    ),
    case(
        "R9.3 A port that a pod of another node declares is nobody's.",
        [*SHOP, EXPORTERS[0]],
        [conn(10, "10.0.0.5", "192.168.1.11", 9100)],
        refused=[(0, "server", "ambiguous_host_network")],
    ),
    case(
        "R9.3 A host port leads to its pod.",
        [*SHOP, pod("edge-0", "10.0.0.9", ports=[{"containerPort": 80, "hostPort": 8088}])],
        [conn(10, "10.0.0.5", "192.168.1.10", 8088)],
        (FRONTEND_ID, "shop/StatefulSet/edge"),
    ),
    case(
        "R9.3 A container's own port is not the host's.",
        [*SHOP, pod("edge-0", "10.0.0.9", ports=[{"containerPort": 80, "hostPort": 8088}])],
        [conn(10, "10.0.0.5", "192.168.1.10", 80), conn(11, "10.0.0.5", "192.168.1.11", 8080)],
        refused=[(0, "server", "ambiguous_host_network"), (1, "server", "ambiguous_host_network")],
    ),
    case(
        "R9.3 A node port comes before a host port.",
        [
            *exposing(type="NodePort", ports=[{"port": 80, "targetPort": 8080, "nodePort": 31234}]),
            pod("edge-0", "10.0.0.9", ports=[{"containerPort": 80, "hostPort": 31234}]),
        ],
        [conn(10, "10.0.0.5", "192.168.1.10", 31234)],
        TO_CART,
    ),
    case(
        "R10 The API server is one identity at all its addresses.",
        [*SHOP, *KUBERNETES],
        [
            conn(10, "10.0.0.5", "10.96.0.1", 443),
            conn(11, "10.0.0.5", "192.168.1.10", 6443),
            dns(12, "kubernetes.default.svc.cluster.local", "10.96.0.1"),
        ],
        (FRONTEND_ID, API_SERVER),
    ),
    case(
        "R10 A node's address as client is never the API server.",
        [*SHOP, *KUBERNETES],
        [conn(10, "192.168.1.10", "10.0.1.7")],
        refused=AMBIGUOUS_NODE,
    ),
    case(
        "R10 Another port of a managed API server's address is outside.",
        [*SHOP, *MANAGED],
        [conn(10, "10.0.0.5", "192.168.9.2", 22)],
        (FRONTEND_ID, external("192.168.9.2")),
    ),
    case(
        "R10 A managed API server's host name is the API server.",
        [*SHOP, *MANAGED],
        [dns(10, "abc.eks.example", "192.168.9.2")],
        (FRONTEND_ID, API_SERVER),
    ),
    case(
        "R11 Several outside addresses of one name are one edge.",
        SHOP,
        [dns(10, "api.example.com", "203.0.113.1", "203.0.113.2", "2001:db8::1")],
        (FRONTEND_ID, external("api.example.com")),
    ),
    case(
        "R11 An unknown address in a Service range is never outside.",
        SHOP,
        [conn(10, "10.0.0.5", "10.96.9.9")],
        refused=[(0, "server", "unknown_server_ip")],
        serviceCIDRs=["10.96.0.0/16"],
    ),
    case(
        "R11 What comes in from outside through a node port has no client.",
        exposing(type="NodePort", ports=[{"port": 80, "targetPort": 8080, "nodePort": 31234}]),
        [conn(10, "203.0.113.5", "192.168.1.10", 31234)],
        refused=[(0, "client", "external_client")],
    ),
    case(
        "R11 An address that a pod gets from outside of all ranges was outside before.",
        [*NODES, FRONTEND],
        [
            watch(101, "ADDED", pod("pool-0", "10.200.0.5", start=100)),
            conn(10, "10.0.0.5", "10.200.0.5", at=150),
            conn(120, "10.0.0.5", "10.200.0.5", at=150),
        ],
        (FRONTEND_ID, external("10.200.0.5")),
        (FRONTEND_ID, "shop/StatefulSet/pool"),
    ),
    case(
        "R11 A public address that a pod gets was nobody's before, not somebody's outside.",
        [*NODES, FRONTEND],
        [
            watch(101, "ADDED", pod("public-0", "198.18.0.5", start=100)),
            conn(10, "10.0.0.5", "198.18.0.5", at=150),
            conn(11, "198.18.0.5", "10.0.0.5", at=150),
        ],
        refused=[(1, "server", "no_owner_at_time"), (2, "client", "no_owner_at_time")],
    ),
    case(
        "R12.1 Both nodes' sightings and both kinds of socket are one edge.",
        SHOP,
        [
            conn(10, "10.0.0.5", "10.96.5.5"),
            conn(10, "10.0.0.5", "10.0.1.7", 8080, node="node-2"),
            conn(300, "10.0.0.5", "10.0.1.7", 8080, origin="procfs"),
        ],
        TO_CART,
    ),
    case(
        "R12.2 A translated copy is ambiguous, and the true one counts.",
        SHOP,
        [conn(10, "10.0.0.5", "10.0.1.7", 8080), conn(10, "192.168.1.10", "10.0.1.7", 8080, node="node-2")],
        TO_CART,
        refused=[(1, "client", "ambiguous_host_network")],
    ),
    case(
        "R13 Loopback, link-local and multicast are no calls.",
        SHOP,
        [
            conn(10, "127.0.0.1", "127.0.0.1", 8080),
            conn(11, "10.0.0.5", "169.254.169.254"),
            conn(12, "10.0.0.5", "224.0.0.251", 5353, proto="udp"),
            conn(13, "fe80::1", "ff02::1"),
            conn(14, "::1", "::1"),
        ],
        refused=[(index, "event", "loopback") for index in range(5)],
    ),
    case(
        "R13 A pod and itself are no call.",
        SHOP,
        [conn(10, "10.0.0.5", "10.0.0.5")],
        refused=[(0, "event", "self_call")],
    ),
    case(
        "R14 Without Services and ranges, a cluster IP is never outside.",
        SHOP,
        [conn(10, "10.0.0.5", "10.96.5.5")],
        refused=[(0, "server", "unknown_server_ip")],
        forbidden=["Service", "EndpointSlice"],
    ),
    case(
        "R14 Without nodes their addresses are known from pods.",
        SHOP,
        [conn(10, "192.168.1.11", "10.0.1.7")],
        refused=AMBIGUOUS_NODE,
        forbidden=["Node"],
    ),
    case(
        "R14 Without nodes an unknown private address is never outside.",
        SHOP,
        [conn(10, "10.0.0.5", "10.0.3.3")],
        refused=[(0, "server", "unknown_server_ip")],
        forbidden=["Node"],
    ),
    case(
        "R14 Without pods nobody is known.",
        SHOP,
        [conn(10, "10.0.0.5", "10.0.1.7")],
        refused=[(0, "client", "unknown_client_ip")],
        forbidden=["Pod"],
    ),
    case(
        "R14 A client of a namespace that is not watched is unknown.",
        [*SHOP, pod("x-0", "10.0.1.200", namespace="other")],
        [conn(10, "10.0.1.200", "10.0.1.7")],
        refused=[(0, "client", "unknown_client_ip")],
        watchNamespaces=["shop"],
    ),
    case(
        "R14 A Service of a namespace that is not watched is known by its name.",
        [*SHOP, service("far", "10.96.8.8", namespace="other")],
        [dns(10, "far.other.svc.cluster.local", "10.96.8.8")],
        (FRONTEND_ID, "other/Service/far"),
        watchNamespaces=["shop"],
    ),
    case(
        "R14 Without anything but pods, calls between them are told.",
        SHOP,
        [conn(10, "10.0.0.5", "10.0.1.7")],
        TO_CART,
        forbidden=["Node", "Service", "EndpointSlice", "ReplicaSet", "Job"],
    ),
]
