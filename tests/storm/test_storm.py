"""The storm, and what everybody makes of it. `python -m tests.storm` prints the table."""

from __future__ import annotations

import pytest

from tests.storm.replay import Score, score_all


@pytest.fixture(scope="module")
def scores() -> dict[str, Score]:
    return score_all(seed=1)


def test_no_edge_of_the_storm_is_wrong(scores):
    assert (scores["whocalls"].wrong_edges, scores["whocalls"].wrong_observations) == (0, 0)


def test_true_edges_of_the_storm_are_found(scores):
    assert scores["whocalls"].found_share >= 0.995


@pytest.mark.parametrize("baseline", ["current_state", "last_writer", "five_minutes"])
def test_the_storm_is_one_in_which_the_ways_of_the_field_invent_edges(scores, baseline):
    assert scores[baseline].wrong_edges > 100
