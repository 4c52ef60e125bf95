"""Print what everybody makes of the storm: `python -m tests.storm [SEED]`."""

from __future__ import annotations

import sys

from benchmarks.report import format_table
from tests.storm.replay import score_all

if __name__ == "__main__":
    scores = score_all(seed=int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    table = {name: {**score._asdict(), "found_percent": 100 * score.found_share} for name, score in scores.items()}
    print(format_table(table))  # noqa: T201  (the result)
