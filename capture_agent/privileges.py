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
_PR_SET_KEEPCAPS = 8
_CAPABILITY_VERSION_3 = 0x20080522
_HEADER = Wire("=Ii")
_SETS = Wire("=6I")
"""Effective, permitted and inheritable: the lower 32 bits of each, then the upper."""
_LAST_CAPABILITY = 63

CAP_SYS_PTRACE, CAP_SYS_ADMIN = 19, 21
FOR_DIAGNOSIS = frozenset({CAP_SYS_PTRACE, CAP_SYS_ADMIN})
"""What entering the network namespaces of others takes, again and again."""


def drop_privileges(user: str = "", *, keep: frozenset[int] = frozenset()) -> None:
    """Become `user`, if one is named, and give up every capability for good but those to keep.

    Raises ConfigurationError for an unknown user, CapabilityError where the kernel refuses.
    """
    identity = _find_user(user) if user else None
    libc = ctypes.CDLL(None, use_errno=True)
    # The bounding set first: it takes CAP_SETPCAP, and failing is no loss where that was never there.
    for capability in set(range(_LAST_CAPABILITY + 1)) - keep:
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)
    if identity:
        libc.prctl(_PR_SET_KEEPCAPS, bool(keep), 0, 0, 0)
        _become(*identity)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _require(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "set no_new_privs")
    kept = sum(1 << capability for capability in keep) & _permitted(libc)
    sets = _SETS.pack(kept, kept, 0, 0, 0, 0)
    _require(libc.capset(_HEADER.pack(_CAPABILITY_VERSION_3, 0), sets), "drop capabilities")


def _permitted(libc: ctypes.CDLL) -> int:
    """Return the lower half of the permitted capabilities."""
    sets = ctypes.create_string_buffer(_SETS.size)
    _require(libc.capget(_HEADER.pack(_CAPABILITY_VERSION_3, 0), sets), "read capabilities")
    permitted: int = _SETS.unpack(sets.raw)[1]
    return permitted


def _become(uid: int, gid: int) -> None:
    try:
        os.setgroups([])
        os.setresgid(gid, gid, gid)
        os.setresuid(uid, uid, uid)
    except PermissionError as error:
        raise CapabilityError(
            f"cannot become the user {uid}: permission denied (start as root, or leave agent.user empty)"
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
