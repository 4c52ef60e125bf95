"""The watch over TLS: what is asked of the connection under it must work there too."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from callgraph.errors import UnreachableError
from stream_processor.kube_client import KubeClient, wait_until_reachable
from stream_processor.settings import WatcherSettings
from tests.fake_api_server import FakeApiServer
from tests.kube_objects import a_pod
from tests.watcher_processes import WatcherProcess
from tests.watching import QUICK, wait_until, watch

pytestmark = pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl, to make a certificate")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=fake"
    command += " -addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out cert.pem"
    subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    both = folder / "both.pem"
    both.write_bytes((folder / "key.pem").read_bytes() + (folder / "cert.pem").read_bytes())
    return both


@pytest.fixture
def server(certificate):
    with FakeApiServer(certificate=certificate) as server:
        server.switches.users = {"secret": "watcher"}
        yield server


def test_lists_watches_and_watermarks_work_over_tls_with_a_token(server, tmp_path):
    with watch(server, tmp_path, token="secret") as watching:
        watching.wait_for_watermark()
        server.put(a_pod("a"))
        watching.wait_for("a")
        watching.wait_for_watermark(after=time.time_ns())


def test_a_cut_tls_connection_is_resumed(server, tmp_path):
    with watch(server, tmp_path, token="secret") as watching:
        watching.wait_for_watermark()
        server.cut("pods")
        server.put(a_pod("a"))
        watching.wait_for("a")
        watching.wait_for_watermark(after=time.time_ns())


def test_a_frozen_tls_watch_is_given_up_after_the_silence(server, tmp_path):
    server.switches.bookmark_seconds = 0.2
    quick = {name: getattr(QUICK, name) for name in QUICK.__struct_fields__} | {"silence_seconds": 1.0}
    with watch(server, tmp_path, token="secret", watch=type(QUICK)(**quick)) as watching:
        watching.wait_for_watermark()
        server.freeze("pods")
        wait_until(lambda: watching.log.count("watch_failed") >= 1)
        server.thaw()
        watching.wait_for_watermark(after=time.time_ns())


def test_a_server_with_an_unknown_certificate_is_not_talked_to(server, tmp_path):
    kubeconfig = Path(server.write_kubeconfig(tmp_path, token="secret"))
    text = kubeconfig.read_text().replace('"certificate-authority"', '"comment"')
    kubeconfig.write_text(text)
    client = KubeClient(WatcherSettings(kubeconfig=str(kubeconfig), watch=QUICK))
    with pytest.raises(UnreachableError, match="certificate verify failed"):
        wait_until_reachable(client, 0.5)
    assert server.asked == []


@pytest.mark.root
@pytest.mark.kafka
@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root and unshare(1), for mounts")
def test_in_a_pod_the_service_account_is_used_and_its_new_token_read_when_the_old_is_refused(
    server, certificate, kafka_settings, topic_settings, monkeypatch, tmp_path
):
    account = tmp_path / "account"
    account.mkdir()
    (account / "namespace").write_text("ops")
    (account / "token").write_text("secret")
    (account / "ca.crt").write_bytes(certificate.read_bytes())
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(server.port))
    where = {"kafka": kafka_settings, "topics": topic_settings}
    with WatcherProcess("", tmp_path / "w.log", pod=account, lease_name="whocalls", **where) as watcher:
        wait_until(lambda: watcher.lines("inventory_synced"), seconds=20)
        assert server.store.get("leases", "ops", "whocalls")
        server.put(a_pod("a"))
        server.switches.users = {"renewed": "watcher"}
        (account / "token").write_text("renewed\n")
        server.cut()
        wait_until(lambda: len(watcher.lines("watch_recovered")) >= 6, seconds=20)
