"""A small cluster made of network namespaces: nodes with bridges, pods on veth pairs, a DNS server. Shell: iproute2.

Every node is a namespace with a bridge; every pod a namespace whose eth0 is the other end of a port of that bridge.
Nodes route to each other. A Service's address is a second address of its one pod, so that clients connect to it as
they do behind kube-proxy, and sockets show it. Names resolve through /etc/netns/NAME/resolv.conf and dnsmasq.
All names carry the process id, and what a killed run left behind is swept by the next.
Source: ip-netns(8), dnsmasq(8), resolv.conf(5).
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.end_to_end.relay import LoopbackRelay
from whocalls.child_process import ends_with_parent

NETNS_CONFIG = Path("/etc/netns")
PREFIX = "whocalls-"
POD_PROGRAM = Path(__file__).with_name("pod_program.py")


class Node(NamedTuple):
    """A node: its addresses towards the other nodes, with the length of their network, and the ranges of its pods.

    Both are IPv4, then IPv6. The first address of a range is the bridge's.
    """

    name: str
    addresses: tuple[str, str]
    pod_ranges: tuple[str, str]


class Place(NamedTuple):
    """Where a pod (or a host out in the world) is: its node, its addresses, and those of its Services."""

    name: str
    node: str
    addresses: tuple[str, ...]
    service_addresses: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()


def missing_tool() -> str | None:
    """Say what this machine lacks for a lab, or None."""
    if os.geteuid() != 0:
        return "needs root for network namespaces"
    for tool, package in (("ip", "iproute2"), ("dnsmasq", "dnsmasq-base")):
        if shutil.which(tool) is None:
            return f"needs {tool} (apt-get install {package})"
    return None


class Lab:
    """The running cluster, as a context manager."""

    routes_pods = False
    """Pods of a node reach each other through the node, not over its bridge: then it can translate addresses."""

    def __init__(self, nodes: tuple[Node, ...], places: tuple[Place, ...], *, resolver: str, search: str) -> None:
        self._nodes = nodes
        self._places = places
        self._resolv_conf = resolv_conf(resolver, search)
        self._ports = itertools.count()
        self._cleanup = contextlib.ExitStack()
        self._pods: dict[str, subprocess.Popen[str]] = {}

    def __enter__(self) -> Self:
        sweep()
        try:
            self._build()
        except BaseException:
            self._cleanup.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._cleanup.close()

    def inside(self, name: str, command: list[str]) -> list[str]:
        """Return the command as it is run in the namespace of a node or a pod; it ends with this process."""
        return ends_with_parent(["ip", "netns", "exec", namespace(name), *command])

    def open_port(self, node: str, port: int) -> None:
        """Make a port of this machine's loopback reachable on the loopback of a node."""
        self._cleanup.callback(LoopbackRelay(namespace(node), port).close)

    def order(self, pod: str, do: str, **details: Any) -> dict[str, Any]:
        """Have a pod carry out an order (see pod_program.py) and return its answer."""
        process = self._pods[pod]
        process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, f"the program of pod {pod} ended"
        return json.loads(line)

    def call(self, pod: str, name: str, port: int, *, keep: bool = False) -> None:
        """Have a pod resolve a name and exchange a byte with what it finds."""
        answer = self.order(pod, "call", name=name, port=port, keep=keep)
        assert not answer, f"{pod} could not call {name}:{port}: {answer}"

    def serve_names(self, pod: str, records: list[str]) -> None:
        """Run a DNS server in a pod, with lines of dnsmasq's configuration, and wait until it answers `ready.lab`."""
        config = Path(self._cleanup.enter_context(tempfile.TemporaryDirectory(prefix=PREFIX))) / "dnsmasq.conf"
        settings = ["no-resolv", "no-hosts", "port=53", "user=root", "pid-file=", "host-record=ready.lab,192.0.2.1"]
        config.write_text("\n".join([*settings, *records, ""]), encoding="utf-8")
        self._run_inside(pod, ["dnsmasq", "--keep-in-foreground", f"--conf-file={config}"])
        deadline = time.monotonic() + 30
        while "error" in (answer := self.order(pod, "resolve", name="ready.lab.")):
            assert time.monotonic() < deadline, f"the DNS server does not answer: {answer}"

    def _build(self) -> None:
        for node in self._nodes:
            self._add_namespace(node.name)
            for setting in ("net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1"):
                _run("ip", "netns", "exec", namespace(node.name), "sysctl", "-qw", setting)
            bridge = ["link add br0 type bridge", "link set br0 up"]
            gateways = [f"addr add {_gateway(pods)} dev br0 nodad" for pods in node.pod_ranges]
            configure(node.name, [*bridge, *gateways])
        self._join_nodes()
        for place in self._places:
            self._add_place(place, self._resolv_conf)
        for place in self._places:
            self._start_program(place.name, place.ports)

    def _join_nodes(self) -> None:
        """One more bridge, in the first node, is the network between the nodes."""
        hub, *others = self._nodes
        configure(hub.name, ["link add uplink type bridge"])
        for number, node in enumerate(others):
            cable = f"link add up{number} type veth peer name uplink netns {namespace(node.name)}"
            configure(hub.name, [cable, f"link set up{number} master uplink up"])
        for node in self._nodes:
            addresses = [f"addr add {address} dev uplink nodad" for address in node.addresses]
            configure(node.name, ["link set uplink up", *addresses])
        for node in self._nodes:
            configure(node.name, [route for other in self._nodes if other != node for route in _routes_to(other)])

    def _add_place(self, place: Place, resolv_conf: str) -> None:
        node = next(node for node in self._nodes if node.name == place.node)
        self._add_namespace(place.name, resolv_conf=resolv_conf)
        port = f"v{next(self._ports)}"
        cable = f"link add {port} type veth peer name eth0 netns {namespace(place.name)}"
        configure(node.name, [cable, f"link set {port} master br0 up"])
        homes = [(address, _range_of(address, node)) for address in place.addresses]
        own = [f"addr add {address}{self._length(pods)} dev eth0 nodad" for address, pods in homes]
        services = [f"addr add {address} dev eth0 nodad" for address in place.service_addresses]
        gateways = [str(_gateway(pods).ip) for _, pods in homes]
        on_link = [f"route add {gateway} dev eth0" for gateway in gateways if self.routes_pods]
        routes = [f"route add default via {gateway}" for gateway in gateways]
        configure(place.name, ["link set eth0 up", *own, *services, *on_link, *routes])
        for each in self._nodes:
            next_hop = place.addresses[0] if each == node else _bare(node.addresses[0])
            configure(each.name, [f"route add {address} via {next_hop}" for address in place.service_addresses])

    def _length(self, pods: str) -> str:
        return "" if self.routes_pods else f"/{ipaddress.ip_network(pods).prefixlen}"

    def _start_program(self, name: str, ports: tuple[int, ...]) -> None:
        self._pods[name] = self._run_inside(name, [sys.executable, str(POD_PROGRAM)])
        for port in ports:
            answer = self.order(name, "listen", port=port)
            assert not answer, f"{name} cannot listen on {port}: {answer}"

    def _add_namespace(self, name: str, *, resolv_conf: str = "") -> None:
        _run("ip", "netns", "add", namespace(name))
        self._cleanup.callback(remove_namespace, name)
        configure(name, ["link set lo up"])
        if resolv_conf:
            write_resolv_conf(name, resolv_conf)

    def _run_inside(self, name: str, command: list[str]) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            self.inside(name, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._cleanup.callback(_end, process)
        return process


def resolv_conf(resolver: str, search: str) -> str:
    """Return /etc/resolv.conf as the kubelet writes it."""
    return f"nameserver {resolver}\nsearch {search}\noptions ndots:5 timeout:2 attempts:3\n"


def write_resolv_conf(name: str, text: str) -> None:
    """Say how names are resolved by what starts in a node or a pod from now on."""
    folder = NETNS_CONFIG / namespace(name)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "resolv.conf").write_text(text, encoding="utf-8")


def namespace(name: str) -> str:
    """Return the name of the network namespace of a node or a pod of this process's lab."""
    return f"{PREFIX}{os.getpid()}-{name}"


def remove_namespace(name: str) -> None:
    """Remove the namespace of a node or a pod, if it is still there."""
    _remove(namespace(name))


def sweep() -> None:
    """Remove namespaces of runs that were killed."""
    for found in Path("/run/netns").glob(f"{PREFIX}*"):
        owner = found.name.removeprefix(PREFIX).partition("-")[0]
        if owner.isdigit() and not Path(f"/proc/{owner}").exists():
            # Another run may be sweeping the same one.
            with contextlib.suppress(AssertionError):
                _remove(found.name)


def _remove(name: str) -> None:
    if Path("/run/netns", name).exists():
        _run("ip", "netns", "del", name)
    shutil.rmtree(NETNS_CONFIG / name, ignore_errors=True)


def _end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def configure(name: str, lines: list[str]) -> None:
    """Run lines of ip(8) in the namespace of a node or a pod."""
    _run("ip", "-n", namespace(name), "-batch", "-", text="\n".join(lines))


def _run(*command: str, text: str | None = None) -> None:
    run = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert run.returncode == 0, f"{' '.join(command)} failed: {run.stderr.strip()} (of {text!r})"


def _gateway(pods: str) -> ipaddress.IPv4Interface | ipaddress.IPv6Interface:
    network = ipaddress.ip_network(pods)
    return ipaddress.ip_interface(f"{network[1]}/{network.prefixlen}")


def _range_of(address: str, node: Node) -> str:
    return node.pod_ranges[":" in address]


def _routes_to(other: Node) -> list[str]:
    ways = zip(other.pod_ranges, other.addresses, strict=True)
    return [f"route add {pods} via {_bare(address)}" for pods, address in ways]


def _bare(address: str) -> str:
    return address.partition("/")[0]
