"""One spelling for each IP address. Pure.

Source: RFC 5952 (text form of IPv6), RFC 4291 section 2.5.5.2 (IPv4-mapped addresses), RFC 4007 section 11 (zones).
"""

from __future__ import annotations

import ipaddress
from functools import lru_cache

_SILENT_NETWORKS = tuple(
    ipaddress.ip_network(text)
    for text in ("0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32")
) + tuple(ipaddress.ip_network(text) for text in ("::/128", "::1/128", "fe80::/10", "ff00::/8"))


@lru_cache(maxsize=65_536)
def canonical_address(text: str) -> str:
    """Return the canonical form: compressed, lower case, zone removed, IPv4-mapped as IPv4. Raises ValueError."""
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


@lru_cache(maxsize=65_536)
def is_silent(address: str) -> bool:
    """Tell whether a canonical address never names another workload: loopback, link-local, multicast, unspecified."""
    parsed = ipaddress.ip_address(address)
    return any(parsed.version == network.version and parsed in network for network in _SILENT_NETWORKS)
