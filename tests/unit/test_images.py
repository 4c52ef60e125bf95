"""Dockerfile and compose file before the tools that others would hold them to; none of these needs an engine."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.deployment.chart import ROOT

BIN = Path(sys.executable).parent
PROFILES = {
    profile
    for service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    for profile in service.get("profiles", [])
}


def run(tool, *arguments, folder=ROOT):
    done = subprocess.run([tool, *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    return done.returncode, done.stdout + done.stderr


def test_hadolint_finds_nothing():
    assert run(BIN / "hadolint", "--failure-threshold", "style", "Dockerfile") == (0, "")


def test_compose_lint_finds_nothing_that_is_not_explained(tmp_path):
    # In a copy: of a clone under /root it says that every mounted file is sensitive, for its path alone.
    for name in ("docker-compose.yml", ".compose-lint.yml"):
        shutil.copy(ROOT / name, tmp_path)
    code, said = run(BIN / "compose-lint", "--fail-on", "low", "docker-compose.yml", folder=tmp_path)
    assert code == 0, said


@pytest.mark.parametrize("profiles", [(), *((profile,) for profile in sorted(PROFILES)), tuple(sorted(PROFILES))])
def test_compose_itself_understands_the_file(profiles):
    flags = [f"--profile={profile}" for profile in profiles]
    code, said = run(BIN / "docker-compose", *flags, "config", "--format", "json")
    assert code == 0, said
    shown = json.loads(said)["services"]
    wanted = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    assert shown.keys() == {name for name, s in wanted.items() if set(s.get("profiles", profiles)) <= set(profiles)}


def test_every_file_that_compose_mounts_is_there():
    for service in yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert not source.startswith("./") or source == "./out" or (ROOT / source).is_file(), source


def test_prometheus_understands_its_configuration_and_scrapes_what_is_there():
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    file = ROOT / "compose" / "prometheus.yml"
    (job,) = yaml.safe_load(file.read_text())["scrape_configs"]
    for target in job["static_configs"][0]["targets"]:
        name, _, port = target.partition(":")
        assert services[name]["environment"][f"WHOCALLS_{name.upper()}_LISTEN"] == f"0.0.0.0:{port}"
    if shutil.which("promtool") is None:
        pytest.skip("needs promtool (Debian package prometheus)")
    code, said = run("promtool", "check", "config", "--syntax-only", str(file))
    assert code == 0, said


def test_grafana_has_the_dashboard_where_it_looks_for_it():
    grafana = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["grafana"]
    mounted = {volume.split(":")[1] for volume in grafana["volumes"]}
    (provider,) = yaml.safe_load((ROOT / "compose" / "grafana-dashboards.yaml").read_text())["providers"]
    assert f"{provider['options']['path']}/whocalls.json" in mounted
