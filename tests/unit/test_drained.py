"""Which answers of a broker mean "not yet", and which mean never."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException

from callgraph.errors import WhocallsError
from whocalls.drained import _await_stage, is_passing


class GroupOfFreshBroker:
    """A consumer whose coordinator answers only after some refusals; the group has finished all."""

    def __init__(self, *refusals):
        self._refusals = list(refusals)

    def list_topics(self, **_):
        return type("Metadata", (), {"topics": {"t": type("Topic", (), {"partitions": {0: None}})}})

    def committed(self, partitions, **_):
        if self._refusals:
            raise KafkaException(KafkaError(self._refusals.pop(0)))
        for partition in partitions:
            partition.offset = 3
        return partitions

    def get_watermark_offsets(self, *_, **__):
        return 0, 3


@pytest.mark.parametrize("code", [KafkaError.NOT_COORDINATOR, KafkaError.COORDINATOR_LOAD_IN_PROGRESS])
def test_coordinator_that_is_still_loading_is_asked_again(code):
    group = GroupOfFreshBroker(code, code)
    assert _await_stage(group, ["t"], deadline=float("inf"), check=lambda: None) == 3


def test_coordinator_that_never_comes_is_said_when_the_time_is_over():
    group = GroupOfFreshBroker(*[KafkaError.NOT_COORDINATOR] * 3)
    with pytest.raises(WhocallsError, match=r"^how far the processor is cannot be asked yet: Broker: Not coordinator"):
        _await_stage(group, ["t"], deadline=0, check=lambda: None)


def test_refused_group_is_one_sentence_at_once():
    group = GroupOfFreshBroker(KafkaError.GROUP_AUTHORIZATION_FAILED)
    with pytest.raises(
        WhocallsError, match=r"^cannot ask how far the processor is: Broker: Group authorization failed"
    ):
        _await_stage(group, ["t"], deadline=float("inf"), check=lambda: None)


def test_denied_rights_do_not_pass_by_waiting():
    assert not is_passing(KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED))
