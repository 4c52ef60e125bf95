"""The wheel, installed once for each image with the extras of that image only, runs the whole line.

In: the wheel that `uv build` makes of this tree, and the locked versions. Out: the demo's graph, made by processes of
which each has the packages of its own image and no others.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from callgraph.broker import Broker
from callgraph.topics import TOPICS
from tests.deployment.chart import ROOT
from whocalls.child_process import ends_with_parent
from whocalls.drained import await_drained
from whocalls.shop_traffic import write_shop_input

pytestmark = pytest.mark.kafka

GOLDEN = (ROOT / "tests" / "golden" / "demo.txt").read_text(encoding="utf-8")
UV = str(Path(sys.executable).with_name("uv"))
# As the targets of the Dockerfile, which tests/unit/test_deployment.py holds to the same extras.
IMAGES = {"agent": "agent", "replay": "agent,replay", "processor": "processor", "exporter": "exporter"}
FOREIGN = {
    "agent": {"faust-streaming", "aiokafka", "kubernetes", "scapy", "noida-db"},
    "replay": {"faust-streaming", "aiokafka", "kubernetes", "noida-db"},
    "processor": {"scapy", "noida-db"},
    "exporter": {"faust-streaming", "aiokafka", "kubernetes", "scapy", "noida-db"},
}
SECONDS = 120


def uv(*arguments):
    done = subprocess.run(
        [UV, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=600
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dist")
    uv("build", "--quiet", "--wheel", "--out-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def images(wheel, tmp_path_factory):
    """Make an environment for each image; return its `whocalls`."""
    folder, lock = tmp_path_factory.mktemp("images"), ROOT / "requirements.lock"
    for image, extras in IMAGES.items():
        uv("venv", "--quiet", "--python", sys.executable, folder / image)
        source = f"whocalls[{extras}] @ {wheel.as_uri()}"
        uv("pip", "install", "--quiet", "--python", folder / image, "--no-build", "--constraint", lock, source)
    return {image: folder / image / "bin" / "whocalls" for image in IMAGES}


@pytest.fixture
def start(images, kafka_settings, topic_settings, tmp_path):
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "WHOCALLS_CLUSTER": "demo",
        "WHOCALLS_KAFKA_BOOTSTRAP_SERVERS": kafka_settings.bootstrap_servers,
        "WHOCALLS_KAFKA_EMBEDDED": str(kafka_settings.embedded).lower(),
        "WHOCALLS_TOPICS_PREFIX": topic_settings.prefix,
        "WHOCALLS_TOPICS_PARTITIONS": str(topic_settings.partitions),
        "WHOCALLS_PROCESSOR_GROUP": topic_settings.prefix,
        "WHOCALLS_PROCESSOR_LISTEN": "127.0.0.1:0",
        "WHOCALLS_PROCESSOR_LAST_SEEN_SECONDS": "0",
    }
    started = []

    def start(image, *arguments):
        log = (tmp_path / f"{len(started)}.log").open("w+")
        command = ends_with_parent([str(images[image]), *map(str, arguments)])
        process = subprocess.Popen(command, env=environment, cwd=tmp_path, stdout=log, stderr=log)
        started.append((process, log))
        return process

    yield start
    for process, log in reversed(started):
        process.terminate()
        process.wait(30)
        log.close()


def finish(process, folder):
    code = process.wait(SECONDS)
    assert code == 0, [log.read_text()[-2000:] for log in sorted(folder.glob("*.log"))]


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_has_its_own_packages_only(images, image):
    done = subprocess.run(
        [images[image], "version", "-o", "json"], capture_output=True, text=True, check=True, timeout=60
    )
    versions = json.loads(done.stdout)
    assert {name for name, version in versions.items() if version is None} >= FOREIGN[image]
    assert versions["whocalls"]


def test_each_role_from_its_own_image_makes_the_graph_together(start, kafka_settings, topic_settings, tmp_path):
    shop = write_shop_input(tmp_path / "input")
    finish(start("exporter", "topics", "apply"), tmp_path)
    assert {f"{topic_settings.prefix}{topic.name}" for topic in TOPICS} <= Broker(kafka_settings).topics().keys()
    processor = start("processor", "processor")
    ending = [start("processor", "watcher", f"--watcher-objects-file={shop.objects}")]
    for node, capture in shop.captures.items():
        proc = f"--source=proc:{shop.proc_trees[node]}"
        ending.append(start("replay", "agent", f"--agent-node={node}", f"--source=pcap:{capture}", proc))
        ending.append(start("agent", "agent", f"--agent-node={node}", proc))
    for process in ending:
        finish(process, tmp_path)
    await_drained(
        kafka_settings,
        topic_settings,
        group=topic_settings.prefix,
        seconds=SECONDS,
        check=lambda: None if processor.poll() is None else pytest.fail("the processor ended"),
    )
    finish(start("exporter", "exporter", "--once", f"--exporter-out={tmp_path}/out"), tmp_path)
    assert (tmp_path / "out" / "callgraph.txt").read_text(encoding="utf-8") == GOLDEN


@pytest.mark.parametrize(
    ("image", "section"), [("agent", "agent"), ("processor", "rbac"), ("processor", "kafka"), ("exporter", "export")]
)
def test_the_doctor_runs_from_the_images_that_the_chart_runs_it_in(images, image, section, kafka_settings, tmp_path):
    command = [images[image], "doctor", section, "-o", "json", "--wait=0.1", f"--exporter-out={tmp_path}"]
    command += [f"--kafka-bootstrap-servers={kafka_settings.bootstrap_servers}"]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode in (0, 5), done.stderr
    assert {finding["check"].partition(".")[0] for finding in json.loads(done.stdout)} == {section}
