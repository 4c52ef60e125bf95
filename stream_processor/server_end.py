"""Who accepted a connection, or is meant by a DNS answer. Pure.

In: an address with or without a port, or a DNS answer, at a moment. Out: workloads, Services or outside names, or the
reasons why none is named. Rules R6, R7, R9.3, R10, R11 and R13 of `docs/identity.md`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from callgraph.addresses import canonical_address, is_silent
from callgraph.records import DnsObservation, PodRecord, ServicePort, ServiceRecord, Transport, Workload
from stream_processor.backends import find_backends, target_port
from stream_processor.client_end import api_server, is_alive, owner_at
from stream_processor.inventory import ClusterInventory
from stream_processor.moment import Moment, token
from stream_processor.names import PodName, Question, ServiceName, read_question
from stream_processor.resolution import Reason, Refusal
from stream_processor.service_index import API_SERVER

_DEEPEST_ALIAS = 4
"""ExternalName Services may point at each other; CoreDNS gives up on a loop as well."""


class Server(Struct, frozen=True, gc=False):
    """The other end of a call; `pod` only where the address itself was the pod's."""

    workload: Workload
    service: str | None = None
    port: int | None = None
    pod: PodRecord | None = None
    backends: tuple[Workload, ...] = ()


class ServerEnd(Struct, frozen=True, gc=False):
    """All servers that an observation names, and what it names in vain; `wait`: it may still change."""

    servers: tuple[Server, ...]
    refusals: tuple[Refusal, ...]
    wait: bool
    outside: bool = False
    """The address of a connection is outside of the cluster; the server is named by it for want of a better name."""


class Port(NamedTuple):
    """Where a connection was made to; DNS answers tell none."""

    number: int
    transport: Transport


class _Found(NamedTuple):
    """What one address comes to: a server, a refusal, or neither for one outside of the cluster."""

    server: Server | None = None
    refusal: Refusal | None = None
    wait: bool = False


def find_accepting(inventory: ClusterInventory, address: str, moment: Moment, port: Port) -> ServerEnd:
    """Name who accepts connections at an address and port. The address must be in canonical form."""
    found = _at_address(inventory, address, moment, port)
    if found.refusal is not None:
        return ServerEnd((), (found.refusal,), found.refusal.wait)
    server = found.server or Server(_external(inventory, address), port=port.number)
    return ServerEnd((server,), (), found.wait, outside=found.server is None)


def find_asked_for(
    inventory: ClusterInventory, asked: str, cnames: tuple[str, ...], moment: Moment, port: Port, *, final: bool
) -> ServerEnd:
    """Name who accepts connections at an outside address as the DNS answer is named that the client got it from."""
    question = read_question(asked, cnames, inventory.settings.cluster_domain)
    named = _from_name(inventory, question, moment, address="", final=final)
    return replace(named, servers=tuple(replace(each, port=port.number) for each in named.servers))


def find_answered(
    inventory: ClusterInventory, observation: DnsObservation, moment: Moment, *, final: bool
) -> ServerEnd:
    """Name who is meant by a DNS answer: the addresses decide, then the name (R7.5)."""
    domain = inventory.settings.cluster_domain
    asked = observation.dns_question_name
    question = read_question(asked, observation.cnames, domain)
    if observation.addresses:
        return _from_addresses(inventory, observation.addresses, question, moment, final=final)
    if observation.dns_question_type == "SRV":
        questions = [read_question(target, (), domain) for target in observation.targets]
    elif observation.targets or observation.dns_question_type in {"HTTPS", "SVCB"}:
        questions = [question]
    else:
        questions = []
    if not questions:
        return ServerEnd((), (Refusal("event", observation.client_address, "not_an_answer"),), wait=False)
    ends = [_from_name(inventory, each, moment, address="", final=final) for each in questions]
    return ServerEnd(
        _distinct(server for end in ends for server in end.servers),
        tuple(dict.fromkeys(refusal for end in ends for refusal in end.refusals)),
        any(end.wait for end in ends),
    )


def _from_addresses(
    inventory: ClusterInventory, addresses: tuple[str, ...], question: Question, moment: Moment, *, final: bool
) -> ServerEnd:
    servers: list[Server] = []
    refusals: list[Refusal] = []
    outside: list[str] = []
    wait = False
    for text in addresses:
        try:
            address = canonical_address(text)
        except ValueError:
            refusals.append(Refusal("server", text, "malformed_address"))
            continue
        found = _at_address(inventory, address, moment, None)
        wait |= found.wait
        if found.refusal is not None:
            refusals.append(found.refusal)
        elif found.server is not None:
            servers.append(_through(inventory, found.server, question, moment))
        else:
            outside.append(address)
    undecided = outside or any(each.reason not in {"loopback", "malformed_address"} for each in refusals)
    if not servers and question.inside is not None and undecided:
        return _instead(inventory, question, refusals, moment, wait=wait, final=final)
    if outside:
        servers.append(Server(_external(inventory, question.outside)))
    return ServerEnd(_distinct(servers), tuple(refusals), wait or any(each.wait for each in refusals))


def _instead(
    inventory: ClusterInventory, question: Question, refusals: list[Refusal], moment: Moment, *, wait: bool, final: bool
) -> ServerEnd:
    """Let an in-cluster name speak where no address does; not before the addresses had their time to become known."""
    wait |= any(each.wait for each in refusals)
    named = _from_name(inventory, question, moment, address=refusals[0].address if refusals else "", final=final)
    if named.servers and (final or not wait):
        return replace(named, wait=named.wait or wait)
    return ServerEnd((), tuple(refusals) or named.refusals, wait or named.wait)


def _from_name(
    inventory: ClusterInventory, question: Question, moment: Moment, *, address: str, final: bool, depth: int = 0
) -> ServerEnd:
    inside = question.inside
    if inside is None:
        return ServerEnd((Server(_external(inventory, question.outside)),), (), wait=False)
    if isinstance(inside, PodName):
        return ServerEnd((), (Refusal("server", address or inside.address, "unknown_server_ip", wait=True),), wait=True)
    service = inventory.services.named(inside.namespace, inside.service, moment)
    if service is not None and service.external_name and depth < _DEEPEST_ALIAS:
        target = read_question(service.external_name, (), inventory.settings.cluster_domain)
        return _from_name(inventory, target, moment, address=address, final=final, depth=depth + 1)
    if service is not None:
        return ServerEnd((_service_server(inventory, service, moment, None),), (), wait=False)
    if final:
        # R7.5: unverified, but the resolver vouched for the name.
        return ServerEnd((Server(_service_node(inventory, inside)),), (), wait=False)
    return ServerEnd((), (Refusal("server", address, "unknown_server_ip", wait=True),), wait=True)


def _at_address(inventory: ClusterInventory, address: str, moment: Moment, port: Port | None) -> _Found:
    """Name who has an address; without a port only what the address alone tells."""
    if is_silent(address):
        return _Found(refusal=Refusal("server" if port is None else "event", address, "loopback"))
    moment.looked_at.add(address)
    nodes = inventory.space.node_names(address, moment)
    services = inventory.services.of_address(address, moment)
    if not services and (port is not None or not nodes):
        if inventory.services.is_api_server(address, port.number if port else None, moment):
            return _Found(Server(api_server(inventory.name), "/".join(API_SERVER), port.number if port else None))
        balanced = inventory.services.of_external_address(address, moment)
        services = [each for each in balanced if port is None or _declared(each, port) is not None]
    if services:
        return _only_service(inventory, services, address, moment, port)
    if nodes:
        return _on_node(inventory, address, nodes, moment, port)
    return _at_pod(inventory, address, moment, port)


def _at_pod(inventory: ClusterInventory, address: str, moment: Moment, port: Port | None) -> _Found:
    owner = owner_at(inventory, address, moment)
    if owner is None or not owner.begun:
        side = inventory.space.side(address, moment)
        # A public address that was a pod's at another time is hardly anybody else's.
        if side == "inside" or (owner is not None and side == "outside"):
            return _refused(address, (owner and owner.reason) or "unknown_server_ip")
        return _Found(wait=side == "perhaps")
    if owner.workload is None:
        return _refused(address, owner.reason or "no_owner_at_time")
    server = Server(owner.workload, None, port.number if port else None, owner.pod)
    return _Found(server, wait=not owner.settled)


def _on_node(inventory: ClusterInventory, address: str, nodes: list[str], moment: Moment, port: Port | None) -> _Found:
    """R9.3: a node port, then the one workload of the node that declares the port, else nobody."""
    if port is None:
        return _Found(refusal=Refusal("server", address, "ambiguous_host_network"))
    services = inventory.services.of_node_port(port.number, port.transport, moment)
    if services:
        return _only_service(inventory, services, address, moment, port)
    moment.looked_at.update(token("node", node) for node in nodes)
    found: dict[Workload, int] = {}
    for pod in (pod for node in nodes for pod in inventory.pods.with_host_ports(node)):
        for each in pod.ports:
            opened = each.host_port or (each.port if pod.host_network else None)
            if (opened, each.transport) == port and is_alive(pod, moment, inventory.tolerance):
                found[inventory.workload(pod)] = each.port
    if len(found) != 1:
        return _refused(address, "ambiguous_host_network")
    ((workload, declared),) = found.items()
    return _Found(Server(workload, None, declared))


def _only_service(
    inventory: ClusterInventory, services: list[ServiceRecord], address: str, moment: Moment, port: Port | None
) -> _Found:
    if len({(each.namespace, each.name) for each in services}) > 1:
        return _refused(address, "ambiguous_owner")
    service = max(services, key=lambda each: (each.from_at, each.uid))
    return _Found(_service_server(inventory, service, moment, port))


def _service_server(inventory: ClusterInventory, service: ServiceRecord, moment: Moment, port: Port | None) -> Server:
    """R6: the one workload behind a Service, else the Service itself."""
    label = f"{service.namespace}/{service.name}"
    number = port.number if port else None
    if (service.namespace, service.name) == API_SERVER:
        return Server(api_server(inventory.name), label, number)
    slices = inventory.services.slices(service)
    backends = find_backends(inventory, service, slices, moment)
    declared = _declared(service, port) if port else None
    if len(backends.workloads) == 1 and not backends.outside:
        inner = target_port(declared, slices, backends.pods) if declared else None
        return Server(backends.workloads[0], label, inner or number)
    node = _service_node(inventory, ServiceName(service.namespace, service.name))
    return Server(node, label, declared.port if declared else number, None, backends.workloads)


def _through(inventory: ClusterInventory, server: Server, question: Question, moment: Moment) -> Server:
    """Note the Service whose name led to a pod's address."""
    inside = question.inside
    if server.service is not None or not isinstance(inside, ServiceName):
        return server
    known = inventory.services.named(inside.namespace, inside.service, moment)
    if known is None:
        return server
    backends = find_backends(inventory, known, inventory.services.slices(known), moment)
    belongs = server.workload in backends.workloads
    return replace(server, service=f"{inside.namespace}/{inside.service}") if belongs else server


def _declared(service: ServiceRecord, port: Port) -> ServicePort | None:
    """Find the Service's port that a connection was made to, be it its own or its node port."""
    same = [each for each in service.ports if each.transport == port.transport]
    return next((each for each in same if port.number in {each.port, each.node_port}), None)


def _service_node(inventory: ClusterInventory, name: ServiceName) -> Workload:
    return Workload(cluster=inventory.name, namespace=name.namespace, kind="Service", name=name.service)


def _external(inventory: ClusterInventory, name: str) -> Workload:
    return Workload(cluster=inventory.name, namespace="", kind="External", name=name)


def _refused(address: str, reason: Reason) -> _Found:
    return _Found(refusal=Refusal("server", address, reason, wait=True), wait=True)


def _distinct(servers: Iterable[Server]) -> tuple[Server, ...]:
    """Keep the first of those that mean the same; several pods of one workload count as none in particular."""
    found: dict[tuple[Workload, str | None], Server] = {}
    for each in servers:
        key = (each.workload, each.service)
        found[key] = replace(found[key], pod=None) if key in found else each
    return tuple(found.values())
