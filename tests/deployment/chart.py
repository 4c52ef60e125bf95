"""The chart as the tests see it: value sets, rendered objects, and the files that are written from the code.

In: charts/whocalls and the vocabulary. Out: parsed Kubernetes objects by value set, golden text, JSON schema. Shell:
reads files, and Helm's Go engine through helm-python-sdk (no cluster, no network).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import helm_python
import msgspec
import yaml

from callgraph.settings import TopicSettings
from callgraph.topics import TOPICS, topic_config
from stream_processor.settings import ProcessorSettings
from whocalls.configuration import Settings

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "whocalls"
VALUE_SETS = Path(__file__).parent / "values"
GOLDEN = Path(__file__).parent / "golden"
NAMESPACE = "whocalls"
MINIMAL = {"config": {"kafka": {"bootstrap_servers": "kafka:9092"}}}
"""The least values that render."""

# In these keys the chart knows better, or they must never reach a ConfigMap.
_NOT_IN_A_CHART = (("kafka", "sasl", "password"), ("kafka", "embedded"), ("page", "token"))


def value_set_names() -> list[str]:
    return sorted(path.stem for path in VALUE_SETS.glob("*.yaml"))


def read_values(name: str) -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((VALUE_SETS / f"{name}.yaml").read_text(encoding="utf-8"))
    return values


@cache
def chart() -> helm_python.Chart:
    return helm_python.Chart.load(str(CHART))


def render(values: dict[str, Any], *, kube_version: str = "") -> dict[str, str]:
    """Render for a release `whocalls` in the namespace `whocalls`; template path to text."""
    wanted = values | ({"kubeVersion": kube_version} if kube_version else {})
    return chart().render(wanted, name="whocalls", namespace=NAMESPACE, is_install=True)


def objects(values: dict[str, Any], *, kube_version: str = "") -> list[dict[str, Any]]:
    """Render and parse every object; the notes are no object."""
    rendered = render(values, kube_version=kube_version)
    texts = [text for path, text in sorted(rendered.items()) if not path.endswith("NOTES.txt")]
    return [document for text in texts for document in yaml.safe_load_all(text) if document]


def pod_specs(kube_objects: list[dict[str, Any]]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the role and the pod spec of each workload."""
    for kube_object in kube_objects:
        if template := pod_template(kube_object):
            yield template["metadata"]["labels"]["app.kubernetes.io/component"], template["spec"]


def pod_template(kube_object: dict[str, Any]) -> dict[str, Any] | None:
    """Return metadata and spec of the pods that an object is or makes."""
    if kube_object["kind"] == "Pod":
        return kube_object
    if kube_object["kind"] == "CronJob":
        kube_object = kube_object["spec"]["jobTemplate"]
    template: dict[str, Any] | None = kube_object.get("spec", {}).get("template")
    return template


@cache
def rendered(name: str) -> list[dict[str, Any]]:
    """Render a value set and parse its objects."""
    return objects(read_values(name))


def of_kind(kube_objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    """Keep the objects of some kinds."""
    return [kube_object for kube_object in kube_objects if kube_object["kind"] in kinds]


def containers(name: str) -> list[tuple[str, dict[str, Any]]]:
    """List role and container of every pod of a value set."""
    return [(role, container) for role, pod in pod_specs(rendered(name)) for container in pod["containers"]]


def golden_text(name: str) -> str:
    """Put all that a value set renders, notes included, into one text."""
    rendered = render(read_values(name))
    return "".join(f"# -- {path}\n{text.strip()}\n\n" for path, text in sorted(rendered.items()) if text.strip())


def config_schema() -> dict[str, Any]:
    """Describe `config:` as the programs' own settings do, without references, so that every Helm understands it."""
    generated = msgspec.json.schema(Settings)
    schema = _inline(generated, generated["$defs"])
    for path in _NOT_IN_A_CHART:
        parent = schema
        for part in path[:-1]:
            parent = parent["properties"][part]
        parent["properties"].pop(path[-1])
    kafka = schema["properties"]["kafka"]
    kafka["required"] = ["bootstrap_servers"]
    kafka["properties"]["bootstrap_servers"]["minLength"] = 1
    schema["required"] = ["kafka"]
    result: dict[str, Any] = schema
    return result


def values_schema() -> str:
    """Return values.schema.json with the part of `config:` as the settings are now."""
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    schema["properties"]["config"] = config_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def topics_file() -> str:
    """Return files/topics.yaml: the topics as the programs make them, for Strimzi's objects."""
    defaults = TopicSettings()
    content = {
        "defaults": {
            "prefix": defaults.prefix,
            "partitions": defaults.partitions,
            "replication_factor": defaults.replication_factor,
            "group": ProcessorSettings().group,
        },
        "topics": [
            {"name": topic.name, "partitions": topic.partitions, "config": topic_config(topic)} for topic in TOPICS
        ],
    }
    return "# Written from callgraph/topics.py by tests/deployment/regenerate.py.\n" + yaml.safe_dump(
        content, sort_keys=False, width=120
    )


def _inline(node: Any, definitions: dict[str, Any]) -> Any:
    """Replace references by what they stand for; defaults and titles stay in the code."""
    if isinstance(node, list):
        return [_inline(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if reference := node.get("$ref"):
        return _inline(definitions[reference.rpartition("/")[2]], definitions)
    dropped = ("default", "title", "$defs")
    return {
        key: {name: _inline(child, definitions) for name, child in value.items()}
        if key == "properties"
        else _inline(value, definitions)
        for key, value in node.items()
        if key not in dropped and value != []
    }
