from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from callgraph.errors import InputError
from callgraph.records import PodRecord
from stream_processor.object_files import ObjectFiles, read_objects
from stream_processor.settings import AttributionSettings
from tests.kube_objects import BORN, SECOND, a_pod


def write(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return str(path)


def read(objects_file: str, events_file: str = "") -> ObjectFiles:
    return read_objects(objects_file, events_file, cluster="east", attribution=AttributionSettings())


def pods(files: ObjectFiles) -> dict[str, PodRecord]:
    return {each.name: each for each in files.objects if isinstance(each, PodRecord)}


A, B = a_pod("a"), a_pod("b", "10.0.0.6")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps({"kind": "List", "items": [A, B]}),
        json.dumps([A, B]),
        json.dumps(A) + json.dumps(B),
        json.dumps(A, indent=4) + "\n" + json.dumps(B, indent=4) + "\n",
        json.dumps(A) + "\n" + json.dumps(B) + "\n",
        json.dumps({"kind": "List", "items": [A]}) + "\n" + json.dumps({"kind": "List", "items": [B]}),
        gzip.compress(json.dumps([A, B]).encode()),
        json.dumps([A, B]).encode("utf-16"),
    ],
    ids=["list", "array", "side by side", "pretty", "lines", "two lists", "gzip", "utf-16"],
)
def test_objects_are_read_from_every_layout_that_kubectl_and_its_users_make(tmp_path: Path, text: str | bytes):
    files = read(write(tmp_path / "objects.json", text))
    assert sorted(pods(files)) == ["a", "b"]
    assert not files.skipped


def test_items_of_a_typed_list_need_no_kind(tmp_path: Path):
    bare = {name: value for name, value in A.items() if name not in ("kind", "apiVersion")}
    assert sorted(pods(read(write(tmp_path / "pods.json", json.dumps({"kind": "PodList", "items": [bare]}))))) == ["a"]


def test_one_bad_object_is_counted_and_its_neighbours_are_kept(tmp_path: Path):
    bad = {"kind": "Pod", "metadata": {"name": "bad", "uid": 7}}
    other = {"kind": "ConfigMap", "metadata": {"name": "x", "uid": "y"}}
    files = read(write(tmp_path / "o.json", json.dumps([bad, A, other, a_pod("no-uid", uid="")])))
    assert sorted(pods(files)) == ["a"]
    assert files.skipped == {"malformed": 1, "kind_not_used": 1, "without_uid": 1}
    assert "'bad'" in files.examples[0]


def test_a_line_that_is_no_json_is_counted_and_the_lines_around_it_are_kept(tmp_path: Path):
    files = read(write(tmp_path / "o.json", json.dumps(A) + '\n{"kind": "Pod", "metad\n' + json.dumps(B)))
    assert sorted(pods(files)) == ["a", "b"]
    assert files.skipped == {"malformed": 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        (json.dumps([A, B])[:-40], "truncated"),
        ("apiVersion: v1\nkind: List\n", "malformed"),
        ("{}", "no Kubernetes object"),
        ('{"kind": "List", "items": []}', "no Kubernetes object"),
        (b"\x7fELF\x00\xff\xfe", "codec"),
        (b"\x1f\x8bnot gzip after all", "cannot read"),
        ("[" * 100_000, "no Kubernetes object"),
    ],
    ids=["empty", "blank", "truncated", "yaml", "no object", "no items", "binary", "not gzip", "deep"],
)
def test_a_file_that_is_something_else_is_one_sentence_that_names_it(tmp_path: Path, text: str | bytes, expected: str):
    file = write(tmp_path / "wrong.json", text)
    with pytest.raises(InputError, match=r"\)$|cannot read") as failure:
        read(file)
    assert file in str(failure.value)
    assert expected in str(failure.value)
    assert "\n" not in str(failure.value)


def test_a_missing_file_is_one_sentence(tmp_path: Path):
    with pytest.raises(InputError, match=r"cannot read '.*nowhere.json': No such file or directory"):
        read(str(tmp_path / "nowhere.json"))


def test_events_follow_the_objects_and_the_last_word_counts(tmp_path: Path):
    later = a_pod("c", "10.0.0.5")
    events = [
        {"type": "DELETED", "object": A, "observed_at": "2026-01-01T00:10:00Z"},
        {"type": "BOOKMARK", "object": {"kind": "Pod", "metadata": {"resourceVersion": "9"}}},
        {"type": "ADDED", "object": later, "observed_at": BORN + 700 * SECOND},
    ]
    lines = "".join(json.dumps(event) + "\n" for event in events)
    files = read(write(tmp_path / "o.json", json.dumps([A, B])), write(tmp_path / "e.json", lines))
    assert pods(files)["a"].ended_at == BORN + 600 * SECOND
    assert pods(files)["b"].ended_at is None
    assert sorted(pods(files)) == ["a", "b", "c"]


def test_an_event_without_its_own_time_counts_from_the_latest_time_that_it_names(tmp_path: Path):
    gone = a_pod("a", deletionTimestamp="2026-01-01T00:10:30Z")
    gone["status"] |= {
        "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:10:01Z"}]
    }
    events = write(tmp_path / "e.json", json.dumps({"type": "DELETED", "object": gone}))
    files = read(write(tmp_path / "o.json", json.dumps([A])), events)
    assert pods(files)["a"].ended_at == BORN + 601 * SECOND


def test_a_recording_cut_in_the_middle_of_an_event_gives_the_events_before(tmp_path: Path):
    lines = json.dumps({"type": "ADDED", "object": B}) + "\n" + json.dumps({"type": "DELETED", "object": B})[:200]
    files = read(write(tmp_path / "o.json", json.dumps([A])), write(tmp_path / "e.json", lines))
    assert sorted(pods(files)) == ["a", "b"]
    assert files.skipped == {"malformed": 1}


def test_a_file_of_objects_given_as_events_is_refused(tmp_path: Path):
    objects = write(tmp_path / "o.json", json.dumps([A]))
    with pytest.raises(InputError, match="holds no watch event"):
        read(objects, objects)


def test_environment_variables_are_never_kept(tmp_path: Path):
    files = read(write(tmp_path / "o.json", json.dumps([A])))
    assert "hunter2" not in repr(files.objects)
