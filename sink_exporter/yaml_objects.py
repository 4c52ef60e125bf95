"""Kubernetes objects in YAML or JSON, as files hold them and as kubectl prints lists. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec

from callgraph.errors import InputError

T = TypeVar("T")
_KIND = re.compile(rb"\bkind\"?\s*:\s*\"?(CallGraph|ClientIntents|NetworkPolicy)\b")


def parse_objects(content: bytes, wanted: type[T], complaint: str) -> list[T]:
    """Read the objects of all documents, and those in a `List`. Raises InputError: the complaint, and what is wrong."""
    import yaml  # noqa: PLC0415  (0.08 s that the help does without)

    try:
        documents = yaml.load_all(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        return [msgspec.convert(item, wanted) for document in documents for item in _list_items(document)]
    except (yaml.YAMLError, msgspec.ValidationError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{complaint}: {' '.join(str(error).split())}") from error


def guess_kind(content: bytes) -> str:
    """Return the first kind of object that a file names, of those that can be compared; a graph where it names none."""
    found = _KIND.search(content)
    return found[1].decode() if found else "CallGraph"


def _list_items(document: Any) -> Iterator[Any]:
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        yield from document["items"]
    elif document:
        yield document
