"""One spelling for each IP address. Pure.

Source: RFC 5952 (text form of IPv6), RFC 4291 section 2.5.5.2 (IPv4-mapped addresses), RFC 4007 section 11 (zones).
"""

from __future__ import annotations

import ipaddress
import re
from functools import lru_cache

_OCTET = "(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}")
_BROADCAST = "255.255.255.255"
_SILENT_FIRST_OCTETS = frozenset({"0", "127", *map(str, range(224, 240))})
_SILENT_NETWORKS = tuple(ipaddress.IPv6Network(text) for text in ("::/128", "::1/128", "fe80::/10", "ff00::/8"))


@lru_cache(maxsize=65_536)
def is_address(text: str) -> bool:
    """Tell whether the text is an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def canonical_address(text: str) -> str:
    """Return the canonical form: compressed, lower case, zone removed, IPv4-mapped as IPv4. Raises ValueError."""
    if _IPV4.fullmatch(text):
        return text
    address = ipaddress.ip_address(text.partition("%")[0])
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


@lru_cache(maxsize=8_192)
def is_silent(address: str) -> bool:
    """Tell whether a canonical address never names another workload: loopback, link-local, multicast, unspecified."""
    if ":" in address:
        parsed = ipaddress.IPv6Address(address)
        return any(parsed in network for network in _SILENT_NETWORKS)
    first, _, rest = address.partition(".")
    return first in _SILENT_FIRST_OCTETS or (first == "169" and rest.startswith("254.")) or address == _BROADCAST
