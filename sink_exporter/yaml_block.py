"""Nested values as YAML in block style. Pure. Keys keep their order; texts are quoted where they need it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeGuard

from sink_exporter.yaml_scalars import quote_scalar

Value = str | int | bool | Mapping[str, "Value"] | Sequence["Value"]


def emit_yaml(value: Mapping[str, Value]) -> str:
    """Write one document."""
    return "".join(f"{line}\n" for line in _mapping(value))


def _mapping(value: Mapping[str, Value]) -> Iterator[str]:
    for key, item in value.items():
        name = quote_scalar(key)
        if isinstance(item, Mapping) and item:
            yield f"{name}:"
            yield from (f"  {line}" for line in _mapping(item))
        elif _is_list(item) and item:
            yield f"{name}:"
            yield from (f"  {line}" for line in _sequence(item))
        else:
            yield f"{name}: {_scalar(item)}"


def _sequence(value: Sequence[Value]) -> Iterator[str]:
    for item in value:
        if isinstance(item, Mapping) and item:
            first, *rest = _mapping(item)
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)
        else:
            yield f"- {_scalar(item)}"


def _is_list(value: Value) -> TypeGuard[Sequence[Value]]:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _scalar(value: Value) -> str:
    if isinstance(value, str):
        return quote_scalar(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return "{}" if isinstance(value, Mapping) else "[]"
