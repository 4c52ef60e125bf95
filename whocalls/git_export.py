"""`whocalls export --git URL`: the map in a repository, once or for good, from Kafka or from a file. Shell.

The options are short names of settings; whatever else git needs stands in the configuration (docs/configuration.md).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec
from click.core import ParameterSource

from whocalls.moments import parse_span
from whocalls.options import take_settings

F = TypeVar("F", bound=Callable[..., Any])

_SETTINGS = ("branch", "path", "mode", "token_file", "token_variable", "allow_shrink")
"""Options that are short names of settings below `exporter.git`."""
_TAKEN = frozenset({"namespaces", "exclude", "external", "infrastructure", "input_file", "output"})


def git_options(command: F) -> F:
    """Add `--git` and what goes with it to the command that exports; with `--git` it is not called."""

    @functools.wraps(command)
    def export(git: str | None, interval: str | None, once: bool, **parameters: Any) -> Any:
        given = {name: parameters.pop(name) for name in _SETTINGS}
        if git is not None:
            given = {name: value for name, value in given.items() if value not in (None, False)}
            return _export_to_git({"url": git} | given, interval=interval, once=once, **parameters)
        if interval or once or any(given.values()):
            raise click.UsageError("--branch, --path, --interval and the like go with --git URL")
        if parameters["output"] is None:
            raise click.UsageError("Missing argument 'FORMAT' (or --git URL).")
        return command(**parameters)

    options = (
        click.option("--git", metavar="URL", help="Commit to this repository, and go on until stopped."),
        click.option("--branch", metavar="NAME", help="With --git: branch of the repository [default: main]"),
        click.option("--path", metavar="DIR", help="With --git: folder in it [default: callgraph]"),
        click.option(
            "--interval", metavar="TIME", help="With --git: look for changes so often: 30s, 5m [default: 60s]"
        ),
        click.option("--once", is_flag=True, help="With --git: end after one export; so does --input."),
        click.option(
            "--mode",
            type=click.Choice(["direct", "branch", "pr"]),
            help="With --git: push to the branch, push one to be merged, or open a pull request [default: direct]",
        ),
        click.option("--token-file", metavar="FILE", help="With --git: token for HTTPS and the API."),
        click.option("--token-variable", metavar="NAME", help="With --git: environment variable with the token."),
        click.option("--allow-shrink", is_flag=True, help="With --git: even if a fifth of the calls would vanish."),
    )
    wrapped: Any = export
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped  # type: ignore[no-any-return]


def _export_to_git(git: dict[str, Any], *, interval: str | None, once: bool, **parameters: Any) -> None:
    from callgraph.telemetry import structured_logger  # noqa: PLC0415  (help stays light)
    from sink_exporter.program import load_graph_from_file, publish_once, run_exporter  # noqa: PLC0415

    settings = take_settings(parameters)
    _refuse_others(parameters)
    changes = _content(parameters) | ({"interval_seconds": parse_span(interval) / 1e9} if interval else {})
    exporter = msgspec.structs.replace(
        settings.exporter, git=msgspec.structs.replace(settings.exporter.git, **git), **changes
    )
    log = structured_logger(settings.log, role="exporter")
    if parameters["input_file"] is not None:
        publish_once(load_graph_from_file(parameters["input_file"]), exporter=exporter, log=log)
    else:
        run_exporter(kafka=settings.kafka, topics=settings.topics, exporter=exporter, log=log, once=once)


def _content(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that the filters and the format stand for, where they are given."""
    given: dict[str, Any] = {name: parameters[name] for name in ("namespaces", "exclude") if parameters[name]}
    if not parameters["external"]:
        given["include_external"] = False
    if parameters["infrastructure"] is not None:
        given["include_infrastructure"] = parameters["infrastructure"]
    if parameters["output"]:
        given["formats"] = tuple(dict.fromkeys(("yaml", parameters["output"])))
    return given


def _refuse_others(parameters: dict[str, Any]) -> None:
    """Refuse options that would change nothing: a repository holds the same map each time."""
    context = click.get_current_context()
    for option in context.command.params:
        given = context.get_parameter_source(option.name or "") is ParameterSource.COMMANDLINE
        if given and option.name in parameters and option.name not in _TAKEN:
            raise click.UsageError(f"{option.opts[-1]} does not go with --git")
