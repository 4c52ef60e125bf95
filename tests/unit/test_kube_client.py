from __future__ import annotations

import json

import pytest

from callgraph.errors import ConfigurationError
from stream_processor.kube_client import KubeClient
from stream_processor.settings import WatcherSettings

CONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "here",
    "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u", "namespace": "shop"}}],
    "clusters": [{"name": "c", "cluster": {"server": "https://api.example:6443"}}],
    "users": [{"name": "u", "user": {"token": "secret"}}],
}


def test_a_kubeconfig_gives_the_server_and_the_namespace_of_its_context(tmp_path):
    file = tmp_path / "config"
    file.write_text(json.dumps(CONFIG))
    client = KubeClient(WatcherSettings(kubeconfig=str(file)))
    assert (client.host, client.context_namespace) == ("https://api.example:6443", "shop")


@pytest.mark.parametrize(
    ("text", "context"),
    [
        (None, ""),
        ("", ""),
        ("{ not yaml", ""),
        ("- a list", ""),
        ("a word", ""),
        (json.dumps(CONFIG), "elsewhere"),
        (json.dumps(CONFIG | {"clusters": []}), ""),
        (json.dumps(CONFIG | {"contexts": None}), ""),
    ],
    ids=["missing", "empty", "not yaml", "list", "word", "unknown context", "no cluster", "no contexts"],
)
def test_a_kubeconfig_of_no_use_is_one_sentence_that_names_it(tmp_path, text, context):
    file = tmp_path / "config"
    if text is not None:
        file.write_text(text)
    with pytest.raises(ConfigurationError) as failure:
        KubeClient(WatcherSettings(kubeconfig=str(file), context=context))
    assert str(file) in str(failure.value)
    assert "watcher.kubeconfig" in str(failure.value)
    assert "\n" not in str(failure.value)
