from hypothesis import given
from hypothesis import strategies as st

from stream_processor.small_sets import SmallSets

NAMES = st.sampled_from(["a", "b", "cart"])
CHANGES = st.lists(st.tuples(st.sampled_from(["add", "discard"]), NAMES, NAMES))


@given(CHANGES)
def test_small_sets_hold_what_sets_would(changes):
    small, plain = SmallSets(), {}
    for change, key, member in changes:
        getattr(small, change)(key, member)
        getattr(plain.setdefault(key, set()), change)(member)
    assert {key: set(small.get(key)) for key in plain} == plain
    assert all(len(small.get(key)) == len(plain[key]) for key in plain)


@given(CHANGES)
def test_what_is_emptied_takes_no_memory(changes):
    small = SmallSets()
    for change, key, member in changes:
        getattr(small, change)(key, member)
    for _, key, member in changes:
        small.discard(key, member)
    assert not small._members
