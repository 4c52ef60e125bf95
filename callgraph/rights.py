"""What each role may do on Kafka, described once. Pure.

`charts/whocalls/files/acls.yaml` and `docs/security.md` say the same, and the tests compare them. `Describe` is implied
by both operations.
"""

from __future__ import annotations

from typing import Literal

from callgraph.topics import TopicName

Role = Literal["agent", "watcher", "processor", "exporter"]
Operation = Literal["Read", "Write"]

RIGHTS: dict[Role, dict[TopicName, tuple[Operation, ...]]] = {
    "agent": {"dns-answers": ("Write",), "connections": ("Write",)},
    "watcher": {"inventory": ("Read", "Write")},
    "processor": {
        "dns-answers": ("Read",),
        "connections": ("Read",),
        "inventory": ("Read",),
        "calls": ("Read", "Write"),
        "call-graph": ("Read", "Write"),
        "coverage": ("Write",),
        "unresolved": ("Write",),
        "dead-letters": ("Write",),
    },
    "exporter": {"call-graph": ("Read",), "coverage": ("Read",)},
}
