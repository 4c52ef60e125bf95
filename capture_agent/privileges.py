"""Giving up privileges once the sockets are open. Shell: prctl, capset, setuid.

Source: capabilities(7), prctl(2), include/uapi/linux/capability.h.
"""

from __future__ import annotations

import ctypes
import os
import pwd
from struct import Struct as Wire

from callgraph.errors import CapabilityError, ConfigurationError

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 24, 38, 47, 4
_CAPABILITY_VERSION_3 = 0x20080522
_HEADER = Wire("=Ii")
_NO_CAPABILITIES = bytes(24)
_LAST_CAPABILITY = 63


def drop_privileges(user: str = "") -> None:
    """Become `user`, if one is named, and give up every capability for good.

    Raises ConfigurationError for an unknown user, CapabilityError where the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    # The bounding set first: it takes CAP_SETPCAP, and failing is no loss where that was never there.
    for capability in range(_LAST_CAPABILITY + 1):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    if user:
        _become(user)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _require(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")
    _require(libc.capset(_HEADER.pack(_CAPABILITY_VERSION_3, 0), _NO_CAPABILITIES), "drop capabilities")


def _become(user: str) -> None:
    uid, gid = _find_user(user)
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except PermissionError as error:
        raise CapabilityError(
            f"cannot become the user {user!r}: permission denied (start as root, or leave agent.user empty)"
        ) from error


def _find_user(user: str) -> tuple[int, int]:
    """Return uid and gid of a name, or of UID or UID:GID in numbers."""
    if user.replace(":", "").isdecimal():
        uid, _, gid = user.partition(":")
        return int(uid), int(gid or uid)
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise ConfigurationError(f"there is no user {user!r} (agent.user is a name, UID or UID:GID)") from error
    return entry.pw_uid, entry.pw_gid


def _require(result: int, what: str) -> None:
    if result:
        raise CapabilityError(f"cannot {what}: {os.strerror(ctypes.get_errno())}")
