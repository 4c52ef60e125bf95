"""Who may read the page."""

import pytest

from callgraph.errors import ConfigurationError
from sink_exporter.page_access import has_token, is_known_host, parse_listen


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:8080", "127.0.0.1:8080", "[::1]:80", "10.0.0.7", "map.corp:80"]
)
def test_addresses_localhost_and_listed_names_are_known(host):
    assert is_known_host(host, ("map.corp",))


@pytest.mark.parametrize(
    "host", ["", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example"]
)
def test_a_name_that_somebody_could_rebind_is_not(host):
    assert not is_known_host(host, ("map.corp",))


@pytest.mark.parametrize(
    ("header", "token", "passes"),
    [
        ("", "", True),
        ("Bearer t", "t", True),
        ("Bearer x", "t", False),
        ("", "t", False),
        ("Bearer \u00e9", "t", False),
    ],
)
def test_the_token_is_asked_for_where_there_is_one(header, token, passes):
    assert has_token(header, token) is passes


def test_an_address_to_listen_on_has_host_and_port():
    assert parse_listen("127.0.0.1:8080") == ("127.0.0.1", 8080)
    assert parse_listen("[::1]:0") == ("::1", 0)


@pytest.mark.parametrize("listen", ["", "8080", ":8080", "x:y", "x:70000"])
def test_what_is_no_address_to_listen_on_is_refused(listen):
    with pytest.raises(ConfigurationError, match=r"page\.listen"):
        parse_listen(listen)
