"""The settings of the capture agent. Pure."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from callgraph.settings import SettingsGroup


class CaptureSettings(SettingsGroup, frozen=True, kw_only=True):
    """Packets."""

    dns: Annotated[bool, Meta(description="Capture DNS answers (needs CAP_NET_RAW).")] = True
    syn: Annotated[bool, Meta(description="Capture TCP SYNs (needs CAP_NET_RAW).")] = True
    resolver_ports: Annotated[
        tuple[int, ...],
        Meta(description="Ports that resolvers answer from (OpenShift's DNS pods use 5353).", max_length=32),
    ] = (53,)
    ring_bytes: Annotated[
        int,
        Meta(description="Size of the kernel's ring; 4 MiB ride out a second at 10,000 packets/s.", ge=2**19, le=2**30),
    ] = 4 * 2**20


class SuppressionSettings(SettingsGroup, frozen=True, kw_only=True):
    """Repeats of what is known."""

    window_seconds: Annotated[
        float, Meta(description="A known fact is sent again once in each window, so that a lost batch heals.", gt=0)
    ] = 300.0
    entries: Annotated[
        int,
        Meta(
            description="Distinct facts remembered of each source; the oldest that Kafka has make room, "
            "and while Kafka is away new ones beyond it are counted as lost.",
            ge=1,
        ),
    ] = 65_536
    names_per_client: Annotated[
        int,
        Meta(
            description="Distinct names from one client in a window, and distinct servers: any pod can forge answers, "
            "and scan ports.",
            ge=1,
        ),
    ] = 4_096


class SocketSettings(SettingsGroup, frozen=True, kw_only=True):
    """Connections read from /proc."""

    enabled: Annotated[bool, Meta(description="Read existing connections (needs no capability).")] = True
    proc_root: Annotated[str, Meta(description="Where the host's /proc is mounted.")] = "/proc"
    interval_seconds: Annotated[
        float, Meta(description="Between two readings of the same namespace; each costs the kernel 5 ms.", gt=0)
    ] = 300.0
    diagnosis: Annotated[
        bool,
        Meta(
            description="Ask the kernel's socket diagnosis, 0.3 ms a namespace, instead of reading tables; "
            "needs CAP_SYS_ADMIN and CAP_SYS_PTRACE, which are then kept."
        ),
    ] = False


class PublishSettings(SettingsGroup, frozen=True, kw_only=True):
    """Batches on their way to Kafka."""

    batch_observations: Annotated[int, Meta(description="Most observations in one record.", ge=1)] = 500
    flush_seconds: Annotated[float, Meta(description="Longest wait of an observation for its batch.", gt=0)] = 5.0
    heartbeat_seconds: Annotated[
        float, Meta(description="Longest silence: a batch with nothing but counters shows that the node reports.", gt=0)
    ] = 60.0


class AgentSettings(SettingsGroup, frozen=True, kw_only=True):
    """The capture agent."""

    node: Annotated[str, Meta(description="Kubernetes name of this node; empty: the host name.")] = ""
    capture: CaptureSettings = CaptureSettings()
    suppression: SuppressionSettings = SuppressionSettings()
    sockets: SocketSettings = SocketSettings()
    publish: PublishSettings = PublishSettings()
    metrics_listen: Annotated[str, Meta(description="HOST:PORT of /metrics; empty: none.")] = ""
    user: Annotated[str, Meta(description="User to become after the sockets are open; empty: stay.")] = ""
    to: Annotated[
        str, Meta(description="Where observations go: kafka, a file, or - for stdout; files get JSON Lines.")
    ] = "kafka"
    raw: Annotated[bool, Meta(description="Pass every observation on as it is, repeats included.")] = False
