"""A real CoreDNS: built once from its sources, with the Corefiles of a cluster and of a NodeLocal DNSCache. Shell: go.

In: `tests/cluster/coredns/` (go.mod, go.sum). Out: a binary in the cache folder; another version means another folder.
Source: coredns.io/plugins; the nodelocaldns manifest of kubernetes/kubernetes.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.apache_kafka import cache_folder
from tests.cluster.world import NODE_LOCAL_RESOLVER, OUTSIDE, OUTSIDE_NAME, RESOLVER

SOURCES = Path(__file__).parent / "coredns"
_BUILD_SECONDS = 1200


def coredns_version() -> str:
    """Read the version from go.mod, its one owner."""
    found = re.search(r"github\.com/coredns/coredns (v[\d.]+)", (SOURCES / "go.mod").read_text(encoding="utf-8"))
    assert found, f"{SOURCES}/go.mod names no CoreDNS"
    return found[1]


def build_coredns() -> Path:
    """Return the binary, built the first time."""
    files = sorted(SOURCES.glob("*"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:8]
    binary = cache_folder() / f"coredns-{coredns_version()}-{digest}"
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=binary.parent, prefix=".building-") as scratch:
            made = Path(scratch, "coredns")
            command = ["go", "build", "-mod=readonly", "-trimpath", "-ldflags=-s", "-o", str(made), "."]
            environment = os.environ | {"GOFLAGS": "-buildvcs=false"}
            subprocess.run(command, cwd=SOURCES, env=environment, check=True, timeout=_BUILD_SECONDS)
            made.replace(binary)
    return binary


def missing_go() -> str | None:
    """Say what this machine lacks to have a CoreDNS, or None."""
    return None if shutil.which("go") else "needs go, to build CoreDNS"


def cluster_corefile(kubeconfig: str) -> str:
    """Return the Corefile of the cluster's DNS, as kubeadm writes it, with one name outside."""
    return f"""\
.:53 {{
    errors
    ready :8181
    kubernetes cluster.local in-addr.arpa ip6.arpa {{
        kubeconfig {kubeconfig}
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
        ttl 30
    }}
    hosts {{
        {OUTSIDE} {OUTSIDE_NAME}
        fallthrough
    }}
    loadbalance
}}
"""


def node_local_corefile() -> str:
    """Return the Corefile of a NodeLocal DNSCache."""
    return f"""\
.:53 {{
    errors
    bind {NODE_LOCAL_RESOLVER}
    cache 30
    forward . {RESOLVER} {{
        force_tcp
    }}
}}
"""
