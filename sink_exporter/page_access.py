"""Who may read the page: checks of one request's headers. Pure.

A page on loopback is open to every web site in the same browser unless the Host header is checked: a name of the
attacker's that resolves to 127.0.0.1 makes it the same origin (DNS rebinding). An address cannot be rebound, so
addresses and `localhost` pass; other names must be listed.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection

from callgraph.addresses import is_address
from callgraph.errors import ConfigurationError


def is_known_host(header: str, hosts: Collection[str]) -> bool:
    """Tell whether the Host header names this server: an address, localhost, or a name of `hosts`."""
    name = _strip_port(header.lower())
    return name == "localhost" or name in hosts or is_address(name)


def has_token(header: str, token: str) -> bool:
    """Tell whether the Authorization header carries the token; without a token anybody passes."""
    return not token or hmac.compare_digest(header.encode(), f"Bearer {token}".encode())


def parse_listen(listen: str) -> tuple[str, int]:
    """Split HOST:PORT. Raises ConfigurationError."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise ConfigurationError(f"page.listen is {listen!r}, not HOST:PORT (127.0.0.1:8080)")
    return host.strip("[]"), int(port)


def _strip_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
