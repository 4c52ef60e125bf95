"""The settings of the watcher, of attribution and of the stream processor. Pure."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from callgraph.settings import SettingsGroup


class AttributionSettings(SettingsGroup, frozen=True, kw_only=True):
    """Who had this address at that time."""

    hold_seconds: Annotated[
        float,
        Meta(
            description="An event waits until the inventory's watermark is this far, and the tolerance, past it.",
            ge=0,
        ),
    ] = 3.0
    late_seconds: Annotated[
        float, Meta(description="How long an event with an unknown in-cluster address is tried again.", ge=0)
    ] = 30.0
    tolerance_seconds: Annotated[
        float, Meta(description="Slack at both ends of an interval for clock skew and 1 s timestamps.", ge=0)
    ] = 2.0
    cluster_domain: Annotated[str, Meta(description="DNS domain of the cluster.")] = "cluster.local"
    override_annotations: Annotated[
        tuple[str, ...], Meta(description="Pod annotations that name the workload, first match wins.")
    ] = ("intents.otterize.com/workload-name", "intents.otterize.com/service-name")
    override_labels: Annotated[
        tuple[str, ...], Meta(description="Pod labels that name the workload; off: they merge what is different.")
    ] = ()
    service_cidrs: Annotated[
        tuple[str, ...], Meta(description="Address ranges of Services: unknown addresses inside are never external.")
    ] = ()
    pod_cidrs: Annotated[
        tuple[str, ...], Meta(description="Address ranges of pods, where Node objects do not tell them.")
    ] = ()
    control_plane_prefix: Annotated[
        int,
        Meta(
            description="Prefix length around the API server's IPv4 endpoints that counts as the API server (GKE: 28).",
            ge=8,
            le=32,
        ),
    ] = 32
    patience_seconds: Annotated[
        float, Meta(description="How long an event waits for a watermark that stays away, on the worker's clock.", gt=0)
    ] = 120.0
    held_observations: Annotated[
        int, Meta(description="Most observations that wait at once; beyond it the oldest are given up.", ge=1)
    ] = 200_000
    tombstone_seconds: Annotated[
        float,
        Meta(
            description="How long a worker remembers what has ended, before the oldest event it still works on.", ge=0
        ),
    ] = 3600.0
    remembered_seconds: Annotated[
        float,
        Meta(
            description="How long the inventory topic remembers what has ended: the longest stop of the processors "
            "after which old observations still resolve.",
            ge=0,
        ),
    ] = 86_400.0


class LeaseSettings(SettingsGroup, frozen=True, kw_only=True):
    """Which of several watchers is the active one (coordination.k8s.io/v1)."""

    name: Annotated[str, Meta(description="Name of the Lease; empty: this watcher is the only one and needs none.")] = (
        ""
    )
    namespace: Annotated[str, Meta(description="Its namespace; empty: the one that this pod runs in.")] = ""
    identity: Annotated[str, Meta(description="Who we are in it; empty: host name and a random part.")] = ""
    seconds: Annotated[
        float, Meta(description="A standby takes over when the Lease was not renewed for this long.", gt=0)
    ] = 8.0


class WatchSettings(SettingsGroup, frozen=True, kw_only=True):
    """How lists and watches are paced."""

    page_size: Annotated[int, Meta(description="Objects in a page of a list.", ge=1)] = 500
    watch_seconds: Annotated[
        float, Meta(description="A watch is renewed after this long, and up to a quarter more.", ge=1)
    ] = 240.0
    silence_seconds: Annotated[
        float, Meta(description="A watch that says nothing for this long is broken; bookmarks come each minute.", gt=0)
    ] = 90.0
    sync_seconds: Annotated[
        float, Meta(description="A watch-list that says nothing for this long before its end is not served.", gt=0)
    ] = 30.0
    retry_seconds: Annotated[float, Meta(description="Longest pause after failures that repeat.", gt=0)] = 30.0
    denied_retry_seconds: Annotated[float, Meta(description="Pause after a 403 or a 404.", gt=0)] = 30.0
    safety_seconds: Annotated[
        float, Meta(description="The watermark stays this far behind the clock: events still on the wire.", ge=0)
    ] = 0.5
    connect_seconds: Annotated[
        float, Meta(description="How long a connection may take, and how long the start waits for the API.", gt=0)
    ] = 10.0


class WatcherSettings(SettingsGroup, frozen=True, kw_only=True):
    """The watch of the Kubernetes API, or a file in its place."""

    kubeconfig: Annotated[str, Meta(description="Path of a kubeconfig; empty: in-cluster, else the default one.")] = ""
    context: Annotated[str, Meta(description="Context of the kubeconfig; empty: its current one.")] = ""
    namespaces: Annotated[tuple[str, ...], Meta(description="Namespaces to watch (Roles); empty: all.")] = ()
    objects_file: Annotated[
        str, Meta(description="Objects as `kubectl get … -A -o json` prints them, in place of a watch.")
    ] = ""
    events_file: Annotated[str, Meta(description="Watch events, one JSON a line, applied after the objects file.")] = ""
    heartbeat_seconds: Annotated[float, Meta(description="Between two watermarks.", gt=0)] = 1.0
    listen: Annotated[str, Meta(description="HOST:PORT of /metrics, /healthz and /readyz; empty: none.")] = ""
    lease: LeaseSettings = LeaseSettings()
    watch: WatchSettings = WatchSettings()


class ProcessorSettings(SettingsGroup, frozen=True, kw_only=True):
    """The Faust application."""

    group: Annotated[str, Meta(description="Consumer group, the same for all workers.")] = "whocalls-processor"
    instance: Annotated[
        str, Meta(description="Static member id of this worker (a StatefulSet's pod name); empty: dynamic membership.")
    ] = ""
    listen: Annotated[str, Meta(description="HOST:PORT of /metrics, /healthz and /readyz.")] = "127.0.0.1:6066"
    last_seen_seconds: Annotated[
        float, Meta(description="An edge that gains nothing new is published again at most this often.", ge=0)
    ] = 60.0
