"""What was seen a moment ago, in bounded memory."""

from capture_agent.sightings import MAX_SIGHTINGS, WINDOW_NANOSECONDS, Sightings


def test_key_is_first_once_within_the_window():
    sightings = Sightings()
    assert [sightings.is_first("a", at) for at in (0, 1, WINDOW_NANOSECONDS)] == [True, False, False]


def test_window_reaches_over_its_own_turn():
    sightings = Sightings()
    sightings.is_first("x", 0)
    assert sightings.is_first("a", WINDOW_NANOSECONDS - 1)
    assert not sightings.is_first("a", WINDOW_NANOSECONDS + 1)


def test_key_is_forgotten_after_two_windows():
    sightings = Sightings()
    sightings.is_first("a", 0)
    assert sightings.is_first("a", 2 * WINDOW_NANOSECONDS + 1)


def test_memory_is_bounded_and_the_latest_keys_are_known():
    sightings = Sightings()
    for key in range(3 * MAX_SIGHTINGS):
        sightings.is_first(key, 0)
    assert len(sightings._current) + len(sightings._previous) <= 2 * MAX_SIGHTINGS
    assert not sightings.is_first(3 * MAX_SIGHTINGS - 1, 0)
    assert sightings.is_first(0, 0)
