"""The box's DNS: CoreDNS in a pod of its own, and a NodeLocal DNSCache on the first node. Shell."""

from __future__ import annotations

from pathlib import Path

from tests.cluster.box import Box, key_of
from tests.cluster.control_plane import COREDNS, SYSTEM, ControlPlane
from tests.cluster.coredns_program import cluster_corefile, node_local_corefile
from tests.cluster.world import NODE_LOCAL_RESOLVER, NODES
from tests.end_to_end.lab import configure
from tests.fake_api_server import FakeApiServer


def serve_names(coredns: Path, box: Box, plane: ControlPlane, api: FakeApiServer, folder: Path) -> None:
    """Start the cluster's DNS in its pod, and the cache of node-a, and wait until both answer."""
    plane.create()
    plane.start(SYSTEM, COREDNS.name)
    pod = key_of(plane.placed(SYSTEM, COREDNS.name))
    box.open_port(pod, api.port)
    configure(NODES[0], [f"addr add {NODE_LOCAL_RESOLVER}/32 dev lo"])
    corefiles = {pod: cluster_corefile(api.write_kubeconfig(folder)), NODES[0]: node_local_corefile()}
    for where, text in corefiles.items():
        corefile = folder / f"Corefile-{where}"
        corefile.write_text(text, encoding="utf-8")
        box.run_in_place(where, [str(coredns), "-conf", str(corefile), "-quiet"])
