"""Our parser and scapy's agree, over ten thousand messages and over captures of every link type."""

import random
import shutil
import subprocess

import pytest

from callgraph.addresses import canonical_address
from callgraph.records import DnsObservation
from capture_agent.dns import parse_dns
from capture_agent.observe import observe_capture
from capture_agent.packet import LINK_ETHERNET, LINK_RAW, LINK_SLL, LINK_SLL2, Frame
from capture_agent.replay import read_frames
from tests.seeded_messages import make_message
from tests.wire_bytes import CLIENT, ethernet, ipv4, ipv6, udp

MESSAGES = 10_000
LINK_HEADS = {
    LINK_ETHERNET: ethernet(b""),
    LINK_RAW: b"",
    LINK_SLL: bytes(14) + b"\x08\0",
    LINK_SLL2: b"\x08\0" + bytes(18),
}


def ask_us(octets):
    found = parse_dns(octets)
    if found.refusal:
        return None
    return found.question_name, found.addresses, found.cnames, found.targets, found.ttl_seconds


def test_ten_thousand_messages_say_the_same_to_us_and_to_scapy():
    oracle = pytest.importorskip("tests.dns_oracle")
    chance = random.Random(1035)
    answers = 0
    for number in range(MESSAGES):
        octets = make_message(chance)
        found = ask_us(octets)
        assert found == oracle.ask_scapy(octets), (number, octets.hex())
        answers += found is not None
    assert answers > MESSAGES // 2


@pytest.fixture(scope="module")
def captures(tmp_path_factory):
    """One capture for each link type and format, written by scapy."""
    utils = pytest.importorskip("scapy.utils")
    folder, chance = tmp_path_factory.mktemp("captures"), random.Random(53)
    messages = [make_message(chance) for _ in range(150)]
    for link_type, head in LINK_HEADS.items():
        for write, suffix in ((utils.RawPcapWriter, "pcap"), (utils.RawPcapNgWriter, "pcapng")):
            with write(str(folder / f"{link_type}.{suffix}")) as writer:
                writer.linktype = link_type
                writer.write_header(None)
                for number, message in enumerate(messages):
                    frame = head + ipv4(udp(message, destination=30000 + number))
                    writer.write_packet(frame, sec=1_700_000_000, usec=number)
    return folder, messages


def test_captures_of_every_link_type_say_what_scapy_says(captures):
    oracle = pytest.importorskip("tests.dns_oracle")
    folder, messages = captures
    expected = [opinion for opinion in map(oracle.ask_scapy, messages) if opinion]
    files = sorted(folder.iterdir())
    assert len(files) == 2 * len(LINK_HEADS)
    for file in files:
        seen = [each for each in observe_capture(read_frames(file)) if isinstance(each, DnsObservation)]
        found = [(each.dns_question_name, each.addresses, each.cnames, each.targets, each.ttl_seconds) for each in seen]
        assert found == expected, file.name
        assert {each.client_address for each in seen} == {CLIENT}


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_captures_say_what_tshark_says(captures):
    folder, _ = captures
    fields = ("dns.qry.name", "dns.a", "dns.aaaa")
    arguments = [argument for field in fields for argument in ("-e", field)]
    command = ["tshark", "-n", "-r", str(folder / f"{LINK_ETHERNET}.pcap"), "-Y", "dns", "-T", "fields", *arguments]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    seen = list(observe_capture(read_frames(folder / f"{LINK_ETHERNET}.pcap")))
    compared = 0
    for line, each in zip(listing, seen, strict=True):
        if isinstance(each, DnsObservation):
            name, *addresses = line.split("\t")
            assert each.dns_question_name == name.lower()
            compared += 1
            if each.dns_question_type in ("A", "AAAA", "SRV"):
                said = {canonical_address(text) for listed in addresses for text in listed.split(",") if text}
                assert set(each.addresses) <= said
    assert compared > len(listing) // 2


def test_answers_over_ipv6_say_what_they_say_over_ipv4():
    chance = random.Random(6)
    for number in range(500):
        message = make_message(chance)
        over = [
            next(observe_capture([Frame(number, LINK_RAW, packet)]))
            for packet in (ipv4(udp(message)), ipv6(udp(message)))
        ]
        if isinstance(over[0], DnsObservation):
            assert over[0].addresses == over[1].addresses
        else:
            assert over[0] == over[1]
