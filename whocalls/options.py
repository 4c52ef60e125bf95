"""Flags made from the settings, so that every key has the same name everywhere, and `--input`. Shell: environment."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from callgraph.configuration import Setting, list_settings, load_settings, parse_text
from whocalls.configuration import Settings

F = TypeVar("F", bound=Callable[..., Any])


def input_options(command: F) -> F:
    """Add `--input FILE|-`."""
    return click.option(
        "--input", "input_file", metavar="FILE", help="Read an export (file, folder or - for stdin), not Kafka."
    )(command)


def settings_options(*groups: str) -> Callable[[F], F]:
    """Add `--config` and a flag for every setting of the named groups (and for `cluster`) to a command."""

    def decorate(command: F) -> F:
        for setting in reversed(list(list_settings(Settings))):
            if setting.path[0] in ("cluster", *groups):
                command = _option(setting)(command)
        return click.option(
            "--config",
            "config",
            type=click.Path(path_type=Path),
            envvar="WHOCALLS_CONFIG",
            help="YAML file of settings (docs/configuration.md).",
        )(command)

    return decorate


def take_settings(parameters: dict[str, Any]) -> Settings:
    """Load the settings from `--config`, the environment and the flags; `parameters` keeps what is left.

    Raises ConfigurationError.
    """
    known = {_parameter(setting): setting for setting in list_settings(Settings)}
    given = {name: parameters.pop(name) for name in list(parameters) if name in known}
    flags = {known[name].key: parse_text(text, known[name]) for name, text in given.items() if text is not None}
    return load_settings(Settings, file=parameters.pop("config", None), environment=os.environ, flags=flags)


def _parameter(setting: Setting) -> str:
    """Name the parameter; click asks for an identifier."""
    return "setting__" + "__".join(setting.path)


def _option(setting: Setting) -> Callable[[F], F]:
    return click.option(
        setting.flag,
        _parameter(setting),
        metavar=_metavar(setting),
        help=f"{setting.description} [default: {_show(setting.default)}]",
    )


def _metavar(setting: Setting) -> str:
    names = {bool: "BOOL", int: "INT", float: "NUMBER", str: "TEXT"}
    return names.get(setting.type, "CHOICE" if "Literal" in str(setting.type) else "LIST")


def _show(default: Any) -> str:
    if isinstance(default, tuple):
        return ",".join(map(str, default)) or "none"
    if isinstance(default, bool):
        return str(default).lower()
    return str(default) or "none"
