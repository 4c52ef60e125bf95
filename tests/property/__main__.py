"""Search many worlds for one in which a law fails: `python -m tests.property [--first SEED] [--worlds N]`.

Prints the seeds of the worlds that differ, with the edges that do, and exits with 1 if there are any.
"""

from __future__ import annotations

import argparse
import random
import sys

from tests.property.workers import Edge, Worker, batched, edges, offline
from tests.property.worlds import make_world


def differences(seed: int) -> set[Edge]:
    """Return the edges that one to four workers, with restarts and repeats, disagree about with the whole inventory."""
    rng = random.Random(seed)
    world = make_world(rng, rng.randint(20, 80))
    batches, workers = batched(world.seen, rng), rng.randint(1, 4)
    restarts, repeats = rng.choice([0, 3]), rng.choice([0.0, 0.3])
    found = set[Edge]()
    for number in range(workers):
        found |= edges(Worker(world.topic, batches[number::workers], rng).run(restarts=restarts, repeats=repeats))
    return found ^ offline(world)


def main(arguments: list[str] | None = None) -> int:
    """Search."""
    parser = argparse.ArgumentParser(prog="python -m tests.property", description=__doc__)
    parser.add_argument("--first", type=int, default=0, metavar="SEED")
    parser.add_argument("--worlds", type=int, default=1000, metavar="N")
    given = parser.parse_args(arguments)
    failed = 0
    for seed in range(given.first, given.first + given.worlds):
        if found := differences(seed):
            failed += 1
            print(f"seed {seed}: {sorted(found)}")  # noqa: T201  (the result)
    print(f"{given.worlds} worlds, {failed} with other edges")  # noqa: T201  (the result)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
