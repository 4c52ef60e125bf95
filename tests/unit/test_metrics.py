"""The declarations of the metrics keep the rules of the exposition format and our own."""

from __future__ import annotations

import re

import pytest

from callgraph.metrics import METRICS, escape_label

# Each of these has as many values as the cluster has pods or names.
UNBOUNDED = {"address", "client", "server", "pod", "namespace", "name", "dns_name", "workload", "uid", "ip"}


def test_every_metric_is_declared_once():
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_name_says_whose_metric_it_is(metric):
    assert re.fullmatch(rf"whocalls_{metric.program}_[a-z_]+", metric.name)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_counters_and_only_they_end_in_total(metric):
    assert metric.name.endswith("_total") == (metric.kind == "counter")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_labels_are_bounded(metric):
    assert not UNBOUNDED & set(metric.labels)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_metric_says_what_it_counts(metric):
    assert metric.about.endswith(".")


@pytest.mark.parametrize(
    ("value", "escaped"), [("plain", "plain"), ('a"b', r"a\"b"), ("a\\b", r"a\\b"), ("a\nb", r"a\nb"), ("\\n", r"\\n")]
)
def test_label_values_are_escaped(value, escaped):
    assert escape_label(value) == escaped
