"""The token for git over HTTPS and for the forge's API. Shell: a file, or one environment variable.

Git asks for it through a credential helper that reads a file. A token that came in a variable is lent to git as a file
that exists in memory only and that no other user can open: git's processes get neither the variable nor an argument.
Source: gitcredentials(7), memfd_create(2), proc_pid_fd(5).
"""

from __future__ import annotations

import os
import re

from callgraph.clients import read_secret
from callgraph.errors import ConfigurationError
from sink_exporter.settings import GitSettings

_TOKEN = re.compile(r"[!-~]+")


def has_token(settings: GitSettings) -> bool:
    """Tell whether the settings name a token."""
    return bool(settings.token_file or settings.token_variable)


def read_token(settings: GitSettings) -> str:
    """Read the token as it is now. Raises ConfigurationError, which never quotes it."""
    name = settings.token_variable
    token = read_secret(os.environ.get(name, ""), settings.token_file, what="exporter.git.token_file").strip()
    where = settings.token_file or f"the environment variable {name}"
    if not token:
        raise ConfigurationError(f"there is no token in {where} (exporter.git.token_file, exporter.git.token_variable)")
    if not _TOKEN.fullmatch(token):
        raise ConfigurationError(f"what is in {where} is no token: it has spaces, or is not ASCII")
    return token


class LentToken:
    """A file that git may read the token from: the one that is configured, or one in memory."""

    def __init__(self, settings: GitSettings) -> None:
        self._descriptor: int | None = None
        self.path = settings.token_file
        if not self.path:
            self._descriptor = os.memfd_create("whocalls-token", os.MFD_CLOEXEC)
            os.write(self._descriptor, read_token(settings).encode())
            self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def __del__(self) -> None:
        """Take it back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
