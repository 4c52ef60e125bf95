"""Whose domain an external host is of."""

import pytest

from callgraph.records import Workload
from sink_exporter.graph import EXTERNAL
from sink_exporter.page_names import find_domain
from tests.graphs import workload


def outside(name):
    return Workload(cluster="c", namespace="", kind=EXTERNAL, name=name)


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("api.stripe.com", "stripe.com"),
        ("stripe.com", "stripe.com"),
        ("s3.eu-west-1.amazonaws.com", "amazonaws.com"),
        ("www.shop.co.uk", "shop.co.uk"),
        ("co.uk", "co.uk"),
        ("a.b.io", "b.io"),
        ("203.0.113.7", "203.0.113.7"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
        ("localhost", "localhost"),
    ],
)
def test_hosts_are_grouped_by_their_domain(name, domain):
    assert find_domain(outside(name)) == domain


def test_what_is_in_the_cluster_has_no_domain():
    assert find_domain(workload("api.stripe.com")) == ""
