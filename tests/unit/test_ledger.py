from hypothesis import given
from hypothesis import strategies as st

from stream_processor.ledger import Ledger

PARTITION = ("raw", 3)


def test_a_finished_record_waits_for_the_one_before_it():
    ledger = Ledger()
    first = ledger.open(PARTITION, 10, "ten")
    second = ledger.open(PARTITION, 11, "eleven")
    assert ledger.settle(second) == []
    assert ledger.settle(first) == ["ten", "eleven"]


def test_the_oldest_open_record_is_known_until_it_is_finished():
    ledger = Ledger()
    first = ledger.open(PARTITION, 10, "ten")
    second = ledger.open(PARTITION, 11, "eleven")
    ledger.settle(second)
    assert (ledger.oldest(PARTITION), ledger.oldest(("raw", 4))) == ("ten", None)
    ledger.settle(first)
    assert ledger.oldest(PARTITION) is None


def test_partitions_do_not_wait_for_each_other():
    ledger = Ledger()
    ledger.open(PARTITION, 10, "held")
    other = ledger.open(("raw", 4), 5, "free")
    assert ledger.settle(other) == ["free"]


def test_a_record_is_finished_when_all_its_parts_are():
    ledger = Ledger()
    entry = ledger.open(PARTITION, 10, "ten", parts=3)
    assert ledger.settle(entry, 2) == []
    assert ledger.settle(entry) == ["ten"]


def test_a_second_delivery_of_an_offset_is_not_entered():
    ledger = Ledger()
    entry = ledger.open(PARTITION, 10, "ten")
    assert ledger.open(PARTITION, 10, "ten again") is None
    ledger.settle(entry)
    assert ledger.open(PARTITION, 9, "an older one") is None


def test_the_floor_is_the_oldest_open_offset():
    ledger = Ledger()
    first = ledger.open(PARTITION, 10, "ten")
    second = ledger.open(PARTITION, 12, "twelve")
    ledger.settle(second)
    assert ledger.floor(PARTITION) == 10
    ledger.settle(first)
    assert ledger.floor(PARTITION) is None


def test_everything_is_finished_up_to_the_floor_or_past_the_last_taken():
    ledger = Ledger()
    assert ledger.finished(PARTITION) is None
    entry = ledger.open(PARTITION, 10, "ten")
    assert ledger.finished(PARTITION) == 10
    ledger.settle(entry)
    assert ledger.finished(PARTITION) == 11


@given(st.permutations(range(8)))
def test_in_whatever_order_records_finish_they_are_released_in_theirs(order):
    ledger = Ledger()
    entries = [ledger.open(PARTITION, offset, offset) for offset in range(8)]
    released = [handle for index in order for handle in ledger.settle(entries[index])]
    assert released == list(range(8))
