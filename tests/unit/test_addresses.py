"""One spelling for each address."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgraph.addresses import canonical_address, is_silent


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("2001:DB8:0:0:0:0:0:1", "2001:db8::1"),
        ("2001:db8::0001", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("::ffff:0a00:0001", "10.0.0.1"),
        ("::", "::"),
    ],
)
def test_address_has_one_spelling(text, canonical):
    assert canonical_address(text) == canonical


@pytest.mark.parametrize("text", ["", "10.0.0", "10.0.0.256", "cart", "10.0.0.1/24", "010.0.0.1", "1", "::g"])
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ValueError, match="address"):
        canonical_address(text)


@given(st.ip_addresses().map(str))
def test_canonical_form_is_its_own_canonical_form(text):
    assert canonical_address(canonical_address(text)) == canonical_address(text)


@given(st.ip_addresses(v=6))
def test_every_spelling_of_an_address_is_one(address):
    assert canonical_address(address.exploded.upper()) == canonical_address(str(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "127.0.0.1",
        "127.255.0.9",
        "169.254.169.254",
        "224.0.0.251",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "ff02::fb",
    ],
)
def test_addresses_that_name_no_other_workload_are_silent(address):
    assert is_silent(address)


@pytest.mark.parametrize("address", ["10.0.0.1", "8.8.8.8", "100.64.0.1", "fd00::1", "2001:db8::1", "240.0.0.1"])
def test_addresses_of_pods_services_and_the_world_are_not_silent(address):
    assert not is_silent(address)


@given(st.ip_addresses(v=4))
def test_mapped_address_is_as_silent_as_what_it_maps(address):
    mapped = canonical_address(f"::ffff:{ipaddress.ip_address(address)}")
    assert is_silent(mapped) == is_silent(str(address))
