"""The call graph as people read it. Pure.

    checkoutservice in namespace otterize-ecom-demo calls:
      - cartservice

A server in the client's own namespace stands bare; the kind is said only where two workloads of one namespace share a
name, the cluster only where the graph knows several. Calls that leave the cluster follow after an empty line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, groupby
from operator import attrgetter

from callgraph.records import Workload
from sink_exporter.graph import GROUP, Arrow, CallGraph, is_external, list_clusters


def render_text(graph: CallGraph, *, full: bool = False) -> str:
    """Render the graph as text that ends with a line break; an empty graph as the empty text.

    `full` says the namespace of every server, as otterize-cli does.
    """
    writer = _Writer(graph, full=full)
    sections = (writer.section(graph.calls, "calls"), writer.section(graph.external, "calls outside the cluster"))
    return "\n".join(section for section in sections if section)


def escape_control(text: str) -> str:
    """Replace what would move a terminal's cursor or forge a line: everything that is not printable."""
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode() for character in text
    )


class _Writer:
    """What the whole graph decides about the wording of each line."""

    def __init__(self, graph: CallGraph, *, full: bool) -> None:
        self._full = full
        self._several_clusters = len(list_clusters(graph)) > 1
        self._shared_names = find_shared_names(graph.arrows)

    def section(self, arrows: Iterable[Arrow], verb: str) -> str:
        """Write the arrows, grouped by client."""
        return "".join(
            f"{self._title(client)}{self._place(client)} {verb}:\n{''.join(self._servers(client, group))}"
            for client, group in groupby(arrows, key=attrgetter("client"))
        )

    def _servers(self, client: Workload, arrows: Iterable[Arrow]) -> Iterator[str]:
        for arrow in arrows:
            server = arrow.server
            at_home = (server.cluster, server.namespace) == (client.cluster, client.namespace)
            bare = is_external(server) or (at_home and not self._full)
            mark = " (added by hand)" if arrow.manual else ""
            yield f"  - {self._title(server)}{'' if bare else self._place(server)}{mark}\n"

    def _title(self, workload: Workload) -> str:
        name = escape_control(workload.name)
        return f"{name} ({escape_control(workload.kind)})" if _name_of(workload) in self._shared_names else name

    def _place(self, workload: Workload) -> str:
        if workload.kind == GROUP:
            return f" ({escape_control(workload.namespace)})"
        place = f" in namespace {escape_control(workload.namespace)}"
        return f"{place} of cluster {escape_control(workload.cluster)}" if self._several_clusters else place


def _name_of(workload: Workload) -> tuple[str, str, str]:
    return workload.cluster, workload.namespace, workload.name


def find_shared_names(arrows: Iterable[Arrow]) -> frozenset[tuple[str, str, str]]:
    """Return cluster, namespace and name wherever workloads of several kinds share them."""
    kinds: dict[tuple[str, str, str], set[str]] = {}
    for workload in chain.from_iterable((arrow.client, arrow.server) for arrow in arrows):
        kinds.setdefault(_name_of(workload), set()).add(workload.kind)
    return frozenset(name for name, names_kinds in kinds.items() if len(names_kinds) > 1)
