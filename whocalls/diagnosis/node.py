"""Can an agent see what happens on this node? Pure.

In: what a process with the agent's rights found. Out: a finding for each check.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from capture_agent.settings import AgentSettings
from whocalls.diagnosis.finding import Finding, fail, fail_with, ok, skip, warn

CAP_NET_RAW = 13
_AGENT = "docs/security.md#the-agent"
_BLIND = "docs/concepts.md#what-it-cannot-see"
_DOT_PORT = 853


class NodeFacts(Struct, frozen=True, kw_only=True):
    """What was found."""

    uid: int
    capabilities: int
    """CapEff of /proc/self/status, a bit for each."""
    ring: str = ""
    """Why no packet ring could be opened; empty: it could, or none is asked for."""
    shares_host_network: bool | None = None
    """None: process 1 of the mounted /proc cannot be looked at."""
    namespaces: int = 0
    """Network namespaces that processes of the mounted /proc live in."""
    proc: str = ""
    """Why /proc cannot be read."""
    processes: int = 0
    unreadable: int = 0
    """Of these: refused to be looked at, or ended meanwhile."""
    answers: int = 0
    """DNS answers that the ring gave while one was waited for."""
    waited_seconds: float = 0.0
    asked_name: str = ""
    asked_trouble: str = ""
    """Why the name that was asked for meanwhile did not resolve."""
    interfaces: tuple[str, ...] = ()
    """Of the host."""
    encrypted_dns: int = 0
    """Connections to port 853, by the sockets of the node."""


def check_node(facts: NodeFacts, agent: AgentSettings) -> list[Finding]:
    """Judge the rights of this process, and what it sees."""
    captures = agent.capture.dns or agent.capture.syn
    found = [_check_capability(facts) if captures else skip("agent.capability", "agent.capture is off")]
    found.append(_check_ring(facts) if captures else skip("agent.ring", "agent.capture is off"))
    found.append(_check_host_network(facts))
    found.append(_check_proc(facts, agent))
    if captures and agent.capture.dns and not facts.ring:
        found.append(_check_answers(facts, agent))
    return [*found, *_hints(facts)]


def _check_capability(facts: NodeFacts) -> Finding:
    if facts.capabilities >> CAP_NET_RAW & 1:
        return ok("agent.capability", f"uid {facts.uid} has NET_RAW")
    fix = "securityContext: {runAsUser: 0, capabilities: {drop: [ALL], add: [NET_RAW]}}"
    return fail("agent.capability", f"uid {facts.uid} has no NET_RAW", fix=fix, doc=_AGENT)


def _check_ring(facts: NodeFacts) -> Finding:
    return fail_with("agent.ring", facts.ring, doc=_AGENT) if facts.ring else ok("agent.ring", "a packet ring opens")


def _check_host_network(facts: NodeFacts) -> Finding:
    check = "agent.hostnetwork"
    if facts.shares_host_network is None:
        return skip(check, "process 1 of agent.sockets.proc_root cannot be looked at")
    if facts.shares_host_network:
        return ok(check, "this process is in the node's network namespace")
    fix = "hostNetwork: true, and agent.sockets.proc_root where the host's /proc is mounted"
    return fail(check, "this process is in a network of its own: it sees its own packets only", fix=fix, doc=_AGENT)


def _check_proc(facts: NodeFacts, agent: AgentSettings) -> Finding:
    check, root = "agent.proc", agent.sockets.proc_root
    if not agent.sockets.enabled:
        return skip(check, "agent.sockets.enabled is false")
    if facts.proc or not facts.namespaces:
        why = facts.proc or "it shows no process"
        fix = "mount the host's /proc there, read-only, as charts/whocalls/templates/agent.yaml does"
        return fail(check, f"{root} cannot be read: {why}", fix=fix, doc=_AGENT)
    message = f"{root} shows {facts.namespaces} network namespaces"
    if facts.unreadable * 2 > facts.processes:
        message += f", but {facts.unreadable} of {facts.processes} processes refused"
        return warn(check, message, fix="mount the host's /proc without hidepid", doc=_AGENT)
    return ok(check, message)


def _check_answers(facts: NodeFacts, agent: AgentSettings) -> Finding:
    check = "agent.answers"
    if facts.answers:
        return ok(check, f"saw {facts.answers} DNS answers within {facts.waited_seconds:.0f} s")
    message = f"saw no DNS answer within {facts.waited_seconds:.0f} s, though {facts.asked_name} was asked for"
    if facts.asked_trouble:
        fix = "give a name that resolves here with --name"
        return warn(check, f"{message}: {facts.asked_trouble}", fix=fix, doc=_BLIND)
    ports = ", ".join(map(str, agent.capture.resolver_ports))
    fix = f"set agent.capture.resolver_ports, now {ports}, to the ports that your resolvers answer from"
    return fail(check, message, fix=fix, doc=_BLIND)


def _hints(facts: NodeFacts) -> Iterator[Finding]:
    if "nodelocaldns" in facts.interfaces:
        message = "a NodeLocal DNSCache answers here: lookups of host-network pods stay on loopback"
        yield warn("agent.nodelocaldns", message, fix="nothing to do: pods are seen, sockets show the rest", doc=_BLIND)
    else:
        yield ok("agent.nodelocaldns", "no NodeLocal DNSCache on this node")
    if any(name.startswith(("cilium", "lxc")) for name in facts.interfaces):
        message = "Cilium is here: with DNS policies its proxy answers pods, and eBPF may skip the host's interfaces"
        fix = "compare `whocalls list` with a known call; sockets (agent.sockets.enabled) see it either way"
        yield warn("agent.dnsproxy", message, fix=fix, doc=_BLIND)
    else:
        yield ok("agent.dnsproxy", "no DNS proxy of Cilium on this node")
    if facts.encrypted_dns:
        message = f"{facts.encrypted_dns} connections to port {_DOT_PORT}: answers over TLS are not seen"
        fix = "let the cluster's resolver speak TLS to the outside, and pods plain DNS to it"
        yield warn("agent.encrypteddns", message, fix=fix, doc=_BLIND)
    else:
        yield ok("agent.encrypteddns", "no connection to a resolver over TLS")
