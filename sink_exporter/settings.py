"""The settings of the exporter. Pure."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from callgraph.settings import SettingsGroup


class ExporterSettings(SettingsGroup, frozen=True, kw_only=True):
    """The call graph as files."""

    out: Annotated[str, Meta(description="Folder that the files are written to.")] = "out"
    formats: Annotated[
        tuple[str, ...],
        Meta(description="Formats to write: text, yaml, json, jsonl, csv, clientintents, mermaid, dot, graphml."),
    ] = ("yaml", "text")
    interval_seconds: Annotated[
        float, Meta(description="Between two exports; nothing is written without a change.", gt=0)
    ] = 60.0
    include_external: Annotated[
        bool, Meta(description="Export calls to outside the cluster, in their own section.")
    ] = True
    listen: Annotated[str, Meta(description="HOST:PORT of /metrics, /healthz and /readyz; empty: none.")] = ""
