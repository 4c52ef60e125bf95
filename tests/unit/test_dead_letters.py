from callgraph.codec import decode, encode
from callgraph.errors import DecodeError
from callgraph.records import DeadLetter
from stream_processor.dead_letters import dead_letter

ORIGIN = ("whocalls.dns-answers", 3, 17)


def letter(key=b"k", value=b"v", detail="why"):
    return dead_letter(DecodeError("malformed", detail), origin=ORIGIN, key=key, value=value, failed_at=9)


def test_a_dead_letter_says_where_it_stood_and_why():
    found = letter()
    assert (found.topic, found.partition, found.offset) == ORIGIN
    assert (found.reason, found.detail, found.key, found.value) == ("malformed", "why", b"k", b"v")


def test_nothing_in_a_dead_letter_is_without_bound():
    found = letter(key=b"k" * 10**6, value=b"v" * 10**6, detail="d" * 10**6)
    assert len(encode(found)) < 200_000


def test_a_record_without_key_and_value_is_a_dead_letter_as_well():
    found = letter(key=None, value=None)
    assert decode(encode(found), DeadLetter) == found
