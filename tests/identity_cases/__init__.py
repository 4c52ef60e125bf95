"""Cases of our own beside the shared ones: sentence by sentence what those leave open of R1 to R14."""

from __future__ import annotations

from tests.identity_cases import names, nodes, pods, services, workloads

CASES = [
    {**case, "id": f"OWN-{number:03}", "title": case["id"]}
    for number, case in enumerate(
        [*pods.CASES, *workloads.CASES, *services.CASES, *names.CASES, *nodes.CASES],
        start=1,
    )
]
DOCUMENT = {"time_base": "2026-01-01T00:00:00Z", "cases": CASES}
