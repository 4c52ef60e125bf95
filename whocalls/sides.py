"""The sides of a comparison, by the words that people write for them. Shell: files, git, Kafka, the clock.

`live`; a file or a folder; `git:REVISION:PATH` or `REVISION:PATH`; a time, for the graph of all that was seen until
then; `FROM..TO`, for that of what was seen between two times. Files hold graphs, ClientIntents or NetworkPolicies, and
say so themselves.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from callgraph.errors import ConfigurationError, InputError
from sink_exporter.difference import Difference, compare_graphs
from sink_exporter.git_revision import read_revision
from sink_exporter.graph import CallGraph, build_graph
from sink_exporter.graph_files import merge_graphs, parse_graph
from sink_exporter.intents_files import Declared, match_intents, merge_declared, parse_intents
from sink_exporter.layout import NAMESPACE_FOLDER
from sink_exporter.policy_rules import PolicySet, parse_policies
from sink_exporter.yaml_objects import guess_kind
from whocalls.moments import parse_moment

if TYPE_CHECKING:
    from whocalls.configuration import Settings

Side = CallGraph | Declared | PolicySet
LIVE = "live"
_OBJECTS = frozenset((".yaml", ".yml", ".json"))


def read_side(text: str, settings: Settings) -> Side:
    """Read what a word means. Raises WhocallsError."""
    from sink_exporter.program import load_graph, load_graph_from_file  # noqa: PLC0415  (help stays light)

    if text == LIVE:
        return load_graph(settings.kafka, settings.topics)
    if text == "-":
        return load_graph_from_file(text)
    if text.startswith("git:"):
        return parse_files(_read_git(text.removeprefix("git:")), text)
    if Path(text).exists():
        return parse_files(_read_files(Path(text)), text)
    if is_time(text):
        return _replay(text, settings)
    if ":" in text:
        return parse_files(_read_git(text), text)
    raise InputError(
        f"there is neither a file nor a folder {text!r} (a graph is named as live, PATH, git:REVISION:PATH, a time "
        "like 2h or 2026-01-31T12:00:00Z, or FROM..TO)"
    )


def is_time(text: str) -> bool:
    """Tell whether a word is a time or two."""
    first, _, last = text.partition("..")
    try:
        return all(parse_moment(part, now=0) is not None for part in (first, last or first))
    except ConfigurationError:
        return False


def comes_from_kafka(text: str) -> bool:
    """Tell whether a side is read from Kafka, where the inventory is too."""
    return text == LIVE or (not Path(text).exists() and is_time(text))


def parse_files(files: Mapping[str, bytes], name: str) -> Side:
    """Read the files of one side, by their paths. Raises InputError."""
    kinds = {guess_kind(content) for content in files.values() if content.strip()}
    if len(kinds) > 1:
        raise InputError(f"{name!r} holds {' and '.join(sorted(kinds))} (compare one at a time: name a folder of it)")
    named = [(repr(f"{name}/{path}" if path else name), content) for path, content in sorted(files.items())]
    if kinds == {"NetworkPolicy"}:
        return PolicySet(policy for path, content in named for policy in parse_policies(content, path))
    if kinds == {"ClientIntents"}:
        return _tell_what_is_left(merge_declared(parse_intents(content, path) for path, content in named))
    return merge_graphs(parse_graph(content, path) for path, content in named)


def choose_paths(paths: Iterable[str]) -> list[str]:
    """Choose, of the paths in a folder, those of its objects; in the folder of an export, of the graph."""
    plain = [PurePosixPath(path) for path in sorted(paths)]
    objects = [
        path for path in plain if path.suffix in _OBJECTS and not any(part.startswith(".") for part in path.parts)
    ]
    graphs = [path for path in objects if path.parts[0] == NAMESPACE_FOLDER]
    return [str(path) for path in graphs or objects]


def compare_sides(before: CallGraph | Declared, after: CallGraph | Declared) -> Difference:
    """Compare two sides; of what was declared only who calls whom counts, for intents say no evidence."""
    if isinstance(before, CallGraph) and isinstance(after, CallGraph):
        return compare_graphs(before, after)
    if isinstance(after, Declared):
        known = before if isinstance(before, CallGraph) else match_intents(before, CallGraph())
        found = compare_graphs(known, match_intents(after, known))
    else:
        found = compare_graphs(as_graph(before, after), after)
    return Difference(added=found.added, removed=found.removed)


def as_graph(side: Side, beside: CallGraph) -> CallGraph:
    """Return a side as a graph, in the words of another one. Raises ConfigurationError for policies."""
    if isinstance(side, PolicySet):
        raise ConfigurationError("policies are no graph of calls (compare them with `whocalls diff POLICIES live`)")
    return match_intents(side, beside) if isinstance(side, Declared) else side


def _replay(text: str, settings: Settings) -> CallGraph:
    from whocalls.replay import Span, rebuild_edges  # noqa: PLC0415  (help must not load the processor)

    now = time.time_ns()
    first, between, last = text.partition("..")
    if between:
        span = Span(parse_moment(first, now=now), parse_moment(last, now=now) if last else None)
    else:
        span = Span(0, parse_moment(first, now=now))
    return build_graph(rebuild_edges(settings, span))


def _read_files(path: Path) -> dict[str, bytes]:
    """Read a file, as that of an empty path below itself, or those of a folder that hold objects."""
    try:
        if not path.is_dir():
            return {"": path.read_bytes()}
        found = (str(file.relative_to(path)) for file in path.rglob("*") if file.is_file())
        return {name: (path / name).read_bytes() for name in choose_paths(found)}
    except OSError as error:
        raise InputError(f"cannot read the graph from {str(path)!r}: {error.strerror}") from error


def _read_git(spec: str) -> dict[str, bytes]:
    files = read_revision(spec)
    return files if "" in files else {name: files[name] for name in choose_paths(files)}


def _tell_what_is_left(declared: Declared) -> Declared:
    if declared.other_targets:
        click.echo(f"{declared.other_targets} targets of the intents are no workload and are not compared", err=True)
    return declared
