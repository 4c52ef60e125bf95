"""One active watcher by a Lease, against a fake API server."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from stream_processor.kube_client import KubeClient
from stream_processor.lease_keeper import LeaseKeeper
from stream_processor.settings import LeaseSettings, WatcherSettings
from tests.fake_api_server import FakeApiServer
from tests.watching import QUICK, KeptLines, wait_until

SECONDS = 1.0


@pytest.fixture
def server():
    with FakeApiServer() as server:
        yield server


@contextlib.contextmanager
def keeping(
    server: FakeApiServer, folder: Path, identity: str, *, log: KeptLines | None = None, seconds: float = SECONDS
):
    settings = LeaseSettings(name="whocalls", namespace="ops", identity=identity, seconds=seconds)
    client = KubeClient(WatcherSettings(kubeconfig=server.write_kubeconfig(folder), watch=QUICK))
    keeper = LeaseKeeper(client, settings, log=log or KeptLines())
    keeper.start()
    try:
        yield keeper
    finally:
        keeper.stop()


def holder(server: FakeApiServer) -> str:
    return server.store.get("leases", "ops", "whocalls")["spec"]["holderIdentity"]


def take_by_force(server: FakeApiServer, identity: str) -> None:
    lease = server.store.get("leases", "ops", "whocalls")
    server.put(lease | {"spec": lease["spec"] | {"holderIdentity": identity}})


def test_the_first_takes_the_lease_and_the_second_waits_while_it_is_renewed(server, tmp_path):
    with keeping(server, tmp_path, "one") as one:
        wait_until(one.is_held)
        with keeping(server, tmp_path, "two") as two:
            renewals = server.store.revision
            wait_until(lambda: server.store.revision > renewals + 8)  # longer than the Lease lasts
            assert one.is_held()
            assert not two.is_held()


def test_a_holder_that_stops_gives_the_lease_up_at_once(server, tmp_path):
    with keeping(server, tmp_path, "two") as two:
        with keeping(server, tmp_path, "one") as one:
            wait_until(lambda: one.is_held() or two.is_held())
        wait_until(two.is_held)
        assert holder(server) == "two"
    assert holder(server) == ""


def test_a_holder_that_died_is_followed_when_its_lease_has_run_out(server, tmp_path):
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "renewTime": "2026-01-01T00:00:00.000000Z"}
    server.put({"kind": "Lease", "metadata": {"name": "whocalls", "namespace": "ops"}, "spec": spec})
    begun = time.monotonic()
    with keeping(server, tmp_path, "two") as two:
        wait_until(two.is_held)
        assert SECONDS <= time.monotonic() - begun < 2 * SECONDS + 1


def test_a_holder_whose_lease_was_taken_knows_it_at_its_next_renewal(server, tmp_path):
    log = KeptLines()
    with keeping(server, tmp_path, "one", log=log, seconds=4) as one:
        wait_until(one.is_held)
        take_by_force(server, "other")
        wait_until(lambda: not one.is_held(), seconds=1.8)  # renewed each 0.8 s; by itself it would last 2 s more
        wait_until(lambda: log.count("lease_lost") == 1)
        assert holder(server) == "other"


def test_a_holder_cut_off_from_the_server_stops_before_another_may_start(server, tmp_path):
    with keeping(server, tmp_path, "one") as one:
        wait_until(one.is_held)
        server.freeze("*")
        begun = time.monotonic()
        wait_until(lambda: not one.is_held())
        assert time.monotonic() - begun < SECONDS
        server.thaw()
        wait_until(one.is_held)


def test_of_two_that_take_it_in_the_same_moment_one_has_it(server, tmp_path):
    with contextlib.ExitStack() as stack:
        keepers = [stack.enter_context(keeping(server, tmp_path, f"w{n}")) for n in range(4)]
        wait_until(lambda: any(each.is_held() for each in keepers))
        renewals = server.store.revision
        while server.store.revision < renewals + 10:
            assert sum(each.is_held() for each in keepers) <= 1


def test_a_missing_right_is_said_once_with_its_remedy(server, tmp_path):
    server.deny("leases", "get")
    log = KeptLines()
    with keeping(server, tmp_path, "one", log=log) as one:
        wait_until(lambda: server.count("whocalls") >= 3)
        assert not one.is_held()
    assert log.count("lease_refused") == 1
    assert "grant get, create and update" in dict(log.lines)["lease_refused"]["remedy"]
