"""DNS messages to answers: what counts as an answer, and what breaks."""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture_agent.dns import MAX_RECORDS, parse_dns
from capture_agent.malformed import DNS_REASONS, MalformedDnsError
from tests.wire_bytes import (
    AAAA,
    ANY,
    CHAOS,
    HTTPS,
    NS,
    NXDOMAIN,
    OPT,
    PTR,
    QUESTION_POINTER,
    RESPONSE,
    SERVFAIL,
    SOA,
    SRV,
    SVCB,
    TC,
    A,
    a,
    aaaa,
    address,
    answer,
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
OPT_RECORD = record(ROOT, OPT, b"", ttl=0, record_class=1232)
SOA_RECORD = record(QUESTION_POINTER, SOA, name("ns.x") + name("h.x") + bytes(20))


def outcome_of(octets):
    try:
        answer = parse_dns(octets)
    except MalformedDnsError as error:
        return error.reason
    return answer.refusal or "answer"


def addresses_of(octets):
    return parse_dns(octets).addresses


# -- Answers ----------------------------------------------------------------------------------------------------------


def test_a_answer_names_question_address_and_ttl():
    found = parse_dns(message("Svc.NS.svc.cluster.local", [a(QUESTION_POINTER, "10.0.0.1", ttl=7)]))
    assert (found.question_name, found.question_type) == ("svc.ns.svc.cluster.local", "A")
    assert (found.addresses, found.ttl_seconds, found.message_id) == (("10.0.0.1",), 7, 0x1234)


def test_addresses_are_sorted_and_stand_once():
    found = message("x.y", [a(QUESTION_POINTER, text) for text in ("10.0.0.9", "10.0.0.10", "10.0.0.9")])
    assert addresses_of(found) == ("10.0.0.10", "10.0.0.9")


def test_ttl_is_the_smallest_of_the_addresses():
    assert (
        parse_dns(
            message("x.y", [a(QUESTION_POINTER, "1.1.1.1", ttl=9), a(QUESTION_POINTER, "2.2.2.2", ttl=4)])
        ).ttl_seconds
        == 4
    )


def test_ttl_with_the_highest_bit_set_is_zero():
    assert parse_dns(message("x.y", [a(QUESTION_POINTER, "1.1.1.1", ttl=2**31)])).ttl_seconds == 0


def test_aaaa_answer_is_canonical():
    assert addresses_of(message("x.y", [aaaa(name("x.y"), "fd00:0:0::A")], kind=AAAA)) == ("fd00::a",)


def test_ipv4_mapped_aaaa_is_ipv4():
    assert addresses_of(message("x.y", [aaaa(QUESTION_POINTER, "::ffff:10.0.0.1")], kind=AAAA)) == ("10.0.0.1",)


def test_uncompressed_owner_in_another_case_is_the_question():
    assert addresses_of(message("x.y", [a(name("X.Y"), "1.1.1.1")])) == ("1.1.1.1",)


def test_records_of_another_type_than_asked_for_are_left_out():
    found = message("x.y", [aaaa(QUESTION_POINTER, "fd00::1"), a(QUESTION_POINTER, "1.1.1.1")])
    assert addresses_of(found) == ("1.1.1.1",)


def test_any_question_takes_all_that_names_servers():
    found = message("x.y", [aaaa(QUESTION_POINTER, "fd00::1"), a(QUESTION_POINTER, "1.1.1.1")], kind=ANY)
    assert addresses_of(found) == ("1.1.1.1", "fd00::1")


def test_cname_chain_is_followed_from_the_question_in_whatever_order_it_comes():
    chain = [
        a(name("c.cdn"), "203.0.113.7", ttl=30),
        cname(name("b.cdn"), name("c.cdn"), ttl=5),
        cname(QUESTION_POINTER, name("B.cdn"), ttl=5),
    ]
    found = parse_dns(message("www.shop", chain))
    assert (found.question_name, found.cnames, found.addresses) == ("www.shop", ("b.cdn", "c.cdn"), ("203.0.113.7",))
    assert found.ttl_seconds == 30


def test_address_of_an_unrelated_owner_is_not_attributed():
    found = message("x.y", [a(QUESTION_POINTER, "1.1.1.1"), a(name("bank.example"), "6.6.6.6")])
    assert addresses_of(found) == ("1.1.1.1",)


def test_address_beside_the_chain_is_not_attributed():
    assert (
        outcome_of(message("x.y", [cname(QUESTION_POINTER, name("z.y")), a(QUESTION_POINTER, "6.6.6.6")])) == "no_data"
    )


def test_dname_with_its_cname_is_tolerated():
    records = [record(name("y"), 39, name("w")), cname(QUESTION_POINTER, name("x.w")), a(name("x.w"), "1.1.1.1")]
    assert addresses_of(message("x.y", records)) == ("1.1.1.1",)


def test_second_cname_of_a_name_is_left_out():
    records = [cname(QUESTION_POINTER, name("p")), cname(QUESTION_POINTER, name("q")), a(name("p"), "1.1.1.1")]
    assert addresses_of(message("x.y", records)) == ("1.1.1.1",)


def test_records_of_another_class_are_left_out():
    assert outcome_of(message("x.y", [a(QUESTION_POINTER, "1.1.1.1", record_class=CHAOS)])) == "no_data"


def test_edns_is_ignored():
    assert addresses_of(message("x.y", [a(QUESTION_POINTER, "1.1.1.1")], additionals=[OPT_RECORD])) == ("1.1.1.1",)


def test_bytes_after_the_records_are_ignored():
    assert addresses_of(answer() + b"\xff" * 20) == ("10.96.0.20",)


def test_srv_names_its_targets_with_their_additional_addresses():
    found = parse_dns(
        message(
            "_http._tcp.db",
            [srv(QUESTION_POINTER, name("db-1.db")), srv(QUESTION_POINTER, name("db-0.db"))],
            kind=SRV,
            authorities=[record(name("db"), NS, name("ns.db"))],
            additionals=[
                a(name("db-0.db"), "10.0.0.1", ttl=3),
                aaaa(name("DB-1.db"), "fd00::1"),
                a(name("ns.db"), "6.6.6.6"),
                OPT_RECORD,
            ],
        )
    )
    assert found.targets == ("db-0.db", "db-1.db")
    assert (found.addresses, found.ttl_seconds) == (("10.0.0.1", "fd00::1"), 3)


def test_srv_without_additional_addresses_is_an_answer_with_targets():
    found = parse_dns(message("_http._tcp.db", [srv(QUESTION_POINTER, name("db-0.db"))], kind=SRV))
    assert (found.refusal, found.targets, found.addresses) == (None, ("db-0.db",), ())


def test_srv_to_the_root_offers_no_service():
    assert outcome_of(message("_http._tcp.db", [srv(QUESTION_POINTER, ROOT)], kind=SRV)) == "no_data"


@pytest.mark.parametrize("kind", [HTTPS, SVCB])
def test_service_binding_gives_target_and_address_hints(kind):
    hints = ((1, b"\x02h2"), (4, address("1.1.1.1") + address("2.2.2.2")), (6, address("fd00::1")))
    found = parse_dns(message("x.y", [https(QUESTION_POINTER, name("svc.z"), *hints, kind=kind)], kind=kind))
    assert (found.targets, found.addresses) == (("svc.z",), ("1.1.1.1", "2.2.2.2", "fd00::1"))


def test_service_binding_to_the_root_is_the_owner_itself():
    found = parse_dns(
        message("x.y", [https(QUESTION_POINTER, ROOT)], kind=HTTPS, additionals=[a(QUESTION_POINTER, "1.1.1.1")])
    )
    assert (found.targets, found.addresses) == (("x.y",), ("1.1.1.1",))


def test_truncated_answer_gives_its_complete_records():
    records = [a(QUESTION_POINTER, "1.1.1.1"), a(QUESTION_POINTER, "2.2.2.2")]
    found = parse_dns(message("x.y", records, flags=RESPONSE | TC)[:-3])
    assert (found.addresses, found.partial) == (("1.1.1.1",), True)


def test_truncation_excuses_no_other_fault():
    assert outcome_of(message("x.y", [a(b"\x40x", "1.1.1.1")], flags=RESPONSE | TC)) == "label_type"


def test_record_cut_off_without_the_truncation_bit_is_malformed():
    assert outcome_of(answer()[:-3]) == "past_end"


def test_records_beyond_the_bound_make_an_answer_partial():
    records = [a(QUESTION_POINTER, f"10.0.{each >> 8}.{each & 255}") for each in range(MAX_RECORDS + 5)]
    found = parse_dns(message("x.y", records))
    assert (len(found.addresses), found.partial) == (MAX_RECORDS, True)


def test_address_hints_beyond_the_bound_make_an_answer_partial():
    hints = b"".join(address(f"10.0.{each >> 8}.{each & 255}") for each in range(MAX_RECORDS + 5))
    found = parse_dns(message("x.y", [https(QUESTION_POINTER, ROOT, (4, hints))], kind=HTTPS))
    assert (len(found.addresses), found.partial) == (MAX_RECORDS, True)


# -- No answers -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("octets", "refusal"),
    [
        (message("x.y", flags=0x0100), "query"),
        (answer(flags=0), "query"),
        (message("x.y", flags=RESPONSE | 5 << 11), "opcode"),
        (message("x.y", flags=RESPONSE | NXDOMAIN, authorities=[SOA_RECORD]), "nxdomain"),
        (answer(flags=RESPONSE | NXDOMAIN), "nxdomain"),
        (message("x.y", flags=RESPONSE | SERVFAIL), "response_code"),
        (message("x.y", authorities=[SOA_RECORD]), "no_data"),
        (message("x.y", [cname(QUESTION_POINTER, name("z.y"))], kind=AAAA), "no_data"),
        (message("x.y", [record(QUESTION_POINTER, PTR, name("z"))], kind=PTR), "question_type"),
        (message("x.y", question_class=CHAOS), "question_class"),
        (message("x.y", flags=RESPONSE | TC), "cut"),
    ],
)
def test_what_is_no_answer_says_why(octets, refusal):
    found = parse_dns(octets)
    assert (found.refusal, found.addresses, found.targets) == (refusal, (), ())


def test_question_of_no_answer_is_named():
    found = parse_dns(message("X.y", kind=4711))
    assert (found.question_name, found.question_type) == ("x.y", "TYPE4711")


# -- Malformed --------------------------------------------------------------------------------------------------------

LONG = labels(b"x" * 63, b"y" * 63, b"z" * 63, b"w" * 62)
AT_ANSWER = 12 + len(name("x.y")) + 4


def with_owner(owner, **more):
    return message("x.y", [a(owner, "1.1.1.1")], **more)


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "header"),
        (answer()[:11], "header"),
        (message("x.y", counts=(0, 0, 0, 0)), "question_count"),
        (message("x.y", counts=(2, 0, 0, 0)), "question_count"),
        (message("x.y", counts=(65535, 0, 0, 0)), "question_count"),
        (message("x.y", counts=(1, 65535, 0, 0)), "past_end"),
        (message("x.y", [a(QUESTION_POINTER, "1.1.1.1")], counts=(1, 65535, 0, 0)), "past_end"),
        (message("x.y")[:-1], "past_end"),
        (message(labels(b"x", end=b"")), "past_end"),
        (message(b"\x3fx"), "past_end"),
        (message(b"\x3f"), "past_end"),
        (message(LONG), "name_length"),
        (message(labels(*[b"a"] * 128)), "name_length"),
        (message(b"\x40x"), "label_type"),
        (message(b"\x80x"), "label_type"),
        (message(pointer(12)), "pointer"),
        (with_owner(pointer(AT_ANSWER)), "pointer"),
        (with_owner(pointer(AT_ANSWER + 1)), "pointer"),
        (with_owner(pointer(0x3FFF)), "pointer"),
        (with_owner(pointer(11)), "pointer"),
        (with_owner(pointer(0)), "pointer"),
        (with_owner(labels(b"a", end=pointer(AT_ANSWER))), "pointer"),
        (message("x.y", [b"\xc0"]), "past_end"),
        (message("x.y", [record(QUESTION_POINTER, A, b"", size=0)]), "data_length"),
        (message("x.y", [record(QUESTION_POINTER, A, b"abc")]), "data_length"),
        (message("x.y", [record(QUESTION_POINTER, A, b"abcde")]), "data_length"),
        (message("x.y", [record(QUESTION_POINTER, AAAA, b"abcd")], kind=AAAA), "data_length"),
        (message("x.y", [record(QUESTION_POINTER, A, b"abcd", size=5)]), "past_end"),
        (message("x.y", [record(QUESTION_POINTER, A, b"abcd", size=65535)]), "past_end"),
        (message("x.y", [record(QUESTION_POINTER, 99, b"abcd", size=65535)]), "past_end"),
        (message("x.y", [QUESTION_POINTER + b"\0\1\0\1\0\0"]), "past_end"),
        (message("x.y", [cname(QUESTION_POINTER, name("z"), size=2)]), "data_length"),
        (message("x.y", [cname(QUESTION_POINTER, name("z") + b"x")]), "data_length"),
        (message("x.y", [cname(QUESTION_POINTER, QUESTION_POINTER)]), "cname_loop"),
        (message("x.y", [cname(QUESTION_POINTER, name("z")), cname(name("z"), QUESTION_POINTER)]), "cname_loop"),
        (message("x.y", [record(QUESTION_POINTER, SRV, b"abcdef")], kind=SRV), "data_length"),
        (message("x.y", [record(QUESTION_POINTER, SRV, b"abc")], kind=SRV), "data_length"),
        (message("x.y", [record(QUESTION_POINTER, HTTPS, b"")], kind=HTTPS), "data_length"),
        (message("x.y", [https(QUESTION_POINTER, ROOT, (4, b"abc"))], kind=HTTPS), "service_parameters"),
        (message("x.y", [https(QUESTION_POINTER, ROOT, (4, b""))], kind=HTTPS), "service_parameters"),
        (message("x.y", [https(QUESTION_POINTER, ROOT, (6, b"abcd"))], kind=HTTPS), "service_parameters"),
        (message("x.y", [https(QUESTION_POINTER, ROOT, (4, b"abcd"), (1, b""))], kind=HTTPS), "service_parameters"),
        (message("x.y", [https(QUESTION_POINTER, ROOT, (1, b""), (1, b""))], kind=HTTPS), "service_parameters"),
        (message("x.y", [record(QUESTION_POINTER, HTTPS, b"\0\1\0\0\4\0")], kind=HTTPS), "service_parameters"),
        (message("x.y", [record(QUESTION_POINTER, HTTPS, b"\0\1\0\0\4\0\x08abcd")], kind=HTTPS), "service_parameters"),
        (message("x.y", [record(QUESTION_POINTER, HTTPS, b"\0\1\1z\0", size=3)], kind=HTTPS), "data_length"),
    ],
)
def test_broken_message_has_a_reason(octets, reason):
    assert outcome_of(octets) == reason


def test_message_with_two_questions_is_malformed_though_both_are_there():
    octets = message("x.y", [name("p.q") + b"\0\1\0\1"], counts=(2, 0, 0, 0))
    assert outcome_of(octets) == "question_count"


# -- Any bytes --------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_an_answer_or_the_one_error(octets):
    assert outcome_of(octets) in DNS_REASONS | {"answer", "query", "opcode", *REFUSALS}


REFUSALS = ("nxdomain", "response_code", "question_class", "question_type", "no_data", "cut")
VALID = (
    answer(),
    message("www.shop", [cname(QUESTION_POINTER, name("c.cdn")), a(name("c.cdn"), "1.1.1.1")]),
    message("_a._b.c", [srv(QUESTION_POINTER, name("d.c"))], kind=SRV, additionals=[a(name("d.c"), "1.1.1.1")]),
    message("x.y", [https(QUESTION_POINTER, ROOT, (1, b"\2h2"), (4, b"abcd"))], kind=HTTPS),
)


@settings(deadline=None)
@given(
    st.sampled_from(VALID),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=6),
    st.integers(0, 80),
)
def test_any_damage_to_a_message_gives_an_answer_or_the_one_error(octets, damage, cut):
    damaged = bytearray(octets[: len(octets) - cut])
    for at, value in damage:
        if at < len(damaged):
            damaged[at] = value
    assert outcome_of(bytes(damaged)) in DNS_REASONS | {"answer", "query", "opcode", *REFUSALS}


def test_message_in_a_buffer_is_read_as_bytes_are():
    assert parse_dns(memoryview(bytearray(answer()))) == parse_dns(answer())


def test_every_count_of_the_header_may_lie():
    for counts in ((1, 1, 65535, 65535), (1, 1, 0, 65535)):
        octets = message("_a._b.c", [srv(QUESTION_POINTER, name("d.c"))], kind=SRV, counts=counts)
        assert outcome_of(octets) == "past_end"
    assert struct.calcsize("!HHHHHH") == 12
