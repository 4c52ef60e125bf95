"""Write what the chart takes from the code, and the golden renders: python -m tests.deployment.regenerate. Shell."""

from __future__ import annotations

from tests.deployment.chart import CHART, GOLDEN, chart, golden_text, topics_file, value_set_names, values_schema


def main() -> None:
    """Rewrite values.schema.json, files/topics.yaml and the golden files; the tests compare, git shows the change."""
    (CHART / "values.schema.json").write_text(values_schema(), encoding="utf-8")
    (CHART / "files" / "topics.yaml").write_text(topics_file(), encoding="utf-8")
    chart.cache_clear()
    GOLDEN.mkdir(exist_ok=True)
    for stale in GOLDEN.glob("*.yaml"):
        stale.unlink()
    for name in value_set_names():
        (GOLDEN / f"{name}.yaml").write_text(golden_text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
