"""What differs between two graphs. Pure.

An arrow is the same when its client and its server are; it changed when its ports or its evidence did. Times, counts,
names and nodes never make a difference: they change by themselves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

from msgspec import Raw, Struct

from callgraph.errors import ConfigurationError
from callgraph.records import Workload
from sink_exporter.filters import Filter, build_check
from sink_exporter.graph import Arrow, CallGraph, is_external, list_clusters
from sink_exporter.json_text import encode_json
from sink_exporter.render_json import encode_arrow
from sink_exporter.render_text import escape_control, find_shared_names


class ChangedArrow(Struct, frozen=True, kw_only=True):
    """One arrow on both sides."""

    before: Arrow
    after: Arrow


class Difference(Struct, frozen=True, kw_only=True):
    """From one graph to another, each part in the order of the graph."""

    added: tuple[Arrow, ...] = ()
    removed: tuple[Arrow, ...] = ()
    changed: tuple[ChangedArrow, ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is any."""
        return bool(self.added or self.removed or self.changed)


def compare_graphs(before: CallGraph, after: CallGraph) -> Difference:
    """Return what it takes to get from one graph to the other."""
    old, new = _by_ends(before), _by_ends(after)
    both = ((old[ends], arrow) for ends, arrow in new.items() if ends in old)
    return Difference(
        added=tuple(arrow for ends, arrow in new.items() if ends not in old),
        removed=tuple(arrow for ends, arrow in old.items() if ends not in new),
        changed=tuple(ChangedArrow(before=one, after=other) for one, other in both if _shape(one) != _shape(other)),
    )


def filter_difference(difference: Difference, wanted: Filter) -> Difference:
    """Keep what passes a filter, of the changed what it is now."""
    passes = build_check(wanted)
    return Difference(
        added=tuple(filter(passes, difference.added)),
        removed=tuple(filter(passes, difference.removed)),
        changed=tuple(one for one in difference.changed if passes(one.after)),
    )


def render_difference(difference: Difference, form: str) -> str:
    """Render a difference as `text`, `json` or `markdown`; none as the empty text, but for JSON.

    Raises ConfigurationError.
    """
    if form not in _RENDERERS:
        raise ConfigurationError(f"a difference is not written as {form!r} (there are {', '.join(_RENDERERS)})")
    return _RENDERERS[form](difference)


def render_difference_lines(difference: Difference) -> str:
    """Render a difference as JSON Lines, a change on each."""
    lines: list[dict[str, Any]] = [{"change": "added", "call": _raw(arrow)} for arrow in difference.added]
    lines += [{"change": "removed", "call": _raw(arrow)} for arrow in difference.removed]
    lines += [{"change": "changed", "call": _raw(one.after), "before": _raw(one.before)} for one in difference.changed]
    return "".join(f"{encode_json(line)}\n" for line in lines)


def describe_arrows(arrows: Iterable[Arrow]) -> list[str]:
    """Write each arrow as `NAMESPACE/NAME -> NAMESPACE/NAME`, with kind and cluster where they are needed."""
    arrows = tuple(arrows)
    shared = find_shared_names(arrows)
    several = len(list_clusters(CallGraph(calls=arrows))) > 1

    def describe(workload: Workload) -> str:
        parts = () if is_external(workload) else (workload.namespace,)
        path = "/".join((*((workload.cluster,) if several else ()), *parts, workload.name))
        is_shared = (workload.cluster, workload.namespace, workload.name) in shared
        return escape_control(f"{path} ({workload.kind})" if is_shared else path)

    return [f"{describe(arrow.client)} -> {describe(arrow.server)}" for arrow in arrows]


def _by_ends(graph: CallGraph) -> dict[tuple[Workload, Workload], Arrow]:
    return {(arrow.client, arrow.server): arrow for arrow in graph.arrows}


def _shape(arrow: Arrow) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return arrow.ports, arrow.via


def _raw(arrow: Arrow) -> Raw:
    return Raw(encode_arrow(arrow).encode())


def _longest_run(text: str, character: str) -> int:
    return max((len(list(run)) for each, run in groupby(text) if each == character), default=0)


def _lines(difference: Difference) -> Iterator[tuple[str, str]]:
    """Write every part with one idea of which names need a kind; in the order of parts, then of the graph."""
    after = [one.after for one in difference.changed]
    texts = iter(describe_arrows((*difference.added, *difference.removed, *after)))
    yield from (("+", f"{next(texts)}{_evidence(arrow)}") for arrow in difference.added)
    yield from (("-", f"{next(texts)}{_evidence(arrow)}") for arrow in difference.removed)
    yield from (("~", f"{next(texts)}: {_describe_change(one)}") for one in difference.changed)


def _evidence(arrow: Arrow) -> str:
    known = ", ".join((*(("added by hand",) if arrow.manual else ()), *arrow.via, *arrow.ports))
    return f" ({known})" if known else ""


def _describe_change(one: ChangedArrow) -> str:
    pairs = ((one.before.via, one.after.via), (one.before.ports, one.after.ports))
    gained = [f"+{each}" for before, after in pairs for each in after if each not in before]
    lost = [f"-{each}" for before, after in pairs for each in before if each not in after]
    return " ".join((*gained, *lost))


def _render_text(difference: Difference) -> str:
    return "".join(f"{sign} {text}\n" for sign, text in _lines(difference))


def _render_markdown(difference: Difference) -> str:
    if not difference:
        return ""
    counts = (("new", difference.added), ("gone", difference.removed), ("changed", difference.changed))
    title = ", ".join(f"{len(part)} {word}" for word, part in counts if part)
    lines = "".join(f"{sign} {text}\n" for sign, text in _lines(difference))
    return f"**Calls: {title}**\n\n{write_fenced(lines, 'diff')}"


def write_fenced(lines: str, language: str) -> str:
    """Write lines as a code block of Markdown that nothing in them can end."""
    fence = "`" * (_longest_run(lines, "`") + 3)
    return f"{fence}{language}\n{lines}{fence}\n"


def _render_json(difference: Difference) -> str:
    changed = [{"before": _raw(one.before), "after": _raw(one.after)} for one in difference.changed]
    added, removed = ([_raw(arrow) for arrow in part] for part in (difference.added, difference.removed))
    return encode_json({"added": added, "removed": removed, "changed": changed}) + "\n"


_RENDERERS: dict[str, Callable[[Difference], str]] = {
    "text": _render_text,
    "json": _render_json,
    "markdown": _render_markdown,
}
DIFFERENCE_FORMS = tuple(_RENDERERS)
