import socket

import pytest

from callgraph.errors import ConfigurationError, PortTakenError
from stream_processor.status_page import bind


@pytest.mark.parametrize("listen", ["", "6066", "localhost:", "localhost:http", ":6066"])
def test_an_address_that_is_none_is_one_sentence(listen):
    with pytest.raises(ConfigurationError, match=r"processor\.listen is '"):
        bind(listen)


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "[::1]:0"])
def test_both_families_are_bound(listen):
    with bind(listen) as listener:
        assert listener.getsockname()[1] > 0


def test_a_taken_port_is_one_sentence():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(PortTakenError, match="choose another port"):
            bind(f"127.0.0.1:{taken.getsockname()[1]}")


def test_an_address_that_is_not_ours_is_one_sentence():
    with pytest.raises(PortTakenError, match=r"cannot listen on processor\.listen '192\.0\.2\.1:6066'"):
        bind("192.0.2.1:6066")
