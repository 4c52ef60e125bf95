"""Capture files, as tools write them and as disks leave them."""

import gzip
import io
import struct
import subprocess
import sys

import pytest

from callgraph.errors import InputError
from callgraph.records import DnsObservation
from capture_agent.observe import Refusal, observe_capture
from capture_agent.packet import LINK_ETHERNET, LINK_RAW, LINK_SLL2, parse_packet
from capture_agent.replay import read_frames, read_lines
from tests.wire_bytes import answer, dns_frame, ipv4, udp

FRAME = dns_frame()
SECONDS, MICROSECONDS, NANOSECONDS = 1_700_000_000, 123_456, 123_456_789


def pcap(*frames, link_type=LINK_ETHERNET, magic=0xA1B2C3D4, fraction=MICROSECONDS, order="<"):
    head = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 262144, link_type)
    return head + b"".join(
        struct.pack(order + "IIII", SECONDS, fraction, len(each), len(each)) + each for each in frames
    )


def block(kind, body):
    body += bytes(-len(body) % 4)
    size = struct.pack("<I", 12 + len(body))
    return struct.pack("<I", kind) + size + body + size


def pcapng(*interfaces):
    """Each interface: link type, resolution option, ticks, frames."""
    octets = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))
    for link_type, resolution, _, _ in interfaces:
        option = b"" if resolution is None else struct.pack("<HHB3xHH", 9, 1, resolution, 0, 0)
        octets += block(1, struct.pack("<HHI", link_type, 0, 262144) + option)
    for number, (_, _, ticks, frames) in enumerate(interfaces):
        for frame in frames:
            head = struct.pack("<IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
            octets += block(6, head + frame)
    return octets


@pytest.fixture
def saved(tmp_path):
    def save(octets):
        path = tmp_path / "capture"
        path.write_bytes(octets)
        return path

    return save


def observe(path):
    return list(observe_capture(read_frames(path)))


@pytest.mark.parametrize(
    ("octets", "at"),
    [
        (pcap(FRAME), SECONDS * 10**9 + MICROSECONDS * 1000),
        (pcap(FRAME, order=">"), SECONDS * 10**9 + MICROSECONDS * 1000),
        (pcap(FRAME, magic=0xA1B23C4D, fraction=NANOSECONDS), SECONDS * 10**9 + NANOSECONDS),
        (pcapng((1, None, SECONDS * 10**6 + MICROSECONDS, [FRAME])), SECONDS * 10**9 + MICROSECONDS * 1000),
        (pcapng((1, 9, SECONDS * 10**9 + NANOSECONDS, [FRAME])), SECONDS * 10**9 + NANOSECONDS),
        (pcapng((1, 0x80 | 20, SECONDS << 20 | 1, [FRAME])), SECONDS * 10**9 + 10**9 // 2**20),
    ],
    ids=["pcap", "big-endian pcap", "nanosecond pcap", "pcapng", "nanosecond pcapng", "binary pcapng"],
)
def test_frame_times_are_exact(saved, octets, at):
    (frame,) = read_frames(saved(octets))
    assert (frame.captured_at, frame.link_type, frame.data) == (at, LINK_ETHERNET, FRAME)


def test_interfaces_of_a_pcapng_have_link_types_of_their_own(saved):
    octets = pcapng((LINK_ETHERNET, None, 1, [FRAME]), (LINK_RAW, None, 2, [FRAME[14:]]))
    assert [frame.link_type for frame in read_frames(saved(octets))] == [LINK_ETHERNET, LINK_RAW]


def test_cooked_capture_of_any_interface_is_read(saved):
    cooked = struct.pack("!HHIHBB8s", 0x0800, 0, 7, 1, 4, 6, bytes(8)) + FRAME[14:]
    (seen,) = observe(saved(pcap(cooked, link_type=LINK_SLL2)))
    assert isinstance(seen, DnsObservation)


def test_frame_check_sequence_bits_do_not_hide_the_link_type(saved):
    (frame,) = read_frames(saved(pcap(FRAME, link_type=0x24000001)))
    assert frame.link_type == LINK_ETHERNET


def test_gzipped_capture_is_read(saved):
    assert len(list(read_frames(saved(gzip.compress(pcap(FRAME, FRAME)))))) == 2


def test_capture_without_packets_is_empty(saved):
    assert list(read_frames(saved(pcap()))) == []


@pytest.mark.parametrize("whole", [pcap(FRAME, FRAME), pcapng((1, None, 5, [FRAME, FRAME]))], ids=["pcap", "pcapng"])
@pytest.mark.parametrize("lost", [1, 10, len(FRAME)])
def test_cut_last_record_is_counted_and_the_others_read(saved, whole, lost):
    first, second = observe(saved(whole[:-lost]))
    assert isinstance(first, DnsObservation)
    assert second == Refusal("truncated")


def test_cut_record_header_is_counted(saved):
    whole = pcap(FRAME)
    assert observe(saved(whole + b"\0" * 7))[1:] == [Refusal("truncated")]


def test_cut_gzip_stream_is_counted(saved):
    whole = gzip.compress(pcap(FRAME, *(bytes([each % 251]) * 900 for each in range(400))))
    seen = observe(saved(whole[: len(whole) * 3 // 4]))
    assert isinstance(seen[0], DnsObservation)
    assert seen[-1] == Refusal("truncated")


@pytest.mark.parametrize(
    ("link_type", "head"),
    [
        (9, bytes.fromhex("ff030021")),
        (50, bytes.fromhex("ff030021")),
        (105, bytes.fromhex("08000000") + b"\2" * 18 + b"\0\0" + bytes.fromhex("aaaa030000000800")),
    ],
    ids=["ppp", "ppp over serial", "802.11"],
)
def test_unusual_link_layers_come_off(saved, link_type, head):
    (seen,) = observe(saved(pcap(head + FRAME[14:], link_type=link_type)))
    assert isinstance(seen, DnsObservation)


def test_unknown_link_layer_is_counted(saved):
    assert observe(saved(pcap(FRAME, link_type=147))) == [Refusal("link_type")]


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"", "is neither pcap nor pcapng"),
        (b"GET / HTTP/1.1\r\n", "is neither pcap nor pcapng"),
        (pcap()[:20], "is neither pcap nor pcapng"),
        (gzip.compress(b"hello"), "is neither pcap nor pcapng"),
        (b"\x1f\x8bnot gzip", "is neither pcap nor pcapng"),
    ],
)
def test_file_that_is_no_capture_is_one_sentence(saved, octets, text):
    with pytest.raises(InputError, match=text):
        list(read_frames(saved(octets)))


def test_file_that_is_not_there_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="No such file"):
        list(read_frames(tmp_path / "none"))
    with pytest.raises(InputError, match="Is a directory"):
        list(read_frames(tmp_path))


def test_capture_comes_through_a_pipe(monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(pcap(FRAME))))
    (frame,) = read_frames("-")
    assert parse_packet(frame.data, frame.link_type).payload == answer()


def test_what_scapy_writes_is_read(tmp_path):
    utils = pytest.importorskip("scapy.utils")
    for write, name in ((utils.PcapWriter, "a.pcap"), (utils.PcapNgWriter, "a.pcapng")):
        path = str(tmp_path / name)
        with write(path) as writer:
            writer.linktype = LINK_RAW
            writer.write(ipv4(udp(answer())))
        (frame,) = read_frames(path)
        assert frame.data == ipv4(udp(answer()))


def test_scapy_is_not_loaded_before_a_capture_is_opened():
    script = "import sys, capture_agent.replay, capture_agent.observe; print('scapy' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", script], text=True) == "False\n"


def test_log_is_read_in_lines_of_bounded_length(saved):
    path = saved(b"one\n" + b"x" * 100_000 + b"\nl\xffst")
    lines = list(read_lines(path))
    assert (lines[0], len(lines[1]), lines[-1]) == ("one\n", 65_536, "l�st")
