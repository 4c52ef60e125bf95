"""The processor's metrics, made from their declarations. Shell: prometheus_client."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from callgraph.metrics import METRICS


class Counts:
    """The counters and gauges of one process, by their declared names."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Any] = {
            metric.name: (Counter if metric.kind == "counter" else Gauge)(
                metric.name, metric.about, metric.labels, registry=self._registry
            )
            for metric in METRICS
            if metric.program == "processor"
        }

    def add(self, name: str, amount: float = 1, /, **labels: str) -> None:
        """Count."""
        self._of(name, labels).inc(amount)

    def set(self, name: str, value: float, /, **labels: str) -> None:
        """Set a gauge."""
        self._of(name, labels).set(value)

    def forget(self, name: str, /) -> None:
        """Drop all label values of a metric."""
        self._metrics[f"whocalls_processor_{name}"].clear()

    def exposition(self) -> bytes:
        """Render the text exposition format."""
        return generate_latest(self._registry)

    def _of(self, name: str, labels: dict[str, str]) -> Any:
        metric = self._metrics[f"whocalls_processor_{name}"]
        return metric.labels(**labels) if labels else metric
