"""What benchmarks make of what they measured, and what the regression gate says to it."""

import pytest

from benchmarks.gate import TOLERATED, complain
from benchmarks.report import gather, summarize

REFERENCE = {"fold": 40.0, "parse_dns": 0.02}


def test_figure_of_several_rounds_is_their_median_with_its_ends():
    figures, spread = summarize({"ours": {"seconds": [3.0, 1.0, 2.0], "edges": 7}})
    assert figures == {"ours": {"seconds": 2.0, "edges": 7}}
    assert spread == {"ours": {"seconds": [1.0, 3.0]}}


def test_one_round_has_no_spread():
    figures, spread = summarize(gather({"ours": [{"seconds": 3.0}]}))
    assert (figures, spread) == ({"ours": {"seconds": 3.0}}, {})


def test_rounds_are_gathered_by_figure():
    assert gather({"ours": [{"a": 1.0, "b": 2.0}, {"a": 3.0, "b": 4.0}]}) == {
        "ours": {"a": [1.0, 3.0], "b": [2.0, 4.0]}
    }


@pytest.mark.parametrize("loss", [0.5, 1.0, TOLERATED])
def test_gate_lets_a_loss_pass_that_is_within_what_is_tolerated(loss, capsys):
    assert complain({"fold": 40.0 * loss, "parse_dns": 0.02}, REFERENCE) == 0
    assert capsys.readouterr().err == ""


def test_gate_fails_on_one_function_that_became_more_than_twice_as_slow(capsys):
    assert complain({"fold": 81.0, "parse_dns": 0.02}, REFERENCE) == 1
    said = capsys.readouterr().err
    assert said.startswith("fold costs 81.00 of its peer, and cost 40.00 (see ")
    assert "parse_dns" not in said
