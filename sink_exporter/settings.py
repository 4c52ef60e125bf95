"""The settings of the exporter. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from callgraph.settings import SettingsGroup


class ProposalSettings(SettingsGroup, frozen=True, kw_only=True):
    """The branch and the pull request of `exporter.git.mode` branch and pr."""

    branch: Annotated[str, Meta(description="Branch that is pushed, for people to merge.")] = "whocalls/callgraph"
    forge: Annotated[
        Literal["auto", "github", "gitlab", "gitea"], Meta(description="Kind of the API; auto: from the host's name.")
    ] = "auto"
    api_url: Annotated[str, Meta(description="URL of the API; empty: from the URL of the repository.")] = ""
    repository: Annotated[str, Meta(description="OWNER/NAME; empty: from the URL of the repository.")] = ""


class GitSettings(SettingsGroup, frozen=True, kw_only=True):
    """The call graph in a git repository; used when `exporter.git.url` is set."""

    url: Annotated[str, Meta(description="URL or path of the repository, without a password; empty: no git.")] = ""
    branch: Annotated[str, Meta(description="Branch that is committed to.")] = "main"
    mode: Annotated[
        Literal["direct", "branch", "pr"],
        Meta(description="direct: push to the branch; branch: push another one; pr: and open a pull request for it."),
    ] = "direct"
    path: Annotated[str, Meta(description="Folder in the repository that the export is written to.")] = "callgraph"
    author_name: Annotated[str, Meta(description="Author and committer.")] = "whocalls"
    author_email: Annotated[str, Meta(description="Their address.")] = "whocalls@localhost"
    ssh_key_file: Annotated[str, Meta(description="Private key for an SSH URL; empty: what ssh finds.")] = ""
    known_hosts_file: Annotated[str, Meta(description="Host keys for an SSH URL; empty: what ssh finds.")] = ""
    token_file: Annotated[str, Meta(description="File with the token for HTTPS and the API; empty: none.")] = ""
    token_variable: Annotated[
        str, Meta(description="Environment variable with the token, where there is no file; empty: none.")
    ] = ""
    user: Annotated[str, Meta(description="User name that goes with the token (GitLab: oauth2).")] = "x-access-token"
    allow_shrink: Annotated[
        bool, Meta(description="Publish even when more than a fifth of the calls would vanish at once.")
    ] = False
    proposal: ProposalSettings = ProposalSettings()


class PageSettings(SettingsGroup, frozen=True, kw_only=True):
    """The live page."""

    listen: Annotated[
        str, Meta(description="HOST:PORT of the page; a graph is sensitive, so only this machine may read it.")
    ] = "127.0.0.1:8080"
    hosts: Annotated[
        tuple[str, ...],
        Meta(description="Names that the Host header may carry besides localhost and addresses; lower case."),
    ] = ()
    token: Annotated[str, Meta(description="Bearer token that readers need; prefer the file. Empty: none.")] = ""
    token_file: Annotated[str, Meta(description="File that holds the token.")] = ""


class ExporterSettings(SettingsGroup, frozen=True, kw_only=True):
    """The call graph as files."""

    out: Annotated[str, Meta(description="Folder that the files are written to.")] = "out"
    formats: Annotated[
        tuple[str, ...],
        Meta(
            description="Formats: text, wide, yaml, json, jsonl, csv, clientintents, mermaid, dot, graphml, backstage."
        ),
    ] = ("yaml", "text")
    interval_seconds: Annotated[
        float, Meta(description="Between two exports; nothing is written without a change.", gt=0)
    ] = 60.0
    include_external: Annotated[
        bool, Meta(description="Export calls to outside the cluster, in their own section.")
    ] = True
    include_infrastructure: Annotated[
        bool, Meta(description="Export the calls of DNS, the API server, scrapers and the like.")
    ] = True
    namespaces: Annotated[
        tuple[str, ...], Meta(description="Only calls with an end in one of these namespaces (globs); empty: all.")
    ] = ()
    exclude: Annotated[
        tuple[str, ...], Meta(description="No calls with one of these ends: NAME or NAMESPACE/NAME (globs).")
    ] = ()
    retain_days: Annotated[
        float, Meta(description="Calls not seen for so long are left out of the files; 0: they stay for good.", ge=0)
    ] = 0.0
    git: GitSettings = GitSettings()
    listen: Annotated[str, Meta(description="HOST:PORT of /metrics, /healthz and /readyz; empty: none.")] = ""
    service_graph_series: Annotated[
        int,
        Meta(
            description="Most series of traces_service_graph_request_total (observations, not requests); 0: none.",
            ge=0,
            le=50_000,
        ),
    ] = 0
