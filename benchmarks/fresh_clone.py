"""The README's two commands in a root with nothing in it, and the time that they take.

`python -m benchmarks.fresh_clone [--root FOLDER] [--commands 'make demo' 'make test']` (root, debootstrap): Debian's
smallest system with python3, python3-venv, make and git, our committed files and nothing else; no cache of pip or uv,
no Java, no Go. Writes `build/clone/clone.json`. `--root` keeps the system for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.report import describe_machine

RESULT = Path("build/clone/clone.json")
MIRROR = "http://deb.debian.org/debian"
PACKAGES = ("python3", "python3-venv", "make", "git", "ca-certificates")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
ABOUT = (
    f"a root that debootstrap made (Debian 12, minbase, with {', '.join(PACKAGES)}), "
    "no caches; the time of the first command includes every dependency."
)


def main() -> int:
    """Make the root, run the commands in it, and write down the seconds; returns 1 where one failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path)
    parser.add_argument("--commands", nargs="+", default=["make demo", "make test"])
    options = parser.parse_args()
    machine = describe_machine()
    with tempfile.TemporaryDirectory(prefix="whocalls-clone-") as scratch:
        root = options.root or Path(scratch, "root")
        make_root(root)
        seconds = {command: run(root, command) for command in options.commands}
    document = {
        "machine": machine,
        "command": " ".join(["python", "-m", "benchmarks.fresh_clone", *sys.argv[1:]]),
        "about": ABOUT,
        "seconds": {command: took for command, took in seconds.items() if took is not None},
    }
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(document["seconds"]))
    return 1 if None in seconds.values() else 0


def make_root(root: Path) -> None:
    """Make the system unless it is there, and put a fresh clone into it."""
    if not (root / "bin" / "sh").exists():
        bootstrap = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
        subprocess.run([*bootstrap, "bookworm", str(root), MIRROR], check=True, stdout=subprocess.DEVNULL)
    shutil.copyfile(AUTHORITIES, root / AUTHORITIES.relative_to("/"))
    shutil.copyfile("/etc/resolv.conf", root / "etc" / "resolv.conf")
    clone = root / "root" / "whocalls"
    shutil.rmtree(clone, ignore_errors=True)
    shutil.rmtree(root / "root" / ".cache", ignore_errors=True)
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ".", str(clone)], check=True)


def run(root: Path, command: str) -> float | None:
    """Run a command in the clone; return the seconds, None where it failed."""
    environment = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "LANG": "C.UTF-8"}
    # How this machine reaches the package index is not the newcomer's matter; what was fetched before would be.
    passed_on = ("PIP_", "HTTP", "http", "SSL_", "UV_")
    environment |= {name: value for name, value in os.environ.items() if name.startswith(passed_on)}
    environment |= {"SSL_CERT_FILE": str(AUTHORITIES)}
    environment = {name: value for name, value in environment.items() if "CACHE" not in name and "FIND" not in name}
    in_root = ["unshare", "--mount", "--pid", "--fork", "chroot", str(root), "sh", "-c"]
    script = f"mount -t proc proc /proc && mount -t tmpfs tmpfs /dev/shm; cd /root/whocalls && {command}"
    began = time.monotonic()
    ended = subprocess.run([*in_root, script], env=environment, check=False, stdout=sys.stderr)
    return time.monotonic() - began if ended.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
