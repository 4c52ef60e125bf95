"""Cases of identity in the format of the shared ones, built from the objects of the small cluster.

In: objects, events and edges as the tests spell them. Out: a case. Times are seconds after `small_cluster.BASE`, which
is the time base of the shared file as well.
"""

from __future__ import annotations

from typing import Any

from tests.small_cluster import FRONTEND, NODES, Json, endpoints, pod, service, terminated

FRONTEND_ID = "shop/StatefulSet/frontend"
CART_ID = "shop/StatefulSet/cart"
CART = pod(
    "cart-0", "10.0.1.7", node="node-2", host="192.168.1.11", labels={"app": "cart"}, ports=[{"containerPort": 8080}]
)
CART_SERVICE = service("cart", "10.96.5.5", selector={"app": "cart"})
SHOP = (*NODES, FRONTEND, CART, CART_SERVICE, endpoints("cart", CART))
TO_CART = (FRONTEND_ID, CART_ID)
ASK_CART = {
    "t": 10,
    "type": "dns",
    "node": "node-1",
    "client": "10.0.0.5",
    "server": "10.96.0.10",
    "qname": "cart.shop.svc.cluster.local",
    "answers": [{"name": "cart.shop.svc.cluster.local", "type": "A", "ttl": 30, "data": "10.96.5.5"}],
}
CANARY = pod("canary-0", "10.0.1.8", labels={"app": "cart"})
OLD = pod("old-0", "10.0.0.80", start=-1000)
NEW = pod("new-0", "10.0.0.80", start=25)
AMBIGUOUS_NODE = [(0, "client", "ambiguous_host_network")]


def case(
    title: str, objects: Any, events: list[Json], *edges: tuple[str, str], refused: Any = (), **config: Any
) -> Json:
    """Return a case; edges are pairs of NAMESPACE/KIND/NAME, `refused` holds event, side and reason."""
    return {
        "id": title,
        "objects": list(objects),
        "events": events,
        "config": config,
        "expect": {
            "edges": [{"client": _workload(client), "server": _workload(server)} for client, server in edges],
            "unresolved": [dict(zip(("event", "side", "reason"), each, strict=True)) for each in refused],
        },
    }


def conn(t: float, src: str, dst: str, dport: int = 80, **more: Any) -> Json:
    """Return a connection; `more` overrides the node that saw it, and adds whatever else the event carries."""
    return {"t": t, "type": "conn", "node": "node-1", "src": src, "dst": dst, "dport": dport, "origin": "syn", **more}


def dns(t: float, qname: str, *answers: str, client: str = "10.0.0.5", **more: Any) -> Json:
    """Return an answer: of addresses to the asked name, or of records spelt `NAME TYPE DATA`."""
    records = [_record(qname, *each.split(" ", 2)) for each in answers]
    event = {"t": t, "type": "dns", "node": "node-1", "client": client, "server": "10.96.0.10", "qname": qname}
    return {**event, "rcode": "NOERROR", "answers": records, **more}


def watch(t: float, op: str, obj: Json) -> Json:
    """Return an event of the watch."""
    return {"t": t, "type": "k8s", "op": op, "object": obj}


def relist(t: float, *items: Json) -> Json:
    """Return a list that replaces what was known."""
    return {"t": t, "type": "k8s", "op": "RELIST", "items": list(items)}


def gone(finished: float) -> Json:
    """Return `OLD` as its deletion shows it."""
    return pod("old-0", "10.0.0.80", start=-1000, state=terminated(-1000, finished), deleting=True)


def external(name: str) -> str:
    """Spell a server outside."""
    return f"/External/{name}"


def outside(obj: Json, *addresses: str) -> Json:
    """Return an EndpointSlice whose endpoints are no pods."""
    return {**obj, "endpoints": [{"addresses": [each]} for each in addresses]}


def exposing(**spec: Any) -> list[Json]:
    """Return the shop with a Service that is reached in other ways than by its cluster IP."""
    exposed = service("cart", "10.96.5.5", selector={"app": "cart"}, **spec)
    return [*NODES, FRONTEND, CART, exposed, endpoints("cart", CART)]


def _record(qname: str, first: str, kind: str = "", data: str = "") -> Json:
    if not kind:
        return _record(qname, qname, "AAAA" if ":" in first else "A", first)
    return {"name": first, "type": kind, "ttl": 30, "data": data}


def _workload(spelt: str) -> Json:
    namespace, kind, name = spelt.split("/", 2)
    return {"namespace": namespace, "kind": kind, "name": name}
