"""The page as one file: nothing in it can run but its own script, whatever the cluster calls its workloads."""

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest
from hypothesis import given

from sink_exporter.page_assembly import assemble_page, escape_data, join_modules
from sink_exporter.page_json import encode_graph, model_of
from sink_exporter.page_source import read_sources, render_live_page, render_page
from tests.graphs import HOSTILE, graph_of, graphs, workload


class Elements(HTMLParser):
    """The elements of a page with what they hold, as a parser sees them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], {}
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.setdefault(len(self.tags), []).append(data)

    def text_of(self, tag, **attributes):
        for number, (name, found) in enumerate(self.tags, start=1):
            if name == tag and attributes.items() <= found.items():
                return "".join(self.texts.get(number, []))
        raise AssertionError(f"there is no {tag} {attributes}")


@given(graphs)
def test_the_data_reads_back_whatever_the_names(graph):
    page = Elements(render_page(graph).decode())
    data = json.loads(page.text_of("script", id="data"))
    assert data["graph"] == json.loads(
        b"".join(encode_graph(model_of(graph), version="file", live=False, with_evidence=True))
    )
    names = [service[4] for service in data["graph"]["services"]]
    assert set(names) == {end.name for arrow in graph.arrows for end in (arrow.client, arrow.server)}


def test_names_add_no_element():
    plain = Elements(render_page(graph_of((workload("a"), workload("b")))).decode())
    hostile = graph_of(*((workload(f"{name}</script><b>"), workload(name, name)) for name in HOSTILE))
    assert [tag for tag, _ in Elements(render_page(hostile).decode()).tags] == [tag for tag, _ in plain.tags]


@pytest.mark.parametrize("text", [b"</script>", b"<!--<script>", b"]]>", b"&lt;"])
def test_no_character_of_the_data_means_anything_in_html(text):
    escaped = escape_data(json.dumps(text.decode()).encode())
    assert not re.search(rb"[<>&]", escaped)
    assert json.loads(escaped) == text.decode()


@pytest.mark.parametrize(
    ("page", "connect"),
    [(render_page(graph_of()), "'none'"), (render_live_page(has_baseline=False), "'self'")],
    ids=["file", "live"],
)
def test_only_the_pages_own_script_and_style_may_run(page, connect):
    elements = Elements(page.decode())
    policy = next(attributes["content"] for tag, attributes in elements.tags if "http-equiv" in attributes)
    for tag in ("script", "style"):
        text = page.decode().rpartition(f"<{tag}>")[2].partition(f"</{tag}>")[0]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in policy
    assert f"connect-src {connect};" in policy
    assert "unsafe" not in policy


def test_the_page_asks_for_nothing_else():
    page = render_page(graph_of()).decode()
    attributes = [name for tag, found in Elements(page).tags for name in found]
    assert not {"src", "href", "action", "style"} & set(attributes)


def test_the_sources_hold_nothing_that_ends_a_block_or_makes_markup():
    for name, text in read_sources().items():
        if name.endswith((".js", ".css")):
            assert not re.search(
                r"</(script|style)|<!--|innerHTML|outerHTML|insertAdjacent|document\.write|\beval\b", text
            )


def test_the_same_graph_gives_the_same_file():
    pairs = [(workload("a"), workload("b")), (workload("b"), workload("c"))]
    assert render_page(graph_of(*pairs)) == render_page(graph_of(*reversed(pairs)))


def test_a_module_stands_after_those_that_it_imports():
    script = join_modules({"main": 'import { a } from "./other.js";\na();\n', "other": "export function a() {}\n"})
    assert script.index("function a") < script.index("const { a } = module_other;") < script.index("a();")
    assert "return { a };" in script


@pytest.mark.parametrize(
    ("modules", "reason"),
    [
        ({"main": 'import { a } from "./gone.js";\n'}, "no module 'gone'"),
        ({"main": 'import { a } from "./b.js";\n', "b": 'import { c } from "./main.js";\n'}, "circle"),
    ],
)
def test_modules_that_cannot_be_joined_are_refused(modules, reason):
    with pytest.raises(ValueError, match=reason):
        join_modules(modules)


def test_data_with_braces_is_not_taken_for_a_place_to_fill():
    sources = {"index.html": "<p>{{data}}</p>", "main.js": ""}
    assert assemble_page(sources, b'"{{script}}"', live=False) == b'<p>"{{script}}"</p>'
