"""The command line: loads little, fails in one sentence, and its flags are the settings."""

import subprocess
import sys

import pytest

from callgraph.configuration import list_settings
from whocalls.command import SUBCOMMANDS, whocalls
from whocalls.configuration import Settings

HEAVY = ("faust", "aiohttp", "kubernetes", "scapy", "confluent_kafka", "structlog", "prometheus_client")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "whocalls", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/bin:/bin", **environment},
    )


def test_help_imports_nothing_heavy():
    script = (
        "import sys; from click.testing import CliRunner; from whocalls.command import whocalls; "
        "r = CliRunner().invoke(whocalls, ['--help']); assert r.exit_code == 0, r.output; "
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_every_subcommand_of_the_table_exists_and_has_a_help_text(name):
    command = whocalls.get_command(None, name)
    assert command.name == name
    assert command.help


def test_no_two_settings_share_a_variable_or_a_flag():
    settings = list(list_settings(Settings))
    assert len({setting.variable for setting in settings}) == len(settings)
    assert len({setting.flag for setting in settings}) == len(settings)


def test_every_setting_is_described():
    assert [setting.key for setting in list_settings(Settings) if not setting.description] == []


def test_an_unknown_subcommand_is_a_usage_error():
    result = run("frobnicate")
    assert result.returncode == 2
    assert "frobnicate" in result.stderr


def test_a_wrong_value_names_its_key_and_ends_with_2():
    result = run("topics", "plan", "--topics-partitions=many")
    assert result.returncode == 2
    assert "topics.partitions" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_wrong_variable_is_named():
    result = run("topics", "plan", WHOCALLS_TOPICS_PARTITIONS="-3")
    assert result.returncode == 2
    assert "WHOCALLS_TOPICS_PARTITIONS" in result.stderr


def test_an_unknown_key_in_the_file_is_named_with_its_path(tmp_path):
    file = tmp_path / "whocalls.yaml"
    file.write_text("kafka:\n  tls:\n    ca_fil: x\n", encoding="utf-8")
    result = run("topics", "plan", "--config", str(file))
    assert result.returncode == 2
    assert "ca_fil" in result.stderr
    assert "kafka.tls" in result.stderr


def test_version_tells_what_is_installed_as_json():
    assert '"whocalls": "' in run("version", "-o", "json").stdout
