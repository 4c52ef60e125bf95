"""The settings of the watcher, of attribution and of the stream processor. Pure."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from callgraph.settings import SettingsGroup


class AttributionSettings(SettingsGroup, frozen=True, kw_only=True):
    """Who had this address at that time."""

    hold_seconds: Annotated[
        float, Meta(description="An event waits until the inventory's watermark is this far past it.", ge=0)
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
