"""The fake API server answers as a real one did, exchange by exchange."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import urllib3

from tests.fake_api_server import FakeApiServer

FOLDER = os.environ.get("WHOCALLS_CONFORMANCE") or Path(__file__).parents[3] / "shared" / "conformance"
RECORDED = Path(FOLDER) / "kube_exchanges.json"
EXCHANGES = json.loads(RECORDED.read_text())["exchanges"] if RECORDED.exists() else []
ADMIN, NOBODY = "token-of-admin", "token-of-noperm"

pytestmark = pytest.mark.skipif(not EXCHANGES, reason=f"the recorded exchanges are not at {RECORDED}")


def recorded(*, stream):
    return [pytest.param(each, id=each["name"]) for each in EXCHANGES if ("stream" in each["response"]) is stream]


@pytest.fixture
def server():
    with FakeApiServer() as server:
        server.switches.users = {ADMIN: "admin", NOBODY: "noperm"}
        server.switches.future_seconds = 0.05
        for verb in ("list", "watch"):
            server.deny("nodes", verb)  # so that a denial is by resource, not of everything
        yield server


def objects_before(exchange):
    """The pods as recorded up to here: `list-three`, then what later answers show of them."""
    found = {}
    for each in EXCHANGES[: EXCHANGES.index(exchange) + 1]:
        for item in (each["response"].get("body") or {}).get("items", []):
            if "status" in item:
                found[item["metadata"]["name"]] = {"kind": "Pod", "apiVersion": "v1", **item}
    return [] if exchange["name"] == "list-empty" else list(found.values())


def revision_of(exchange):
    text = json.dumps(exchange["response"])
    if "current: 21585" in text:
        return 21585
    listed = (exchange["response"].get("body") or {}).get("metadata", {}).get("resourceVersion")
    return int(listed or 21585)


def ask(server, exchange):
    request = exchange["request"]
    token = {"unauthorized": "wrong", "list-forbidden": NOBODY, "watch-forbidden": NOBODY}.get(exchange["name"], ADMIN)
    if token == NOBODY:
        server.deny("pods")
    with urllib3.PoolManager() as pool:
        response = pool.request(
            request["method"],
            f"http://127.0.0.1:{server.port}{request['path']}",
            headers={
                "Accept": request["accept"],
                "Authorization": f"Bearer {token}",
                "Content-Type": "application/json",
            },
            body=json.dumps(request["body"]) if request.get("body") else None,
            retries=False,
            timeout=10,
        )
        return response.status, response.headers, response.data


@pytest.mark.parametrize("exchange", recorded(stream=False))
def test_an_answer_is_the_recorded_one(server, exchange):
    server.store.load(objects_before(exchange), revision=revision_of(exchange))
    status, headers, body = ask(server, exchange)
    expected = exchange["response"]
    assert status == expected["status"]
    for name in ("Content-Type", "Cache-Control", "Retry-After"):
        assert headers.get(name) == expected["headers"].get(name)
    assert json.loads(body) == expected["body"]


@pytest.mark.parametrize(
    "exchange",
    [each for each in recorded(stream=True) if each.id not in ("watch-lifecycle", "watch-label-selector-leave")],
)
def test_a_watch_of_what_is_there_says_what_the_recorded_one_said(server, exchange):
    server.store.load(objects_before(exchange), revision=21585)
    if exchange["name"] == "watch-rv-too-old":
        server.store.revision = 21304
        server.store.forget_history()
    status, headers, body = ask(server, exchange)
    expected = exchange["response"]
    assert status == expected["status"]
    assert headers["Content-Type"] == expected["headers"]["Content-Type"]
    assert [json.loads(line) for line in body.splitlines()] == [each["event"] for each in expected["stream"]]


@pytest.mark.parametrize("name", ["watch-lifecycle", "watch-label-selector-leave"])
def test_a_watch_of_changes_says_what_the_recorded_one_said(server, name):
    exchange = next(each for each in EXCHANGES if each["name"] == name)
    expected = [each["event"] for each in exchange["response"]["stream"] if each["event"]["type"] != "BOOKMARK"]
    server.store.load(objects_before(exchange), revision=int(exchange["request"]["path"].split("Version=")[1][:5]))
    for event in expected:
        replay(server, event, is_selected="labelSelector" in exchange["request"]["path"])
    _, _, body = ask(server, exchange)
    said = [json.loads(line) for line in body.splitlines()]
    assert [each for each in said if each["type"] != "BOOKMARK"] == expected


def replay(server, event, *, is_selected):
    """Make the change that the recorded server saw; leaving a selector is a change of labels, not a deletion."""
    pod = event["object"]
    server.store.revision = int(pod["metadata"]["resourceVersion"]) - 1
    if event["type"] != "DELETED":
        server.put(pod)
    elif is_selected:
        server.put(pod | {"metadata": pod["metadata"] | {"labels": {"sel": "b"}}})
    else:
        server.remove("pods", pod["metadata"]["name"], namespace="gold")
