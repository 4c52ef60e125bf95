from __future__ import annotations

import pytest

from stream_processor.settings import WatchSettings
from stream_processor.watch import (
    LEAST_PAUSE_SECONDS,
    RESOURCES,
    Failure,
    Phase,
    Watch,
    accept_header,
    resource_path,
)

SETTINGS = WatchSettings()
HALF = 0.5
EXPIRED = Failure("event", 410, "too old resource version: 1 (233)")
BY_NAME = {resource.name: resource for resource in RESOURCES}


def synced(version: str = "10") -> Watch:
    watch = Watch(SETTINGS)
    watch.request(jitter=HALF)
    watch.take_bookmark(version, ends_initial_events=True)
    return watch


def paging() -> Watch:
    watch = Watch(SETTINGS)
    watch.request(jitter=HALF)
    watch.fail(Failure("status", 422), jitter=HALF)
    return watch


def test_the_first_request_is_a_streaming_list_with_bookmarks():
    request = Watch(SETTINGS).request(jitter=0)
    assert request.query == {
        "watch": "true",
        "allowWatchBookmarks": "true",
        "timeoutSeconds": "240",
        "sendInitialEvents": "true",
        "resourceVersionMatch": "NotOlderThan",
    }
    assert (request.starts_list, request.read_timeout) == (True, SETTINGS.sync_seconds)


def test_watches_are_renewed_at_different_times():
    seconds = {Watch(SETTINGS).request(jitter=jitter).query["timeoutSeconds"] for jitter in (0.0, 0.5, 0.999)}
    assert seconds == {"240", "270", "299"}


def test_a_synced_watch_goes_on_from_the_version_of_the_last_event():
    watch = synced()
    watch.take_event("12")
    request = watch.request(jitter=0)
    assert request.query["resourceVersion"] == "12"
    assert "sendInitialEvents" not in request.query
    assert not request.starts_list


def test_a_bookmark_moves_the_version_on():
    watch = synced()
    watch.take_bookmark("40", ends_initial_events=False)
    assert watch.request(jitter=0).query["resourceVersion"] == "40"


def test_events_of_the_initial_list_do_not_move_the_version():
    watch = Watch(SETTINGS)
    watch.request(jitter=0)
    watch.take_event("7")
    verdict = watch.fail(Failure("connection"), jitter=HALF)
    assert verdict.action == "resume"
    assert watch.request(jitter=0).starts_list


@pytest.mark.parametrize(
    "refusal",
    [Failure("status", 422), Failure("status", 400), Failure("event", 500), Failure("silence")],
    ids=["422", "400", "500 in the stream", "no end within the sync time"],
)
def test_a_refused_streaming_list_is_not_tried_again(refusal):
    watch = Watch(SETTINGS)
    watch.request(jitter=0)
    assert watch.fail(refusal, jitter=HALF).action == "relist"
    request = watch.request(jitter=0)
    assert (request.watches, request.query, request.starts_list) == (False, {"limit": "500"}, True)
    watch.take_page(version="5", continue_token="")
    watch.fail(EXPIRED, jitter=HALF)
    assert watch.phase is Phase.PAGES


def test_a_bookmark_in_the_middle_of_a_streaming_list_does_not_end_it():
    watch = Watch(SETTINGS)
    watch.request(jitter=0)
    assert not watch.take_bookmark("9", ends_initial_events=False)
    assert watch.phase is Phase.WATCH_LIST


def test_a_server_in_trouble_keeps_its_streaming_list():
    watch = Watch(SETTINGS)
    watch.request(jitter=0)
    assert watch.fail(Failure("status", 500), jitter=HALF).action == "resume"
    assert watch.phase is Phase.WATCH_LIST


def test_a_stream_that_ends_without_the_end_of_the_initial_events_is_no_streaming_list():
    watch = Watch(SETTINGS)
    watch.request(jitter=0)
    watch.end(lived_seconds=240, jitter=HALF)
    assert watch.phase is Phase.PAGES


def test_pages_are_followed_by_their_token_and_the_version_of_the_last_begins_the_watch():
    watch = paging()
    assert not watch.take_page(version="5", continue_token="next")
    request = watch.request(jitter=0)
    assert (request.query, request.starts_list) == ({"limit": "500", "continue": "next"}, False)
    assert watch.take_page(version="5", continue_token="")
    assert watch.request(jitter=0).query["resourceVersion"] == "5"


def test_a_token_that_is_too_old_begins_the_list_anew():
    watch = paging()
    watch.take_page(version="5", continue_token="next")
    watch.fail(Failure("status", 410), jitter=HALF)
    assert watch.request(jitter=0).starts_list


def test_a_page_that_fails_is_asked_for_again():
    watch = paging()
    watch.take_page(version="5", continue_token="next")
    assert watch.fail(Failure("status", 500), jitter=HALF).action == "resume"
    assert watch.request(jitter=0).query["continue"] == "next"


@pytest.mark.parametrize("failure", [EXPIRED, Failure("status", 410), Failure("status", 504)])
def test_a_lost_position_is_relisted(failure):
    watch = synced()
    assert watch.fail(failure, jitter=HALF).action == "relist"
    assert watch.request(jitter=0).starts_list


@pytest.mark.parametrize("failure", [Failure("connection"), Failure("status", 500), Failure("garbled")])
def test_a_broken_watch_resumes_at_its_version(failure):
    watch = synced("33")
    assert watch.fail(failure, jitter=HALF).action == "resume"
    assert watch.request(jitter=0).query["resourceVersion"] == "33"


def test_a_watch_that_fell_silent_resumes_but_one_silent_from_the_start_is_relisted():
    watch = synced()
    watch.request(jitter=0)
    watch.take_event("11")
    assert watch.fail(Failure("silence"), jitter=HALF).action == "resume"
    watch.request(jitter=0)
    assert watch.fail(Failure("silence"), jitter=HALF).action == "relist"


@pytest.mark.parametrize("code", [403, 404])
def test_a_refusal_by_right_is_retried_after_its_own_pause(code):
    assert synced().fail(Failure("status", code), jitter=0.01) == ("denied", SETTINGS.denied_retry_seconds)


def test_a_refused_token_is_read_again_at_once_and_then_with_pauses():
    watch = synced()
    assert watch.fail(Failure("status", 401), jitter=HALF) == ("unauthorized", LEAST_PAUSE_SECONDS)
    pauses = [watch.fail(Failure("status", 401), jitter=HALF).pause for _ in range(8)]
    assert pauses[0] == HALF
    assert pauses[-1] == HALF * SETTINGS.retry_seconds


def test_pauses_grow_with_full_jitter_up_to_the_limit_and_never_to_nothing():
    watch = synced()
    ceilings = [watch.fail(Failure("connection"), jitter=HALF).pause / HALF for _ in range(12)]
    assert ceilings == [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30, 30, 30]
    assert watch.fail(Failure("connection"), jitter=0).pause == LEAST_PAUSE_SECONDS


def test_an_event_ends_the_growth_of_the_pauses():
    watch = synced()
    for _ in range(5):
        watch.fail(Failure("connection"), jitter=HALF)
    watch.take_event("50")
    assert watch.fail(Failure("connection"), jitter=HALF).pause == HALF / 2


def test_a_list_that_always_comes_too_late_does_not_spin():
    watch, pauses = synced(), []
    for _ in range(8):
        pauses.append(watch.fail(EXPIRED, jitter=HALF).pause)
        watch.request(jitter=0)
        watch.phase = Phase.WATCH  # the list came, but no event after it
    assert pauses[-1] == HALF * SETTINGS.retry_seconds


def test_the_servers_own_wish_for_a_pause_is_followed_within_reason():
    assert synced().fail(Failure("status", 429, retry_after=7), jitter=HALF).pause == 7
    assert synced().fail(Failure("status", 503, retry_after=1e9), jitter=HALF).pause == 120


def test_a_stream_that_ends_at_once_is_a_failure_and_one_that_lived_is_not():
    watch = synced()
    assert watch.end(lived_seconds=250, jitter=HALF) == LEAST_PAUSE_SECONDS
    assert [watch.end(lived_seconds=0, jitter=HALF) for _ in range(3)] == [0.25, 0.5, 1.0]


def test_paths_and_shapes_of_the_six_resources():
    assert resource_path(BY_NAME["pods"], None) == "/api/v1/pods"
    assert resource_path(BY_NAME["jobs"], "shop") == "/apis/batch/v1/namespaces/shop/jobs"
    assert resource_path(BY_NAME["nodes"], "shop") == "/api/v1/nodes"
    assert accept_header(BY_NAME["pods"], watches=True) == "application/json"
    assert accept_header(BY_NAME["jobs"], watches=False).startswith("application/json;as=PartialObjectMetadataList;")
