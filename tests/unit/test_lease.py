from __future__ import annotations

import msgspec

from stream_processor.lease import Lease, LeaseMetadata, LeaseSpec, Step, claim, decide, give_up
from stream_processor.settings import LeaseSettings

SETTINGS = LeaseSettings(name="whocalls", namespace="ops", seconds=10)
NOW = 1_767_225_600_123_456_789


def held_by(holder: str | None, **spec: object) -> Lease:
    metadata = LeaseMetadata(name="whocalls", namespace="ops", resource_version="7")
    return Lease(metadata=metadata, spec=LeaseSpec(holder_identity=holder, lease_duration_seconds=10, **spec))


def decided(lease: Lease | None, unchanged_seconds: float = 0) -> Step:
    return decide(lease, me="me", unchanged_seconds=unchanged_seconds, seconds=10)


def test_a_missing_lease_is_created():
    assert decided(None) is Step.CREATE


def test_our_own_lease_is_renewed():
    assert decided(held_by("me"), 1000) is Step.RENEW


def test_a_lease_that_its_holder_renews_is_left_alone():
    assert decided(held_by("other"), 9.9) is Step.WAIT


def test_a_lease_that_was_not_renewed_for_its_duration_is_taken():
    assert decided(held_by("other"), 10) is Step.TAKE


def test_the_holders_longer_duration_counts():
    lease = held_by("other")
    lease = msgspec.structs.replace(lease, spec=msgspec.structs.replace(lease.spec, lease_duration_seconds=60))
    assert decided(lease, 59) is Step.WAIT


def test_a_lease_given_up_is_taken_at_once():
    assert decided(give_up(held_by("other"))) is Step.TAKE
    assert decided(held_by(None)) is Step.TAKE


def test_a_claim_is_written_over_the_version_that_was_seen():
    claimed = claim(held_by("other", lease_transitions=3), Step.TAKE, me="me", settings=SETTINGS, now=NOW)
    assert claimed.metadata.resource_version == "7"
    assert claimed.spec == LeaseSpec(
        holder_identity="me",
        lease_duration_seconds=10,
        acquire_time="2026-01-01T00:00:00.123456Z",
        renew_time="2026-01-01T00:00:00.123456Z",
        lease_transitions=4,
    )


def test_a_renewal_keeps_the_time_of_taking_and_counts_no_transition():
    renewed = claim(
        held_by("me", acquire_time="then", lease_transitions=3), Step.RENEW, me="me", settings=SETTINGS, now=NOW
    )
    assert (renewed.spec.acquire_time, renewed.spec.lease_transitions) == ("then", 3)


def test_a_new_lease_names_itself():
    assert claim(None, Step.CREATE, me="me", settings=SETTINGS, now=NOW).metadata == LeaseMetadata(
        name="whocalls", namespace="ops"
    )
