"""`whocalls version`. Shell."""

from __future__ import annotations

import json
import platform
from importlib.metadata import PackageNotFoundError, version

import click

_PACKAGES = ("confluent-kafka", "faust-streaming", "aiokafka", "kubernetes", "msgspec", "scapy", "noida-db")


def installed_versions() -> dict[str, str | None]:
    """Return the versions of whocalls, Python and the packages that roles use; None where one is not installed."""
    return {"whocalls": _version("whocalls"), "python": platform.python_version()} | {
        package: _version(package) for package in _PACKAGES
    }


@click.command("version")
@click.option("-o", "--output", "output", type=click.Choice(["text", "json"]), default="text", show_default=True)
def version_command(output: str) -> None:
    """The version of whocalls and of what it runs on."""
    versions = installed_versions()
    if output == "json":
        click.echo(json.dumps(versions, indent=2))
        return
    for name, number in versions.items():
        click.echo(f"{name:<16} {number or 'not installed'}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
