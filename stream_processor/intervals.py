"""From when to when a pod had its addresses, read from its status. Pure.

In: a decoded pod, what was known of its UID before, and when the news arrived. Out: `AddressInterval`s in event time.
Rules R1 and R2 of `docs/identity.md`. The times are the kubelet's, at one second's resolution. Source: PodStatus and
ContainerState in the Kubernetes API reference; KEP-3085 (condition PodReadyToStartContainers).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from callgraph.addresses import canonical_address
from callgraph.records import AddressInterval
from stream_processor.kube_types import ContainerStatusJson, PodJson, PodStatusJson

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HISTORY = 16
"""Former addresses kept per pod: one more for each time its sandbox was made anew."""


def nanoseconds(moment: datetime) -> int:
    """Convert exactly; a float of seconds would not hold nanoseconds."""
    passed = moment - _EPOCH if moment.tzinfo else moment.replace(tzinfo=UTC) - _EPOCH
    return ((passed.days * 86_400 + passed.seconds) * 1_000_000 + passed.microseconds) * 1_000


def canonical_addresses(texts: Iterable[str | None]) -> tuple[str, ...]:
    """Return the canonical forms in order, each once, leaving out what is no address (`None`, `""`, host names)."""
    found: dict[str, None] = {}
    for text in texts:
        try:
            if text:
                found[canonical_address(text)] = None
        except ValueError:
            continue
    return tuple(found)


def host_addresses(pod: PodJson) -> tuple[str, ...]:
    """Return the addresses of the node that the pod reports; on the host's network its own are the node's."""
    status = pod.status
    own = [each.ip for each in status.pod_ips or ()] or [status.pod_ip] if pod.spec.host_network else []
    return canonical_addresses([status.host_ip, *(each.ip for each in status.host_ips or ()), *own])


def own_addresses(pod: PodJson) -> tuple[str, ...]:
    """Return the addresses that are the pod's alone (R1.1, R1.2): none on the host's network, never a host's."""
    if pod.spec.host_network:
        return ()
    hosts = host_addresses(pod)
    listed = [each.ip for each in pod.status.pod_ips or ()] or [pod.status.pod_ip]
    return tuple(address for address in canonical_addresses(listed) if address not in hosts)


def ended_at(pod: PodJson, *, arrived_at: int, deleted: bool, before: int | None) -> int | None:
    """Tell when the pod's addresses were free again (R2.2 to R2.4); None while it lasts.

    `before` is what was answered last time: it stands where only the arrival of the news could be given instead.
    """
    over = pod.status.phase in {"Succeeded", "Failed"}
    if not over and not deleted:
        return None
    finished = _finished_times(pod.status) if over or _all_terminated(pod.status) else []
    if finished:
        return max(finished)
    return arrived_at if before is None else before


def address_intervals(
    pod: PodJson, *, previous: tuple[AddressInterval, ...], was_ended_at: int | None, to_at: int | None, arrived_at: int
) -> tuple[AddressInterval, ...]:
    """Return every interval of the pod's addresses: those before a change of sandbox (R1.3), then the current ones."""
    history = [each for each in previous if each.to_at not in {None, was_ended_at}]
    current = {each.address: each for each in previous if each.to_at in {None, was_ended_at}}
    # A kubelet that restarts a sandbox may report no address for a while: nothing is known to have changed.
    addresses = own_addresses(pod) or tuple(current)
    left = [each for address, each in current.items() if address not in addresses]
    if left:
        start = _sandbox_start(pod.status, after=max(each.from_at for each in left), arrived_at=arrived_at)
        history += [_closed(each, start.from_at) for each in left]
    else:
        start = _start(pod, not_before=max((each.to_at or 0 for each in history), default=0))
    kept = [_merged(current.get(address), start, address=address, to_at=to_at) for address in addresses]
    return (*history, *kept)[-_HISTORY:]


def _merged(
    before: AddressInterval | None, start: AddressInterval, *, address: str, to_at: int | None
) -> AddressInterval:
    """Keep the earliest firm start known; a weak one gives way to any firm one."""
    from_at, firm = start.from_at, start.firm
    if before is not None and before.firm:
        from_at, firm = (min(before.from_at, from_at) if firm else before.from_at), True
    elif before is not None and not firm:
        from_at = min(before.from_at, from_at)
    return AddressInterval(
        address=address, from_at=from_at, to_at=None if to_at is None else max(to_at, from_at), firm=firm
    )


def _closed(interval: AddressInterval, to_at: int) -> AddressInterval:
    return msgspec.structs.replace(interval, to_at=max(to_at, interval.from_at))


def _start(pod: PodJson, *, not_before: int) -> AddressInterval:
    """R2.1: the sandbox's or the first container's start; else startTime or creation, as weak evidence."""
    evidence = [time for time in _start_times(pod.status) if time >= not_before]
    if evidence:
        return AddressInterval(address="", from_at=min(evidence))
    weak = pod.status.start_time or pod.metadata.creation_timestamp
    return AddressInterval(address="", from_at=max(nanoseconds(weak) if weak else 0, not_before), firm=False)


def _sandbox_start(status: PodStatusJson, *, after: int, arrived_at: int) -> AddressInterval:
    """R1.3: the start of the sandbox that followed the one of `after`."""
    running = [
        nanoseconds(each.state.running.started_at)
        for each in _statuses(status)
        if each.state and each.state.running and each.state.running.started_at
    ]
    for times in (_sandbox_times(status), running):
        later = [time for time in times if time > after]
        if later:
            return AddressInterval(address="", from_at=min(later))
    return AddressInterval(address="", from_at=max(arrived_at, after), firm=False)


def _statuses(status: PodStatusJson) -> Iterator[ContainerStatusJson]:
    yield from status.container_statuses or ()
    yield from status.init_container_statuses or ()
    yield from status.ephemeral_container_statuses or ()


def _sandbox_times(status: PodStatusJson) -> list[int]:
    return [
        nanoseconds(each.last_transition_time)
        for each in status.conditions or ()
        if each.type == "PodReadyToStartContainers" and each.status == "True" and each.last_transition_time
    ]


def _start_times(status: PodStatusJson) -> list[int]:
    times = _sandbox_times(status)
    # Without the condition the last run of a crashing container is the best witness of the sandbox's age.
    with_last = not times
    for each in _statuses(status):
        for state in (each.state, each.last_state if with_last else None):
            part = state and (state.running or state.terminated)
            if part and part.started_at:
                times.append(nanoseconds(part.started_at))
    return times


def _finished_times(status: PodStatusJson) -> list[int]:
    return [
        nanoseconds(each.state.terminated.finished_at)
        for each in _statuses(status)
        if each.state and each.state.terminated and each.state.terminated.finished_at
    ]


def _all_terminated(status: PodStatusJson) -> bool:
    main = status.container_statuses or ()
    running = any(each.state and each.state.running for each in _statuses(status))
    return bool(main) and not running and all(each.state and each.state.terminated for each in main)
