"""An observation into calls, or into the reasons why not. Pure.

In: an observation, with the node that saw it, and the inventory. Out: a `Resolution`. `final` is True when the late
window is over: then names may stand in for addresses that stayed unknown. The same observation and the same inventory
give the same resolution. The rules are those of `docs/identity.md`.
"""

from __future__ import annotations

from callgraph.addresses import canonical_address
from callgraph.records import ConnectionObservation, DnsObservation
from stream_processor.client_end import ClientEnd, find_client, is_resolver
from stream_processor.inventory import ClusterInventory, Inventory
from stream_processor.moment import Moment
from stream_processor.resolution import Attributed, Reason, Refusal, Resolution
from stream_processor.server_end import Port, ServerEnd, find_accepting, find_answered, find_asked_for
from stream_processor.service_index import DNS_PORT

__all__ = ["Attributed", "Reason", "Refusal", "Resolution", "resolve"]

Observation = DnsObservation | ConnectionObservation


def resolve(observation: Observation, inventory: Inventory, *, cluster: str, node: str, final: bool) -> Resolution:
    """Resolve one observation."""
    view = inventory.cluster(cluster)
    refusal = refuse_unseen(observation)
    if refusal is not None:
        return Resolution(refusals=(refusal,))
    moment = Moment(observation.observed_at)
    client = client_of(observation, view, moment, node=node)
    if client.refusal is not None:
        return join(observation, client, ServerEnd((), (), wait=False))
    servers = servers_of(observation, view, moment, final=final)
    if isinstance(observation, ConnectionObservation) and takes_name(observation, client, servers):
        servers = with_name(servers, named_server_of(observation, view, moment, final=final))
    return join(observation, client, servers)


def refuse_unseen(observation: Observation) -> Refusal | None:
    """Refuse what is no call whoever had the addresses (R8.2, R13)."""
    if isinstance(observation, DnsObservation):
        return None
    if observation.server_port == DNS_PORT:
        return Refusal("event", observation.server_address, "dns_transport")
    if observation.client_side == "unknown":
        return Refusal("event", observation.client_address, "direction_unknown")
    return None


def client_of(observation: Observation, view: ClusterInventory, moment: Moment, *, node: str) -> ClientEnd:
    """Name the client's end."""
    try:
        address = canonical_address(observation.client_address)
    except ValueError:
        refusal = Refusal("client", observation.client_address, "malformed_address")
        return ClientEnd(None, None, refusal, wait=False)
    if isinstance(observation, ConnectionObservation):
        return find_client(view, address, moment, node=node, pod_uid=observation.pod_uid)
    client = find_client(view, address, moment, node=node)
    if client.pod is not None and is_resolver(view, client.pod, moment):
        return ClientEnd(None, client.pod, Refusal("client", address, "dns_infrastructure"), wait=False)
    return client


def servers_of(observation: Observation, view: ClusterInventory, moment: Moment, *, final: bool) -> ServerEnd:
    """Name the servers' end."""
    if isinstance(observation, DnsObservation):
        return find_answered(view, observation, moment, final=final)
    try:
        address = canonical_address(observation.server_address)
    except ValueError:
        refusal = Refusal("server", observation.server_address, "malformed_address")
        return ServerEnd((), (refusal,), wait=False)
    return find_accepting(view, address, moment, Port(observation.server_port, observation.network_transport))


def takes_name(connection: ConnectionObservation, client: ClientEnd, servers: ServerEnd) -> bool:
    """Tell whether the name that came with a connection may name its server (R7.5).

    Only a server outside of the cluster, and only where the very pod that connects had the client's address when the
    answer came: what its predecessor asked for says nothing of it, nor what others on its host did.
    """
    if not servers.outside or connection.dns_question_name is None or client.pod is None:
        return False
    learnt_at, address = connection.dns_observed_at, canonical_address(connection.client_address)
    return learnt_at is not None and any(
        each.address == address and each.from_at <= learnt_at and (each.to_at is None or learnt_at < each.to_at)
        for each in client.pod.addresses
    )


def named_server_of(
    connection: ConnectionObservation, view: ClusterInventory, moment: Moment, *, final: bool
) -> ServerEnd:
    """Name the server of a connection by what its client asked for."""
    port = Port(connection.server_port, connection.network_transport)
    return find_asked_for(view, connection.dns_question_name or "", connection.cnames, moment, port, final=final)


def with_name(servers: ServerEnd, named: ServerEnd) -> ServerEnd:
    """Put the name for the address, unless the name says nothing."""
    return ServerEnd(named.servers or servers.servers, (), servers.wait or named.wait)


def join(observation: Observation, client: ClientEnd, server: ServerEnd) -> Resolution:
    """Put both ends together; a pod and itself are no call (R13)."""
    if client.workload is None:
        return Resolution(refusals=(client.refusal,) if client.refusal else (), wait=client.wait)
    dns = isinstance(observation, DnsObservation)
    attributed: list[Attributed] = []
    refusals = server.refusals
    for each in server.servers:
        if each.pod is not None and client.pod is not None and each.pod.uid == client.pod.uid:
            refusals = (*refusals, Refusal("event", observation.client_address, "self_call"))
            continue
        attributed.append(
            Attributed(
                client=client.workload,
                server=each.workload,
                evidence="dns" if isinstance(observation, DnsObservation) else observation.evidence,
                service=each.service,
                dns_name=observation.dns_question_name if isinstance(observation, DnsObservation) else None,
                server_port=each.port,
                network_transport=None if dns else observation.network_transport,
                backends=each.backends,
            )
        )
    return Resolution(tuple(attributed), refusals, client.wait or server.wait)
