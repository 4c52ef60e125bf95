"""How the field attributes an address, each way as one small class over the same watch events.

All of them answer at the time of processing. `current_state`: the one pod that now has the address (network-mapper and
flowlogs-pipeline without their further rules). `last_writer`: a table by address, entries deleted by address (Inspektor
Gadget, OBI/Beyla). `five_minutes`: the current state, and servers must be five minutes old (network-mapper).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from tests.storm.cluster import SECOND

FIVE_MINUTES = 300 * SECOND


class Baseline(Protocol):
    """A table of who has which address."""

    def apply(self, op: str, pod: dict[str, Any]) -> None:
        """Take an event of the watch."""

    def client(self, address: str, at: int) -> str | None:
        """Name the workload of a client."""

    def server(self, address: str, at: int) -> str | None:
        """Name the workload of a server."""


class CurrentState:
    """The pods that exist now: Running, not terminating; two with one address are none."""

    def __init__(self) -> None:
        self._pods: dict[str, dict[str, Any]] = {}
        self._by_address: dict[str, set[str]] = {}

    def apply(self, op: str, pod: dict[str, Any]) -> None:
        uid = pod["metadata"]["uid"]
        before = self._pods.pop(uid, None)
        if before is not None:
            self._by_address[before["status"]["podIP"]].discard(uid)
        usable = pod["status"]["phase"] == "Running" and "deletionTimestamp" not in pod["metadata"]
        if op != "DELETED" and usable and pod["status"].get("podIP"):
            self._pods[uid] = pod
            self._by_address.setdefault(pod["status"]["podIP"], set()).add(uid)

    def client(self, address: str, at: int) -> str | None:
        pod = self._only(address)
        return _workload(pod) if pod is not None and _created_at(pod) <= at else None

    def server(self, address: str, at: int) -> str | None:
        return self.client(address, at)

    def _only(self, address: str) -> dict[str, Any] | None:
        uids = self._by_address.get(address, set())
        return self._pods[next(iter(uids))] if len(uids) == 1 else None


class LastWriter:
    """A table by address: whoever wrote last; a deletion takes the entry away, whoever's it is by then."""

    def __init__(self) -> None:
        self._workloads: dict[str, str] = {}

    def apply(self, op: str, pod: dict[str, Any]) -> None:
        address = pod["status"].get("podIP")
        if address and op == "DELETED":
            self._workloads.pop(address, None)
        elif address:
            self._workloads[address] = _workload(pod)

    def client(self, address: str, at: int) -> str | None:
        del at
        return self._workloads.get(address)

    def server(self, address: str, at: int) -> str | None:
        return self.client(address, at)


class FiveMinutes(CurrentState):
    """The current state, with servers trusted only when they had lived for five minutes at the time."""

    def server(self, address: str, at: int) -> str | None:
        pod = self._only(address)
        return _workload(pod) if pod is not None and _created_at(pod) + FIVE_MINUTES <= at else None


BASELINES: dict[str, type[Baseline]] = {
    "current_state": CurrentState,
    "last_writer": LastWriter,
    "five_minutes": FiveMinutes,
}


def _workload(pod: dict[str, Any]) -> str:
    return str(pod["metadata"]["ownerReferences"][0]["name"])


def _created_at(pod: dict[str, Any]) -> int:
    return int(datetime.fromisoformat(pod["metadata"]["creationTimestamp"]).timestamp()) * SECOND
