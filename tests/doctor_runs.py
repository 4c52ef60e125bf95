"""`whocalls doctor` in this process: arguments in, exit code and findings by check out."""

from __future__ import annotations

import json
from typing import NamedTuple

from click.testing import CliRunner

from callgraph.settings import KafkaSettings, TopicSettings
from whocalls.command import whocalls


class Diagnosis(NamedTuple):
    code: int
    findings: list[dict]

    def of(self, check: str) -> list[dict]:
        return [finding for finding in self.findings if finding["check"] == check]

    def states(self, check: str) -> set[str]:
        return {finding["status"] for finding in self.of(check)}

    def bad(self) -> list[dict]:
        return [finding for finding in self.findings if finding["status"] in ("fail", "warn")]

    def failed(self, check: str) -> dict:
        """Return the one failure of a check; it must name its remedy."""
        return self._one(check, "fail")

    def warned(self, check: str) -> dict:
        """Return the one warning of a check; it must name its remedy."""
        return self._one(check, "warn")

    def _one(self, check: str, status: str) -> dict:
        found = [finding for finding in self.of(check) if finding["status"] == status]
        assert len(found) == 1, self.findings
        assert found[0]["fix"]
        return found[0]


def diagnose(*arguments: str) -> Diagnosis:
    result = CliRunner().invoke(whocalls, ["doctor", "-o", "json", *arguments], standalone_mode=False)
    if result.exception:
        raise result.exception
    return Diagnosis(result.return_value, json.loads(result.stdout))


def kafka_flags(kafka: KafkaSettings, topics: TopicSettings) -> list[str]:
    return [
        f"--kafka-bootstrap-servers={kafka.bootstrap_servers}",
        f"--kafka-embedded={str(kafka.embedded).lower()}",
        f"--topics-prefix={topics.prefix}",
        f"--topics-partitions={topics.partitions}",
    ]
