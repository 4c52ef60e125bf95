"""Settings from defaults, a YAML file, the environment and flags, in rising order. Shell: reads one file.

A tree of `SettingsGroup` structs goes in as a type and comes out as a value.
`docs/configuration.md` is generated from the same walk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import yaml
from msgspec import Meta

from callgraph.errors import ConfigurationError
from callgraph.settings import SettingsGroup

S = TypeVar("S", bound=SettingsGroup)

ENVIRONMENT_PREFIX = "WHOCALLS_"


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One leaf of the tree, in all its spellings."""

    path: tuple[str, ...]
    type: Any
    default: Any
    description: str

    @property
    def key(self) -> str:
        """The spelling in prose and errors: `kafka.tls.ca_file`."""
        return ".".join(self.path)

    @property
    def variable(self) -> str:
        """The environment variable: `WHOCALLS_KAFKA_TLS_CA_FILE`."""
        return ENVIRONMENT_PREFIX + "_".join(self.path).upper()

    @property
    def flag(self) -> str:
        """The flag: `--kafka-tls-ca-file`."""
        return "--" + "-".join(self.path).replace("_", "-")


def list_settings(tree: type[SettingsGroup], path: tuple[str, ...] = ()) -> Iterator[Setting]:
    """Walk the leaves of a tree of settings, depth first, in the order they are declared."""
    hints = get_type_hints(tree, include_extras=True)
    for field in msgspec.structs.fields(tree):
        hint = hints[field.name]
        bare = get_args(hint)[0] if get_origin(hint) is Annotated else hint
        if isinstance(bare, type) and issubclass(bare, SettingsGroup):
            yield from list_settings(bare, (*path, field.name))
        else:
            default = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
            yield Setting(path=(*path, field.name), type=bare, default=default, description=_description(hint))


def load_settings(
    tree: type[S],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> S:
    """Merge all sources and check them.

    `flags` maps keys (`kafka.bootstrap_servers`) to values. Raises ConfigurationError, naming the key and its source.
    """
    merged: dict[str, Any] = _read_file(file) if file else {}
    _convert(merged, tree, f"{file}")
    known = {setting.variable: setting for setting in list_settings(tree)}
    for variable, text in (environment or {}).items():
        if variable in known:
            _put(merged, known[variable].path, parse_text(text, known[variable]))
            _convert(merged, tree, f"environment variable {variable}")
    for key, value in (flags or {}).items():
        _put(merged, tuple(key.split(".")), value)
    return _convert(merged, tree, "the flags")


def _description(hint: Any) -> str:
    metas = [extra for extra in get_args(hint)[1:] if isinstance(extra, Meta)] if get_origin(hint) is Annotated else []
    return next((meta.description for meta in metas if meta.description), "")


def _read_file(file: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(file.read_bytes())
    except OSError as error:
        raise ConfigurationError(f"cannot read the configuration file {str(file)!r}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the configuration file {str(file)!r} is not YAML: {_say(error)}") from error
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"the configuration file {str(file)!r} must hold a mapping of settings, not {type(content).__name__}"
        )
    return content


def parse_text(text: str, setting: Setting) -> Any:
    """Read the text of a variable or a flag: text as it is, lists with commas or as YAML, the rest as YAML.

    Raises ConfigurationError.
    """
    if setting.type is str or get_origin(setting.type) is Literal:
        return text
    if get_origin(setting.type) is tuple and not text.lstrip().startswith("["):
        text = f"[{text}]"
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{setting.key} is {text!r}, which does not parse ({_say(error)})") from error


def _say(error: yaml.YAMLError) -> str:
    """Put PyYAML's error in one line, without its drawing of the place."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark:
        mark = error.problem_mark
        return f"{error.problem} in line {mark.line + 1}, column {mark.column + 1}"
    return " ".join(str(error).split())


def _put(tree: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        child = tree.setdefault(part, {})
        if not isinstance(child, dict):
            raise ConfigurationError(f"{'.'.join(path)} is below {part!r}, which is set to {child!r}, not to a mapping")
        tree = child
    tree[path[-1]] = value


def _convert(content: dict[str, Any], tree: type[S], source: str) -> S:
    try:
        return msgspec.convert(content, tree)
    except msgspec.ValidationError as error:
        text, _, where = str(error).partition(" - at ")
        key = where.strip("`").removeprefix("$.").removeprefix("$")
        place = f"{key!r} in {source}" if key else source
        raise ConfigurationError(f"{place}: {text} (docs/configuration.md lists every setting)") from error
