"""The page's server over real sockets: what it answers, to whom, and how it ends."""

import gzip
import json
import subprocess
import sys

import pytest

from sink_exporter.graph_files import parse_graph
from sink_exporter.render_json import render_json
from tests.page.serving import ServeProcess
from tests.sample_cluster import sample_graph


@pytest.fixture(scope="module")
def graph_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("graph") / "graph.json"
    path.write_text(render_json(sample_graph()))
    return path


@pytest.fixture(scope="module")
def served(graph_file, tmp_path_factory):
    process = ServeProcess(tmp_path_factory.mktemp("serve"), f"--input={graph_file}", "--page-hosts=map.corp").start()
    yield process
    assert process.stop() == 0


def test_the_graph_is_compressed_and_has_a_tag_that_saves_reading_it_again(served):
    status, headers, body = served.get("api/v1/graph", Accept_Encoding="gzip")
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    graph = json.loads(gzip.decompress(body))
    assert (graph["schema"], len(graph["arrows"])) == ("page-graph.v1", 42)
    assert served.get("api/v1/graph")[2] == gzip.decompress(body)
    assert served.get("api/v1/graph", If_None_Match=headers["ETag"])[0::2] == (304, b"")


def test_the_evidence_of_an_edge_is_found_by_the_ids_of_its_ends(served):
    graph = json.loads(served.get("api/v1/graph")[2])
    client, server = graph["arrows"][0][:2]
    status, _, body = served.get(f"api/v1/edges/{graph['services'][client][0]}.{graph['services'][server][0]}")
    assert status == 200
    assert json.loads(body)["observations"] == 421


@pytest.mark.parametrize("path", ["api/v1/edges/x.y", "api/v1/export/nothing", "api/v1/baseline", "favicon", "../etc"])
def test_what_is_not_there_is_said_to_be_not_there(served, path):
    assert served.get(path)[0] == 404


@pytest.mark.parametrize("form", ["json", "yaml", "text", "csv", "mermaid", "dot", "html"])
def test_every_export_is_a_file_to_keep(served, form):
    status, headers, body = served.get(f"api/v1/export/{form}")
    assert status == 200
    assert headers["Content-Disposition"].startswith('attachment; filename="')
    assert body
    if form == "json":
        assert parse_graph(body, "export") == sample_graph()


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "localhost.evil.example"])
def test_a_name_that_is_not_ours_is_refused_for_every_path(served, host):
    assert {served.get(path, Host=host)[0] for path in ("", "api/v1/graph", "healthz", "metrics")} == {421}


@pytest.mark.parametrize("host", ["map.corp", "localhost:1", "127.0.0.1", "[::1]:9"])
def test_our_own_names_are_answered(served, host):
    assert served.get("api/v1/graph", Host=host)[0] == 200


def test_another_site_in_the_same_browser_reads_nothing(served):
    assert served.get("api/v1/graph", Sec_Fetch_Site="cross-site")[0] == 403
    assert not any(name.lower().startswith("access-control") for name in served.get("api/v1/graph")[1])


def test_every_answer_forbids_framing_and_sniffing(served):
    for path in ("", "api/v1/graph", "nothing"):
        headers = served.get(path)[1]
        assert (headers["X-Frame-Options"], headers["X-Content-Type-Options"]) == ("DENY", "nosniff")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_written(served, method):
    assert served.ask(method, "api/v1/graph") == 405


def test_health_readiness_and_metrics_are_there(served):
    assert served.get("healthz")[2] == b"ok\n"
    assert served.get("readyz")[2] == b"ok\n"
    assert served.metric("whocalls_page_edges") == 42
    assert served.metric("whocalls_page_followers") == 0


def test_a_token_is_needed_for_data_and_only_for_data(graph_file, tmp_path):
    process = ServeProcess(tmp_path, f"--input={graph_file}", "--page-token=secret").start()
    paths = ("api/v1/graph", "api/v1/events", "api/v1/export/json", "api/v1/edges/x")
    assert [process.get(path)[0] for path in paths] == [401] * 4
    assert process.get("api/v1/graph", Authorization="Bearer wrong")[0] == 401
    assert process.get("api/v1/graph", Authorization="Bearer secret")[0] == 200
    assert process.get("")[0] == 200
    assert process.stop() == 0


def test_what_the_graph_is_compared_to_is_served_beside_it(graph_file, tmp_path):
    process = ServeProcess(tmp_path, f"--input={graph_file}", f"--baseline={graph_file}").start()
    assert len(json.loads(process.get("api/v1/baseline")[2])["arrows"]) == 42
    assert b'"baseline":true' in process.get("")[2]
    assert process.stop() == 0


def test_a_taken_port_is_one_sentence(served, graph_file):
    ended = serve_in_vain(graph_file, f"127.0.0.1:{served.port}")
    assert ended.returncode == 1
    assert f"cannot listen on page.listen '127.0.0.1:{served.port}': " in ended.stderr
    assert "(choose another port)" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_address_that_is_none_is_refused(graph_file):
    ended = serve_in_vain(graph_file, "8080")
    assert ended.returncode == 2
    assert ended.stderr == "whocalls: page.listen is '8080', not HOST:PORT (127.0.0.1:8080)\n"


def serve_in_vain(graph_file, listen):
    command = [sys.executable, "-m", "whocalls", "serve", f"--input={graph_file}", f"--page-listen={listen}"]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
