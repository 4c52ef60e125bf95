"""When which role is killed, and how long it stays away. Pure, and the same for the same seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import NamedTuple


class Fault(NamedTuple):
    """A role is killed `at` seconds after the traffic began, and started again `away` seconds later."""

    role: str
    at: float
    away: float


def plan_faults(roles: Sequence[str], *, count: int, first: float, last: float, seed: int) -> list[Fault]:
    """Spread so many faults over a time, each role as often as the others, in random order and at random moments."""
    rng = random.Random(seed)
    victims = [roles[number % len(roles)] for number in range(count)]
    rng.shuffle(victims)
    step = (last - first) / count
    return [
        Fault(role, first + (number + rng.random()) * step, rng.uniform(0.0, 3.0))
        for number, role in enumerate(victims)
    ]
