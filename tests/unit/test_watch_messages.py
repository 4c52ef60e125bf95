from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_processor import watch_messages
from stream_processor.kube_types import KUBE_KINDS, PodJson
from stream_processor.watch import Failure
from stream_processor.watch_messages import Bookmark, Change, LineSplitter, MessageReader, Page, read_status
from tests.kube_objects import a_pod

READER = MessageReader("Pod")


def line(kind: str, obj: object) -> bytes:
    return json.dumps({"type": kind, "object": obj}).encode()


def test_an_event_carries_the_object_and_its_version():
    change = READER.read_line(line("ADDED", a_pod("a", resourceVersion="7")))
    assert isinstance(change, Change)
    assert (change.op, change.version, change.problem) == ("ADDED", "7", "")
    assert isinstance(change.object, PodJson)


@pytest.mark.parametrize(("annotations", "ends"), [({"k8s.io/initial-events-end": "true"}, True), (None, False)])
def test_a_bookmark_tells_whether_the_initial_events_are_over(annotations, ends):
    bookmark = line("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "9", "annotations": annotations}})
    assert READER.read_line(bookmark) == Bookmark("9", ends)


def test_an_error_event_is_a_failure_with_its_code():
    status = {"kind": "Status", "code": 410, "message": "too old resource version: 1 (233)", "reason": "Expired"}
    assert READER.read_line(line("ERROR", status)) == Failure("event", 410, "too old resource version: 1 (233)")


def test_an_object_of_the_wrong_shape_is_a_problem_and_its_version_still_counts():
    change = READER.read_line(line("MODIFIED", a_pod("a", resourceVersion="8", labels=["not", "a", "mapping"])))
    assert isinstance(change, Change)
    assert (change.object, change.version) == (None, "8")
    assert "labels" in change.problem


def test_an_event_type_of_the_future_is_a_problem_and_not_a_change():
    change = READER.read_line(line("MOVED", a_pod("a")))
    assert isinstance(change, Change)
    assert change.object is None
    assert "MOVED" in change.problem


def test_a_page_keeps_the_good_objects_and_names_the_problems_of_the_others():
    body = {"metadata": {"resourceVersion": "5", "continue": "t"}, "items": [a_pod("a"), {"metadata": 7}]}
    page = READER.read_page(json.dumps(body).encode())
    assert isinstance(page, Page)
    assert [each.metadata.name for each in page.objects] == ["a"]
    assert (page.version, page.continue_token, len(page.problems)) == ("5", "t", 1)


def test_a_list_without_items_is_empty():
    assert READER.read_page(b'{"metadata": {"resourceVersion": "5"}, "items": null}') == Page([], "5", "", [])


def test_what_a_proxy_says_in_html_is_quoted():
    failure = read_status(b"<html>Bad Gateway</html>", kind="status", code=502)
    assert failure == Failure("status", 502, "<html>Bad Gateway</html>")


def test_the_longer_of_two_wishes_for_a_pause_counts():
    body = json.dumps({"code": 429, "message": "slow down", "details": {"retryAfterSeconds": 5}}).encode()
    assert read_status(body, kind="status", code=429, retry_after=2).retry_after == 5


@given(st.binary(max_size=300))
def test_any_bytes_give_a_message_or_a_failure(data):
    for kind in KUBE_KINDS:
        assert isinstance(MessageReader(kind).read_line(data), Change | Bookmark | Failure)
        assert isinstance(MessageReader(kind).read_page(data), Page | Failure)


@given(st.lists(st.binary(min_size=1, max_size=40).filter(lambda each: b"\n" not in each and each.strip())), st.data())
def test_lines_do_not_depend_on_how_the_bytes_were_cut(lines, data):
    whole, splitter, found = b"".join(each + b"\n" for each in lines), LineSplitter(), []
    while whole:
        size = data.draw(st.integers(1, len(whole)))
        found += splitter.split(whole[:size])
        whole = whole[size:]
    assert found == lines


def test_a_line_without_end_is_refused():
    splitter = LineSplitter()
    chunk = b"x" * (watch_messages.MAX_LINE_BYTES // 4)
    for _ in range(4):
        assert splitter.split(chunk) == []
    with pytest.raises(OverflowError):
        splitter.split(b"x" * 2)
