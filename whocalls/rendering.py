"""What the reading commands share: filters, formats, where the output goes. Shell: writes to stdout or a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from sink_exporter.graph import CallGraph

F = TypeVar("F", bound=Callable[..., Any])

FORMATS = ("text", "yaml", "json")


def output_options(command: F) -> F:
    """Add `-o FORMAT` and `-O PATH`."""
    command = click.option("-O", "--output-file", type=click.Path(path_type=Path), help="Write here, not to stdout.")(command)
    return click.option("-o", "--output", type=click.Choice(FORMATS), default="text", show_default=True)(command)


def filter_options(command: F) -> F:
    """Add the filters that every reading command understands alike."""
    options = (
        click.option("-n", "--namespace", multiple=True, help="Only calls with an end in this namespace (glob)."),
        click.option("--from", "clients", multiple=True, help="Only calls from this client: NAME or NS/NAME (glob)."),
        click.option("--to", "servers", multiple=True, help="Only calls to this server: NAME or NS/NAME (glob)."),
        click.option("--exclude", multiple=True, help="Leave out calls with this end: NAME or NS/NAME (glob)."),
        click.option("--include-external/--no-external", default=True, show_default=True, help="Calls to outside."),
    )
    for option in reversed(options):
        command = option(command)
    return command
