"""The wire format of DNS: how names are spelt, and what a message may cost."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture_agent.dns import parse_dns
from capture_agent.dns_wire import MAX_LABEL_STEPS, spell_plain_name, spell_wire
from capture_agent.malformed import MalformedDnsError
from tests.wire_bytes import (
    HTTPS,
    OPT,
    QUESTION_POINTER,
    SRV,
    a,
    cname,
    https,
    labels,
    message,
    name,
    pointer,
    record,
    srv,
)

ROOT = b"\0"
OPT_RECORD = record(ROOT, OPT, b"")
AT_ANSWER = 12 + len(name("x.y")) + 4


def outcome_of(octets):
    try:
        found = parse_dns(octets)
    except MalformedDnsError as error:
        return error.reason
    return found.refusal or "answer"


# -- Names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wire", "text"),
    [
        (ROOT, ""),
        (labels(b"a.b", b"c"), "a\\.b.c"),
        (labels(b"a\\b"), "a\\\\b"),
        (labels(b"a b"), "a\\032b"),
        (labels(b"nul\0bell\x07"), "nul\\000bell\\007"),
        (labels("é".encode()), "\\195\\169"),
        (labels(b"\x7f"), "\\127"),
        (labels(b"_HTTP", b"_tCP"), "_http._tcp"),
        (labels(b'"@;()$*'), '"@;()$*'),
        (labels(b"x" * 63, b"y" * 63, b"z" * 63, b"w" * 61), ".".join(["x" * 63, "y" * 63, "z" * 63, "w" * 61])),
        (labels(*[b"a"] * 127), ".".join("a" * 127)),
    ],
)
def test_names_are_spelt_without_raw_bytes(wire, text):
    found = parse_dns(message(wire, [a(wire, "1.1.1.1")]))
    assert (found.question_name, found.addresses) == (text, ("1.1.1.1",))


@settings(deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=20), max_size=8))
def test_spelt_names_are_printable_and_tell_labels_apart(parts):
    found = parse_dns(message(labels(*parts)))
    assert found.question_name.isascii()
    assert found.question_name == "" or (found.question_name.isprintable() and " " not in found.question_name)
    dots = found.question_name.replace("\\\\", "").replace("\\.", "").count(".")
    assert dots == max(len(parts) - 1, 0)


def test_pointer_that_is_led_to_may_not_lead_to_itself():
    start = AT_ANSWER + 12
    octets = message("x.y", [record(QUESTION_POINTER, 99, pointer(start)), a(pointer(start), "1.1.1.1")])
    assert outcome_of(octets) == "pointer"


@pytest.mark.parametrize("wire", [b"\1a", b"\1a\5", b"\2a\0", b"\1a\xc0\x0c\0", b"\x40a\0", b"\1a\0\0"])
def test_bytes_that_are_no_whole_name_are_not_spelt(wire):
    assert spell_wire(wire) is None


# -- Bounds -----------------------------------------------------------------------------------------------------------


def amplified_owners(count=4000):
    """Thousands of records whose owners all lead to a name of 127 labels, each by a pointer of its own."""
    long = labels(*[b"a"] * 126)
    first = record(QUESTION_POINTER, 99, long)
    target = AT_ANSWER + 12
    owners = [labels(b"b", end=pointer(target))] * count
    return message("x.y", [first, *(a(owner, "1.1.1.1") for owner in owners)])


def chained_pointers(count=6000):
    """A pointer to a pointer to a pointer, in the data of a record that nobody reads."""
    start = AT_ANSWER + 12
    chain = name("z") + b"".join(pointer(start + (0 if each == 0 else 3 + 2 * (each - 1))) for each in range(count))
    last = start + 3 + 2 * (count - 1)
    return message("x.y", [record(QUESTION_POINTER, 99, chain), *[a(pointer(last), "1.1.1.1")] * 200])


def test_amplified_owner_names_exhaust_the_work_budget():
    assert outcome_of(amplified_owners()) == "work_budget"


def test_long_chain_of_pointers_exhausts_the_work_budget():
    assert outcome_of(chained_pointers(MAX_LABEL_STEPS + 1)) == "work_budget"


def test_chain_of_500_pointers_is_walked_once():
    assert outcome_of(chained_pointers(500)) == "no_data"


@pytest.mark.parametrize(
    "octets",
    [
        amplified_owners(),
        chained_pointers(),
        message("x.y", [a(QUESTION_POINTER, "1.1.1.1")] * 4000),
        message("x.y", [cname(name(f"{each}.y"), name(f"{each + 1}.y")) for each in range(2500)]),
        message(
            "x.y",
            [srv(QUESTION_POINTER, labels(*[b"a"] * 120))] * 200,
            kind=SRV,
            additionals=[OPT_RECORD] * 3000,
        ),
        message("x.y", [https(QUESTION_POINTER, ROOT, (4, bytes(60_000)))], kind=HTTPS),
        message("x.y", [https(QUESTION_POINTER, ROOT, *((key + 7, b"") for key in range(15_000)))], kind=HTTPS),
    ],
    ids=["owners", "pointers", "addresses", "chain", "targets", "hints", "parameters"],
)
def test_no_message_costs_more_than_a_millisecond_per_kilobyte(octets):
    began = time.process_time()
    for _ in range(5):
        outcome_of(octets)
    assert (time.process_time() - began) / 5 < 0.001 * len(octets) / 1024


def test_bytes_longer_than_any_name_are_spelt_by_nobody():
    assert spell_plain_name(b"\xc0" + b"a" * 300) == ""
