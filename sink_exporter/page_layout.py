"""Where the boxes of the map stand: a column and a row for each. Pure, with rustworkx.

Callers stand left of what they call. Calls that close a circle are left out of the count; the others give each box the
length of the longest chain before it (topological generations), and boxes of one column are ordered by the mean row of
their neighbours, which keeps lines from crossing. Source: Sugiyama, Tagawa and Toda, 1981. Equal input gives equal
places; a newcomer never moves what stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

import rustworkx as rx

_SWEEPS = 4
_LEAST_HEIGHT = 8


class Cell(NamedTuple):
    """A place: callers to the left, in columns; rows from above."""

    column: int
    row: int


def place_boxes(count: int, calls: Iterable[tuple[int, int]], *, least_width: int = 3) -> list[Cell]:
    """Return the cell of each of `count` boxes, of which the calls connect some.

    Longer chains than about the root of the count, or than `least_width`, are folded: a map is as wide as a screen.
    """
    arcs = sorted({(client, server) for client, server in calls if client != server})
    connected = {end for arc in arcs for end in arc}
    side = math.ceil(math.sqrt(count) * 1.2)
    height = max(_LEAST_HEIGHT, math.ceil(side * 1.5))
    layers = _squeeze(_layer(count, arcs, connected), max(least_width, side))
    columns = [part for column in _order_columns(layers, arcs) for part in _split(column, height)]
    return _assign(_fill_up(columns, [box for box in range(count) if box not in connected], height), count)


def place_newcomer(callers: Iterable[Cell], taken: Collection[Cell]) -> Cell:
    """Return a free cell right of the callers, below what stands there."""
    column = max((cell.column + 1 for cell in callers), default=0)
    return Cell(column, max((cell.row + 1 for cell in taken if cell.column == column), default=0))


def _layer(count: int, arcs: list[tuple[int, int]], connected: Collection[int]) -> list[list[int]]:
    graph: rx.PyDiGraph[int, None] = rx.PyDiGraph()
    graph.add_nodes_from(range(count))
    graph.add_edges_from_no_data(arcs)
    graph.remove_edges_from(_find_back_arcs(graph, arcs))
    layers = ([box for box in generation if box in connected] for generation in rx.topological_generations(graph))
    return [sorted(layer) for layer in layers if layer]


def _squeeze(layers: list[list[int]], width: int) -> list[list[int]]:
    """Join neighbouring layers until there are no more than `width`: a knot of a whole cluster is one long chain."""
    if len(layers) <= width:
        return layers
    joined: list[list[int]] = [[] for _ in range(width)]
    for number, layer in enumerate(layers):
        joined[number * width // len(layers)].extend(layer)
    return joined


def _find_back_arcs(graph: rx.PyDiGraph[int, None], arcs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return calls whose removal leaves no circle: those from the more called to the more calling of a knot."""
    knot = {box: number for number, part in enumerate(rx.strongly_connected_components(graph)) for box in part}
    rank = {box: (graph.in_degree(box) - graph.out_degree(box), box) for box in graph.node_indices()}
    return [(a, b) for a, b in arcs if knot[a] == knot[b] and rank[a] > rank[b]]


def _order_columns(layers: list[list[int]], arcs: list[tuple[int, int]]) -> list[list[int]]:
    before: dict[int, list[int]] = {}
    after: dict[int, list[int]] = {}
    for client, server in arcs:
        before.setdefault(server, []).append(client)
        after.setdefault(client, []).append(server)
    for sweep in range(_SWEEPS):
        neighbours, way = (before, layers) if sweep % 2 == 0 else (after, layers[::-1])
        rows = _rows_of(layers)
        for layer in way:
            layer.sort(key=_mean_row(neighbours, rows))
            rows.update(_rows_of([layer]))
    return layers


def _rows_of(layers: list[list[int]]) -> dict[int, float]:
    """Return where each box stands in its column, from 0 to 1, so that columns of any height compare."""
    return {box: (row + 0.5) / len(layer) for layer in layers for row, box in enumerate(layer)}


def _mean_row(neighbours: Mapping[int, list[int]], rows: Mapping[int, float]) -> Callable[[int], tuple[float, int]]:
    def key(box: int) -> tuple[float, int]:
        near = [rows[other] for other in neighbours.get(box, ())] or [rows[box]]
        return sum(near) / len(near), box

    return key


def _split(column: Sequence[int], height: int) -> list[Sequence[int]]:
    """Cut a column that is too tall into several of about equal height."""
    parts = math.ceil(len(column) / height)
    size = math.ceil(len(column) / parts) if parts else 0
    return [column[start : start + size] for start in range(0, len(column), size or 1)]


def _fill_up(columns: list[Sequence[int]], alone: list[int], height: int) -> list[Sequence[int]]:
    """Put boxes that call nobody here below the others, in the shortest columns; else into columns of their own."""
    filled = [list(column) for column in columns]
    tallest = max((len(column) for column in filled), default=0)
    for number, box in enumerate(alone):
        shortest = min(filled, key=len, default=None)
        if shortest is None or len(shortest) >= max(tallest, 2):
            return [*filled, *_split(alone[number:], height if not filled else max(tallest, 2))]
        shortest.append(box)
    return list(filled)


def _assign(columns: list[Sequence[int]], count: int) -> list[Cell]:
    cells = [Cell(0, 0)] * count
    for number, column in enumerate(columns):
        for row, box in enumerate(column):
            cells[box] = Cell(number, row)
    return cells
