"""Any bytes to DNS answers and packets: the one error, and no more than a millisecond for each kilobyte.

`python -m tests.fuzz.dns --seconds 300 [--corpus FOLDER]`, with atheris (the dependency group `fuzz`). The corpus
begins with honest messages; what libFuzzer finds of interest is added to the folder. Exit code 0: nothing found.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

import atheris
from msgspec.structs import astuple

with atheris.instrument_imports(include=["capture_agent"]):
    from capture_agent.dns import parse_dns
    from capture_agent.fingerprints import fingerprint, is_faithful
    from capture_agent.malformed import DNS_REASONS, PACKET_REASONS, MalformedDnsError, MalformedPacketError
    from capture_agent.observe import observe_capture
    from capture_agent.packet import LINK_TYPES, Frame, parse_packet
    from capture_agent.plain_answers import read_plain_answer, refuse_plainly

from tests.seeded_messages import make_message
from tests.wire_bytes import ethernet, geneve, ipv4, ipv6, prefixed, tcp, udp, vxlan

SECONDS_PER_KILOBYTE = 0.001
TRIES = 5
LINKS = sorted(LINK_TYPES)
_ENDLESS_OWNER = (
    bytes.fromhex("002dffff000100bf000c00000000000000210f05")
    + b"\x02" * 63
    + b"\x13" * 7
    + b"\x53" * 24
    + bytes.fromhex("adacac1313")
)
"""191 answers, of which the first owner never ends: found by this fuzzer, at 2.7 ms for 119 bytes."""


class TooSlowError(Exception):
    """An input that costs more than its size allows."""


def read_quickly(octets: bytes) -> None:
    """Go the way of the packet loop, where only IndexError is foreseen; what it says, the parser must say."""
    is_faithful(octets)
    try:
        fingerprint(octets, b"\x0a\0\0\1")
        plain, refusal = read_plain_answer(octets), refuse_plainly(octets)
    except IndexError:
        return
    if plain is None and refusal is None:
        return
    answer = parse_dns(octets)
    said = (answer.question_name, answer.question_type, answer.addresses, answer.cnames, answer.ttl_seconds)
    if answer.refusal != refusal or (plain is not None and astuple(plain) != said):
        raise ValueError(f"{plain or refusal!r} is not {answer!r}")


def read_message(octets: bytes) -> None:
    """Parse a message; anything but an answer or the one error is a finding."""
    read_quickly(octets)
    try:
        answer = parse_dns(octets)
    except MalformedDnsError as error:
        if error.reason not in DNS_REASONS:
            raise
        return
    if answer.refusal is None and not (answer.addresses or answer.targets):
        raise ValueError(f"an answer without content: {answer!r}")
    if not answer.question_name.isascii() or any(character <= " " for character in answer.question_name):
        raise ValueError(f"a name with raw bytes: {answer.question_name!r}")


def read_frame(octets: bytes, link_type: int) -> None:
    """Parse a frame and what it carries; every frame has an outcome."""
    try:
        parse_packet(octets, link_type)
    except MalformedPacketError as error:
        if error.reason not in PACKET_REASONS:
            raise
    if not list(observe_capture([Frame(0, link_type, octets), Frame(1, link_type, octets)])):
        raise ValueError("a frame without an outcome")


def require_speed(octets: bytes) -> None:
    """Measure again what seems slow: the machine may have been busy."""
    allowed = SECONDS_PER_KILOBYTE * max(1.0, len(octets) / 1024)
    for _ in range(TRIES):
        began = time.process_time()
        read_message(octets)
        if time.process_time() - began <= allowed:
            return
    raise TooSlowError(f"{len(octets)} bytes cost more than {allowed * 1000:.1f} ms, {TRIES} times")


def take(octets: bytes) -> None:
    """Run one input: the first byte chooses between a message and a frame of some link type."""
    choice, rest = octets[:1], octets[1:]
    if not choice or choice[0] >= len(LINKS):
        require_speed(rest)
    else:
        read_frame(rest, LINKS[choice[0]])


def write_corpus(folder: Path) -> None:
    """Write honest messages and the frames that carry them, and what was once a finding."""
    chance = random.Random(1035)
    ethernet_choice, raw_choice = (bytes([LINKS.index(link)]) for link in (1, 101))
    for number in range(100):
        message = make_message(chance)
        frames = (
            ethernet(ipv4(udp(message))),
            vxlan(ethernet(ipv4(udp(message)))),
            geneve(ethernet(ipv4(udp(message)))),
            ethernet(ipv4(tcp(prefixed(message)), protocol=6), tags=(0x88A8, 0x8100)),
        )
        (folder / f"message-{number}").write_bytes(b"\xff" + message)
        (folder / f"frame-{number}").write_bytes(ethernet_choice + frames[number % len(frames)])
        (folder / f"packet-{number}").write_bytes(raw_choice + ipv6(udp(message)))
    (folder / "endless-owner").write_bytes(b"\xff" + _ENDLESS_OWNER)


def main() -> None:
    """Fuzz for a bounded time."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.dns", description=__doc__)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--corpus", type=Path, default=None)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        corpus = given.corpus or Path(temporary)
        corpus.mkdir(parents=True, exist_ok=True)
        write_corpus(corpus)
        options = [
            f"-max_total_time={given.seconds}",
            "-max_len=8192",
            f"-artifact_prefix={corpus}/",
            "-print_final_stats=1",
        ]
        atheris.Setup([sys.argv[0], *options, str(corpus)], take)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
