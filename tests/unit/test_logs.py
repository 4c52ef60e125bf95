"""The logs of CoreDNS and of Calico, with every kind of time before their lines."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callgraph.records import DnsObservation
from capture_agent.calico_log import observe_calico_log
from capture_agent.coredns_log import UNKNOWN_ADDRESS, observe_coredns_line, observe_coredns_log
from capture_agent.log_times import split_time
from capture_agent.observe import Refusal

NEW_YEAR = 1_704_067_200_000_000_000
READ_AT = NEW_YEAR + 100 * 86_400_000_000_000
COREDNS = (
    '[INFO] 10.244.0.9:39201 - 12345 "A IN Svc-a.ns.svc.cluster.local. udp 60 false 512" NOERROR qr,aa,rd 106 0.00009s'
)
CALICO = (
    "calico-packet: IN=cali1 OUT=eth0 MAC=ee:ee SRC=10.244.0.9 DST=10.96.0.10 LEN=60 TOS=0x00 PREC=0x00 TTL=63 ID=5 DF "
    "PROTO=TCP SPT=39201 DPT=80 WINDOW=64240 RES=0x00 SYN URGP=0 "
)


@pytest.mark.parametrize(
    ("line", "at"),
    [
        ("2024-01-01T00:00:00Z x", NEW_YEAR),
        ("2024-01-01T00:00:00.000000007Z x", NEW_YEAR + 7),
        ("2024-01-01T00:00:00.5Z x", NEW_YEAR + 500_000_000),
        ("2024-01-01T02:00:00+02:00 x", NEW_YEAR),
        ("2023-12-31T19:30:00-0430 x", NEW_YEAR),
        ("2024-01-01 00:00:00,123 x", NEW_YEAR + 123_000_000),
        ('{"log":"x\\n","stream":"stdout","time":"2024-01-01T00:00:00.000000001Z"}', NEW_YEAR + 1),
        ("Jan  1 00:00:00 x", NEW_YEAR),
        ("<4>Dec 31 23:59:59 x", NEW_YEAR - 1_000_000_000),
        ("[Mon Jan  1 00:00:00 2024] x", NEW_YEAR),
        ("x", READ_AT),
        ("2024-02-31T00:00:00Z x", READ_AT),
        ("Foo 12 00:00:00 x", READ_AT),
    ],
)
def test_time_before_a_line_is_taken_off(line, at):
    found = split_time(line, READ_AT)
    assert found.at == at
    assert found.text.endswith("x")


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_line_has_a_time(line):
    assert split_time(line, 5).at is not None


def test_coredns_line_tells_who_asked_for_what():
    seen = observe_coredns_line(f"2024-01-01T00:00:00Z {COREDNS}", read_at=READ_AT)
    assert (seen.client_address, seen.dns_question_name, seen.dns_question_type) == (
        "10.244.0.9",
        "svc-a.ns.svc.cluster.local",
        "A",
    )
    assert (seen.observed_at, seen.network_transport, seen.addresses) == (NEW_YEAR, "udp", ())
    assert seen.server_address == UNKNOWN_ADDRESS


@pytest.mark.parametrize(
    "line",
    [
        COREDNS.removeprefix("[INFO] "),
        f"stdout F {COREDNS}",
        COREDNS.replace("10.244.0.9:39201", "[fd00::9]:39201"),
        COREDNS.replace("udp 60", "tcp 60"),
        COREDNS.replace(" - ", " "),
    ],
)
def test_coredns_lines_come_in_several_dresses(line):
    assert isinstance(observe_coredns_line(line, read_at=0), DnsObservation)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (COREDNS.replace("NOERROR", "NXDOMAIN"), "nxdomain"),
        (COREDNS.replace("NOERROR", "SERVFAIL"), "response_code"),
        (COREDNS.replace('"A IN', '"PTR IN'), "question_type"),
        (COREDNS.replace('"A IN', '"A CH'), "question_class"),
        (COREDNS.replace("10.244.0.9", "10.244.0.999"), "malformed_line"),
        (COREDNS.replace("10.244.0.9", "127.0.0.1"), "silent_address"),
        ("[INFO] plugin/reload: Running configuration SHA512 = 8a", "other_line"),
        ("", "other_line"),
    ],
)
def test_coredns_line_that_is_no_answer_says_why(line, reason):
    assert list(observe_coredns_log([line], read_at=0)) == [Refusal(reason)]


def test_escapes_of_coredns_become_ours():
    seen = observe_coredns_line(COREDNS.replace("Svc-a.", "a\\@b\\.c\\007."), read_at=0)
    assert seen.dns_question_name == "a@b\\.c\\007.ns.svc.cluster.local"


def test_calico_line_tells_who_connects():
    (seen,) = observe_calico_log([f"[Mon Jan  1 00:00:00 2024] {CALICO}"], read_at=0)
    assert (seen.client_address, seen.client_port, seen.server_address, seen.server_port) == (
        "10.244.0.9",
        39201,
        "10.96.0.10",
        80,
    )
    assert (seen.network_transport, seen.client_side, seen.observed_at) == ("tcp", "known", NEW_YEAR)


def test_first_packet_of_a_udp_flow_is_inferred_to_be_the_clients():
    (seen,) = observe_calico_log([CALICO.replace("PROTO=TCP", "PROTO=UDP").replace(" SYN", "")], read_at=0)
    assert (seen.network_transport, seen.client_side) == ("udp", "inferred")


def test_ipv6_line_is_read():
    line = CALICO.replace("10.244.0.9", "fd00:0000:0000:0000:0000:0000:0000:0009").replace("10.96.0.10", "fd00::a")
    (seen,) = observe_calico_log([line], read_at=0)
    assert (seen.client_address, seen.server_address) == ("fd00::9", "fd00::a")


def test_packet_that_two_rules_log_counts_once():
    assert list(observe_calico_log([CALICO, CALICO.replace("calico-packet", "other")], read_at=0))[1] == Refusal(
        "seen_before"
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (CALICO.replace(" SYN", " ACK SYN"), "not_for_us"),
        (CALICO.replace(" SYN", " ACK"), "not_for_us"),
        (CALICO.replace("PROTO=TCP", "PROTO=ICMP"), "other_transport"),
        (CALICO.replace("DPT=80", "DPT=80000"), "malformed_line"),
        (CALICO.replace("DPT=80 ", ""), "malformed_line"),
        (CALICO.replace("SRC=10.244.0.9", "SRC=x"), "malformed_line"),
        (CALICO.replace("SRC=10.244.0.9", "SRC=127.0.0.1"), "silent_address"),
        ("usb 1-1: new high-speed USB device", "other_line"),
    ],
)
def test_calico_line_that_opens_nothing_says_why(line, reason):
    assert list(observe_calico_log([line], read_at=0)) == [Refusal(reason)]


def test_packet_that_an_icmp_error_repeats_is_not_the_packet():
    line = f"x: IN=a OUT=b SRC=10.0.0.1 DST=10.0.0.2 PROTO=ICMP TYPE=3 CODE=3 [{CALICO.partition('MAC=ee:ee ')[2]}] "
    assert list(observe_calico_log([line], read_at=0)) == [Refusal("other_transport")]
