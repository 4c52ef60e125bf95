"""Lines of the CoreDNS `log` plugin to observations. Pure.

In: log lines, with or without a time before them. Out: who asked for which name, answered with NOERROR. A line tells
neither the addresses that were answered nor the resolver's own: the name is all that there is.

Format: `REMOTE:PORT - ID "TYPE CLASS NAME PROTO SIZE DO BUFSIZE" RCODE FLAGS RSIZE DURATION`, after `[INFO] `.
Source: https://coredns.io/plugins/log
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from callgraph.addresses import canonical_address, is_silent
from callgraph.records import DnsObservation
from capture_agent.dns import SERVER_TYPES
from capture_agent.log_times import split_time
from capture_agent.observe import Refusal

UNKNOWN_ADDRESS = "0.0.0.0"  # noqa: S104  (nothing is bound to it)

_LINE = re.compile(
    r"""(?:\[\w+\]\ )?                                  # [INFO]
        (?:\[(?P<ipv6>[0-9a-fA-F:.%\w]+)\]|(?P<ipv4>[0-9.]+)):\d+\ -?\ ?
        (?P<id>\d+)\ "(?P<type>\w+)\ (?P<class>\w+)\ (?P<name>\S+)\ (?P<proto>udp|tcp)
        \ \d+\ \w+\ \d+"\ (?P<rcode>\w+)\b""",
    re.VERBOSE,
)
_ESCAPED = re.compile(r"\\([^0-9.\\])")


def observe_coredns_log(lines: Iterable[str], *, read_at: int) -> Iterator[DnsObservation | Refusal]:
    """Say what each line shows; `read_at` is the time of lines that have none."""
    for line in lines:
        yield observe_coredns_line(line, read_at=read_at)


def observe_coredns_line(line: str, *, read_at: int) -> DnsObservation | Refusal:
    """Read one line."""
    at, text = split_time(line, read_at)
    match = _LINE.search(text)
    if not match:
        return Refusal("other_line")
    refusal = _refuse(match)
    if refusal:
        return Refusal(refusal)
    try:
        client = canonical_address(match["ipv6"] or match["ipv4"])
    except ValueError:
        return Refusal("malformed_line")
    if is_silent(client):
        return Refusal("silent_address")
    return DnsObservation(
        observed_at=at,
        network_transport="tcp" if match["proto"] == "tcp" else "udp",
        client_address=client,
        server_address=UNKNOWN_ADDRESS,
        dns_question_name=_spell_name(match["name"]),
        dns_question_type=match["type"],
    )


def _refuse(match: re.Match[str]) -> str | None:
    if match["rcode"] != "NOERROR":
        return "nxdomain" if match["rcode"] == "NXDOMAIN" else "response_code"
    if match["class"] != "IN":
        return "question_class"
    return None if match["type"] in SERVER_TYPES else "question_type"


def _spell_name(name: str) -> str:
    """Spell a name as `capture_agent.dns_wire` does: CoreDNS escapes more characters than it must."""
    return _ESCAPED.sub(r"\1", name.lower()).removesuffix(".")
