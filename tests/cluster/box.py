"""The box: three nodes with processes of their own, pods that are routed, Services translated by nftables. Shell.

On top of the end-to-end lab: every node is also a PID namespace, so that the agent of a node sees the /proc of that
node alone, and every pod is in a cgroup named after its UID, as under a kubelet. Needs root.
Source: pid_namespaces(7), nft(8), cgroups(7).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.dns_traffic import RECEIVER
from tests.cluster.world import NODES, OUTSIDE, OUTSIDE_UNNAMED, RESOLVER, Placed, node_address, nodes
from tests.end_to_end import lab
from tests.end_to_end.lab import Lab, Place, configure, namespace, resolv_conf
from whocalls.child_process import ends_with_parent

OUTSIDE_HOST = "outside"
_SERVICE_RANGES = ("10.77.128.0/24", "fd77:128::/64")
_NODE_SYSCTLS = (
    # The node is the next hop of every pod, and must not tell them of a shorter way.
    *(f"net.ipv4.conf.{name}.send_redirects=0" for name in ("all", "default", "br0")),
    "net.ipv4.conf.all.rp_filter=0",
)
_POD_SYSCTLS = tuple(f"net.ipv6.conf.{name}.accept_redirects=0" for name in ("all", "eth0"))
_IN_CGROUP = 'echo 0 > "$0/cgroup.procs"; exec "$@"'
_IN_OWN_PROC = 'mount -t proc proc "$0"; exec sleep infinity'


def missing_tool() -> str | None:
    """Say what this machine lacks for a box, or None."""
    if why := lab.missing_tool():
        return why
    for tool, package in (("nft", "nftables"), ("unshare", "util-linux"), ("git", "git")):
        if shutil.which(tool) is None:
            return f"needs {tool} (apt-get install {package})"
    return None


class Box(Lab):
    """The running box, as a context manager. Pods come and go."""

    routes_pods = True

    def __init__(self, folder: Path) -> None:
        super().__init__(nodes(), (), resolver=RESOLVER, search="svc.cluster.local cluster.local")
        self._folder = folder
        self._cgroups = _cgroup_root() / f"whocalls-{time.monotonic_ns()}"
        self._spaces: dict[str, int] = {}
        """The first process of each node's PID namespace."""
        self._homes: dict[str, tuple[str, Path]] = {}
        """Node and cgroup of each pod."""

    def proc_of(self, node: str) -> Path:
        """Return where a node's /proc is mounted out here."""
        return self._folder / node / "proc"

    def inside(self, name: str, command: list[str]) -> list[str]:
        """Return the command as it is run in a node or a pod; a pod's is one of its node's processes, in its cgroup."""
        if name not in self._homes:
            return super().inside(name, command)
        return ends_with_parent([*self._enter(name), *command])

    def start_pod(self, placed: Placed, *, search: str) -> None:
        """Make a pod's network, and start its program."""
        pod = placed.pod
        name, port = key_of(placed), placed.workload.port
        cgroup = self._cgroups / "kubepods" / f"pod{placed.uid}"
        cgroup.mkdir(parents=True)
        self._homes[name] = (pod.node, cgroup)
        if placed.workload.host_network:
            lab.write_resolv_conf(pod.node, resolv_conf(pod.resolver, search))
        else:
            where = Place(name, pod.node, placed.addresses, service_addresses=placed.extra_addresses)
            self._add_place(where, resolv_conf(pod.resolver, search))
            _set(name, _POD_SYSCTLS)
        self._start_program(name, (port,) if port and port != 53 else ())

    def stop_pod(self, placed: Placed) -> None:
        """End a pod's program, and take its network away."""
        name = key_of(placed)
        process = self._pods.pop(name)
        process.kill()
        process.communicate()  # its standard input is closed with that, which ends the program
        lab.remove_namespace(name)
        _, cgroup = self._homes.pop(name)
        for pid in (cgroup / "cgroup.procs").read_text(encoding="ascii").split():
            with contextlib.suppress(ProcessLookupError, ValueError):
                os.kill(int(pid), signal.SIGKILL)

    def translate(self, rules: Mapping[str, str]) -> None:
        """Give every node its nftables rules."""
        for node, text in rules.items():
            command = ["ip", "netns", "exec", namespace(node), "nft", "-f", "-"]
            run = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
            assert run.returncode == 0, f"nft on {node}: {run.stderr} of {text}"

    def drop_connections(self, placed: Placed) -> None:
        """Have a pod's network drop whatever comes over TCP, without a word."""
        chain = "add chain inet deny tcp_in { type filter hook input priority 0; }"
        policy = f"add table inet deny; {chain}; add rule inet deny tcp_in meta l4proto tcp drop"
        run = subprocess.run(["ip", "netns", "exec", namespace(key_of(placed)), "nft", policy], check=False)
        assert run.returncode == 0

    def set_cable(self, node: str, state: str) -> None:
        """Plug a node's cable to the other nodes, or pull it: `up` or `down`."""
        configure(NODES[0], [f"link set up{NODES.index(node) - 1} {state}"])

    def run_in_place(self, name: str, command: list[str]) -> subprocess.Popen[str]:
        """Start a program in the namespace of a pod, or of a node; it ends with its node's processes."""
        process = subprocess.Popen(
            ends_with_parent([*self._enter(name), *command]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._cleanup.callback(_let_go, process)
        return process

    def _enter(self, name: str) -> list[str]:
        """Return what makes the command behind it one of a node's processes, in the network of the node or a pod."""
        node, cgroup = self._homes.get(name, (name, self._cgroups))
        where = namespace(name) if Path("/run/netns", namespace(name)).exists() else namespace(node)
        enter = ["nsenter", "--target", str(self._spaces[node]), "--pid", "sh", "-c", _IN_CGROUP, str(cgroup)]
        return [*enter, "ip", "netns", "exec", where]

    def _build(self) -> None:
        self._cgroups.mkdir()
        self._cleanup.callback(self._remove_cgroups)
        super()._build()
        for node in NODES:
            self._start_process_space(node)
            # As a kubelet: a process on the node's network that belongs to no pod.
            self.run_in_place(node, ["sleep", "infinity"])
            _set(node, _NODE_SYSCTLS)
            # What floods goes to the node, as all that a routed pod sends. Frames to an address that no bridge knows
            # would be copied to every pod: 38,000 a second are all that this machine's kernel does then, not 228,000.
            configure(node, [f"link set br0 address {RECEIVER}"])
            routes = [f"route add {_SERVICE_RANGES[0]} dev uplink src {node_address(node)}"]
            configure(node, [*routes, f"route add {_SERVICE_RANGES[1]} dev uplink"])
        self._add_place(
            Place(OUTSIDE_HOST, "node-b", ("10.77.2.250",), (OUTSIDE, OUTSIDE_UNNAMED)), resolv_conf("127.0.0.1", ".")
        )
        self._start_program(OUTSIDE_HOST, (443,))

    def _start_process_space(self, node: str) -> None:
        place = self.proc_of(node)
        place.mkdir(parents=True)
        process = subprocess.Popen(
            ends_with_parent(["unshare", "--pid", "--fork", "--kill-child", "sh", "-c", _IN_OWN_PROC, str(place)]),
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._cleanup.callback(_end_space, process, place)
        deadline = time.monotonic() + 30
        while not (place / "1").exists():
            assert time.monotonic() < deadline, f"{node} has no processes"
            time.sleep(0.02)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
        self._spaces[node] = int(children[0])

    def _remove_cgroups(self) -> None:
        deadline = time.monotonic() + 10
        for folder in (*sorted(self._cgroups.rglob("*/"), reverse=True), self._cgroups):
            while folder.is_dir():
                try:
                    folder.rmdir()
                except OSError:
                    # Its last process may be a moment from its end.
                    if time.monotonic() > deadline:
                        return
                    time.sleep(0.05)


def key_of(placed: Placed) -> str:
    """Return the name of a pod in the box: pods of different scenarios may have the same."""
    return f"{placed.namespace}-{placed.pod.name}"


def _cgroup_root() -> Path:
    """Find a hierarchy that has no controllers: that of systemd, or the unified one."""
    for name in ("systemd", "unified", "."):
        found = Path("/sys/fs/cgroup", name)
        if (found / "cgroup.procs").exists():
            return found
    raise AssertionError("there is no cgroup hierarchy under /sys/fs/cgroup")


def _set(name: str, settings: tuple[str, ...]) -> None:
    subprocess.run(["ip", "netns", "exec", namespace(name), "sysctl", "-qw", *settings], check=True)


def _let_go(process: subprocess.Popen[str]) -> None:
    """Leave a program to the end of its node's processes."""
    process.kill()
    process.wait()
    process.stdout.close()


def _end_space(process: subprocess.Popen[bytes], place: Path) -> None:
    process.kill()
    process.wait()
    subprocess.run(["umount", "--lazy", str(place)], check=False)
