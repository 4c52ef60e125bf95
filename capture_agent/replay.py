"""Capture files to frames, log files to lines. Shell: reads files, captures with scapy's readers.

In: a pcap or pcapng file (also gzipped, also a pipe), of tcpdump, ksniff, Kubeshark or dumpcap. Out: Frames. A link
layer that `capture_agent.packet` does not read (Wi-Fi, PPP, …) is taken off by scapy. Scapy is imported when the first
file is opened and not before: it costs 30 MB, which a running agent does not pay.

Source: https://datatracker.ietf.org/doc/draft-ietf-opsawg-pcap/, draft-ietf-opsawg-pcapng.
"""

from __future__ import annotations

import gzip
import logging
import sys
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import IO, Any, cast

from callgraph.errors import InputError
from capture_agent.packet import LINK_RAW, LINK_TYPES, Frame

_NANOSECONDS = 1_000_000_000
_MAX_SCAPY_BYTES = 65_535
"""Scapy hands over no more of a frame than this."""
_MAX_LINE_BYTES = 65_536
_GZIP_MAGIC = b"\x1f\x8b"
_REMEDY = "(tcpdump -w and Wireshark write what is expected)"


class _CountedReads:
    """A file that remembers whether it ended in the middle of what was asked for."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.cut = False
        self.name = str(getattr(file, "name", "-"))

    def read(self, size: int) -> bytes:
        try:
            data = self._file.read(size)
        except (OSError, EOFError, zlib.error):
            self.cut = True  # a gzip stream without its end
            return b""
        self.cut = self.cut or 0 < len(data) < size
        return data

    def close(self) -> None:
        self._file.close()


def read_frames(path: Path | str) -> Iterator[Frame]:
    """Read a capture file, `-` for stdin, in constant memory. Raises InputError."""
    with _open(path) as file:
        counted = _CountedReads(file)
        last = Frame(0, LINK_RAW, b"")
        for last in _read_records(_open_reader(counted, path)):
            yield last
        if counted.cut and not last.cut:
            yield Frame(last.captured_at, last.link_type, b"", cut=True)


def read_lines(path: Path | str) -> Iterator[str]:
    """Read a log, plain or gzipped, `-` for stdin; what a line has beyond 64 KiB is a line of its own."""
    with _open(path) as file:
        while line := file.readline(_MAX_LINE_BYTES):
            yield line.decode("utf-8", "replace")


def _open(path: Path | str) -> IO[bytes]:
    """Open a file, plain or gzipped."""
    if str(path) == "-":
        return sys.stdin.buffer
    try:
        with Path(path).open("rb") as file:
            zipped = file.peek(2)[:2] == _GZIP_MAGIC
        return cast("IO[bytes]", gzip.open(path)) if zipped else Path(path).open("rb")
    except OSError as error:
        raise InputError(f"cannot open {str(path)!r}: {error.strerror}") from error


def _open_reader(file: _CountedReads, path: Path | str) -> Any:
    """Let scapy find out whether it is pcap or pcapng."""
    try:
        from scapy.error import Scapy_Exception  # noqa: PLC0415  (30 MB, for replay only)
        from scapy.utils import RawPcapReader  # noqa: PLC0415
    except ImportError as error:
        raise InputError("reading captures needs scapy (pip install 'whocalls[replay]')") from error
    # What scapy warns of is what `Frame.cut` says.
    logging.getLogger("scapy.runtime").setLevel(logging.ERROR)
    try:
        return RawPcapReader(file)
    except Scapy_Exception as error:
        raise InputError(f"{str(path)!r} is neither pcap nor pcapng {_REMEDY}") from error


def _read_records(reader: Any) -> Iterator[Frame]:
    """Turn scapy's records into frames; a record of pcapng without a time has the time of the one before it."""
    captured_at = 0
    for data, about in reader:
        if hasattr(about, "sec"):
            captured_at = about.sec * _NANOSECONDS + about.usec * (1 if reader.nano else 1000)
            yield _make_frame(captured_at, reader.linktype, data, cut=len(data) < min(about.caplen, _MAX_SCAPY_BYTES))
        else:
            if about.tshigh is not None:
                captured_at = ((about.tshigh << 32) + about.tslow) * _NANOSECONDS // about.tsresol
            yield _make_frame(captured_at, about.linktype, data, cut=False)


def _make_frame(captured_at: int, link_type: int, data: bytes, *, cut: bool) -> Frame:
    # The upper bits of the field tell the length of a frame check sequence (pcap, section 4).
    link_type &= 0xFFFF
    if link_type not in LINK_TYPES:
        octets = _take_off_link_layer(link_type, data)
        if octets is not None:
            return Frame(captured_at, LINK_RAW, octets, cut)
    return Frame(captured_at, link_type, data, cut)


def _take_off_link_layer(link_type: int, data: bytes) -> bytes | None:
    """Return the bytes from the IP header on, where scapy knows the link layer."""
    link_layers, ip, ipv6 = _link_layers()
    layer = link_layers.get(link_type)
    if layer is None:
        return None
    try:
        packet = layer(data)
    except Exception:  # noqa: BLE001  (a dissector of scapy raises whatever the bytes lead it to)
        return None
    inner = packet.getlayer(ip) or packet.getlayer(ipv6)
    return bytes(inner.original) if inner is not None else None


@cache
def _link_layers() -> tuple[dict[int, Any], Any, Any]:
    import scapy.all  # noqa: F401, PLC0415  (registers every link layer; only when a file has an unusual one)
    from scapy.config import conf  # noqa: PLC0415
    from scapy.layers.inet import IP  # noqa: PLC0415
    from scapy.layers.inet6 import IPv6  # noqa: PLC0415

    return conf.l2types.num2layer, IP, IPv6
