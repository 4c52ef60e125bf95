"""What can go wrong between a person and a running program. Pure.

Every message says what was expected, what came, where, and the remedy in parentheses. Data that is wrong is not an
exception of this family: it is counted by reason or goes to the dead letters.
"""

from __future__ import annotations


class WhocallsError(Exception):
    """The root: caught once, at the rim of the command, printed as one sentence, and turned into an exit code."""

    exit_code = 1


class ConfigurationError(WhocallsError):
    """A setting, a flag or a combination of them is wrong."""

    exit_code = 2


class InputError(WhocallsError):
    """A file that the user named cannot be read as what it should be."""


class CapabilityError(WhocallsError):
    """The kernel refuses something that the program was asked to do."""


class PortTakenError(WhocallsError):
    """An address that the program must listen on is in use."""


class TopicError(WhocallsError):
    """A topic is missing, has another shape than described, or may not be used."""


class UnreachableError(WhocallsError):
    """Kafka, Kubernetes or a git remote does not answer."""

    exit_code = 6


class DecodeError(Exception):
    """Bytes that are not the record they should be; the caller sends them to the dead letters.

    `reason` is one of a closed set, fit for a metric label.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
