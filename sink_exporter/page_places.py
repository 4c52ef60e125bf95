"""The map's places for every namespace and every workload in it. Pure.

In: workloads by number and the pairs that call. Out: for each namespace (a group; all that is outside is one more) a
cell on the map, for each workload a cell within its group. External hosts of one domain share a cell. What has a place
keeps it while the table lives, unless the whole is laid out anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from callgraph.records import Workload
from sink_exporter.page_layout import Cell, place_boxes, place_newcomer
from sink_exporter.page_names import find_domain
from sink_exporter.page_table import Pair

_LEAST_GROUPS = 2


class Group(NamedTuple):
    """A namespace; the empty name holds what is outside the cluster."""

    cluster: str
    namespace: str


class _Box(NamedTuple):
    """What is drawn at one place of a group: a workload, or all hosts of a domain."""

    group: int
    number: int
    domain: str


class PagePlaces:
    """Cells by number; `lay_out` does it from the ground, `extend` only for who is new."""

    def __init__(self) -> None:
        self.groups: list[Group] = []
        self.group_cells: list[Cell] = []
        self.group_of: list[int] = []
        self.cells: list[Cell] = []
        self.laid_out = 0
        self._numbers: dict[Group, int] = {}
        self._boxes: dict[_Box, Cell] = {}

    def lay_out(self, workloads: Sequence[Workload], pairs: Iterable[Pair]) -> None:
        """Give every group and every workload the place that suits the whole graph."""
        self._join_groups(workloads)
        members = self._list_members(workloads)
        across, inside = self._sort_calls(workloads, members, pairs)
        self.group_cells = place_boxes(len(self.groups), across, least_width=_LEAST_GROUPS)
        self._boxes = {
            box: cell
            for group, boxes in members.items()
            for box, cell in zip(boxes, place_boxes(len(boxes), inside.get(group, ())), strict=True)
        }
        self.cells = [self._boxes[self._box_of(number, workloads)] for number in range(len(workloads))]
        self.laid_out = len(workloads)

    def extend(self, workloads: Sequence[Workload], pairs: Iterable[Pair]) -> range:
        """Place the workloads that have no place yet; returns their numbers."""
        known, known_groups = len(self.cells), len(self.groups)
        self._join_groups(workloads)
        if len(workloads) == known:
            return range(known, known)
        callers: dict[int, list[int]] = {}
        for client, server in pairs:
            callers.setdefault(server, []).append(client)
        for group in range(known_groups, len(self.groups)):
            calling = {self.group_of[a] for b, near in callers.items() if self.group_of[b] == group for a in near}
            cells = [self.group_cells[other] for other in sorted(calling) if other < len(self.group_cells)]
            self.group_cells.append(place_newcomer(cells, self.group_cells))
        for number in range(known, len(workloads)):
            self.cells.append(self._place(number, workloads, callers.get(number, ())))
        return range(known, len(workloads))

    def _join_groups(self, workloads: Sequence[Workload]) -> None:
        for workload in workloads[len(self.group_of) :]:
            group = Group(workload.cluster, workload.namespace)
            if group not in self._numbers:
                self._numbers[group] = len(self.groups)
                self.groups.append(group)
            self.group_of.append(self._numbers[group])

    def _list_members(self, workloads: Sequence[Workload]) -> dict[int, dict[_Box, int]]:
        """Number the boxes of each group."""
        boxes: dict[int, dict[_Box, int]] = {}
        for number in _by_name(workloads):
            box = self._box_of(number, workloads)
            members = boxes.setdefault(box.group, {})
            members.setdefault(box, len(members))
        return boxes

    def _sort_calls(
        self, workloads: Sequence[Workload], members: dict[int, dict[_Box, int]], pairs: Iterable[Pair]
    ) -> tuple[set[Pair], dict[int, set[Pair]]]:
        """Tell calls between groups from those of two boxes within each; each is looked at once, none is kept."""
        across: set[Pair] = set()
        inside: dict[int, set[Pair]] = {}
        for a, b in pairs:
            group, other = self.group_of[a], self.group_of[b]
            if group == other:
                boxes = members[group]
                inside.setdefault(group, set()).add(
                    (boxes[self._box_of(a, workloads)], boxes[self._box_of(b, workloads)])
                )
            else:
                across.add((group, other))
        return across, inside

    def _box_of(self, number: int, workloads: Sequence[Workload]) -> _Box:
        domain = find_domain(workloads[number])
        return _Box(self.group_of[number], -1 if domain else number, domain)

    def _place(self, number: int, workloads: Sequence[Workload], callers: Iterable[int]) -> Cell:
        box = self._box_of(number, workloads)
        if box not in self._boxes:
            near = [self.cells[a] for a in callers if a < len(self.cells) and self.group_of[a] == box.group]
            taken = [cell for other, cell in self._boxes.items() if other.group == box.group]
            self._boxes[box] = place_newcomer(near, taken)
        return self._boxes[box]


def _by_name(workloads: Sequence[Workload]) -> list[int]:
    """Return the numbers in an order that does not depend on which record came first."""
    return sorted(range(len(workloads)), key=lambda number: _name_of(workloads[number]))


def _name_of(workload: Workload) -> tuple[str, ...]:
    return workload.cluster, workload.namespace, workload.name, workload.kind
