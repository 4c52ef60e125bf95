"""Which of several watchers is the active one, by a Lease. Pure.

In: the Lease as the API server has it, and for how long we have seen it unchanged. Out: what to do about it. The times
in it are for people: clocks of other nodes are not compared.
Source: kubernetes.io/docs/concepts/architecture/leases; client-go tools/leaderelection.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import Enum, auto

import msgspec
from msgspec import Struct

from stream_processor.settings import LeaseSettings


class LeaseMetadata(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Name, and the version that makes an update fail when somebody else was faster."""

    name: str = ""
    namespace: str = ""
    resource_version: str = ""


class LeaseSpec(Struct, frozen=True, rename="camel", omit_defaults=True):
    """Who holds it, and since when."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(Struct, frozen=True, rename="camel", kw_only=True):
    """A Lease of coordination.k8s.io/v1."""

    api_version: str = "coordination.k8s.io/v1"
    kind: str = "Lease"
    metadata: LeaseMetadata = LeaseMetadata()
    spec: LeaseSpec = LeaseSpec()


class Step(Enum):
    """What to do about a Lease."""

    CREATE = auto()
    RENEW = auto()
    TAKE = auto()
    WAIT = auto()


def decide(lease: Lease | None, *, me: str, unchanged_seconds: float, seconds: float) -> Step:
    """Say what to do. `unchanged_seconds`: for how long we have seen the Lease as it is now."""
    if lease is None:
        return Step.CREATE
    holder = lease.spec.holder_identity or ""
    if holder == me:
        return Step.RENEW
    duration = max(seconds, float(lease.spec.lease_duration_seconds or 0))
    return Step.TAKE if not holder or unchanged_seconds >= duration else Step.WAIT


def claim(lease: Lease | None, step: Step, *, me: str, settings: LeaseSettings, now: int) -> Lease:
    """Build the Lease that says it is ours from now on. `now`: nanoseconds."""
    before = lease or Lease(metadata=LeaseMetadata(name=settings.name, namespace=settings.namespace))
    moment = _micro_time(now)
    spec = LeaseSpec(
        holder_identity=me,
        lease_duration_seconds=max(1, round(settings.seconds)),
        acquire_time=before.spec.acquire_time if step is Step.RENEW else moment,
        renew_time=moment,
        lease_transitions=(before.spec.lease_transitions or 0) + (step is Step.TAKE),
    )
    return msgspec.structs.replace(before, spec=spec)


def give_up(lease: Lease) -> Lease:
    """Build the Lease that another may take at once."""
    return msgspec.structs.replace(lease, spec=msgspec.structs.replace(lease.spec, holder_identity=""))


def _micro_time(now: int) -> str:
    return datetime.fromtimestamp(now // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S") + (
        f".{now // 1000 % 1_000_000:06d}Z"
    )
