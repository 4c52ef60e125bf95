"""Logs: past-tense snake_case events with fields, JSON Lines in a container, text on a terminal. Shell: stderr.

Two writers of the same lines: structlog for the programs that run on asyncio anyway, and a small one for the agent,
where structlog's import of asyncio would cost a third of the memory (docs/adr/0002).
"""

from __future__ import annotations

import sys
import time
from typing import Any, Literal, Protocol, TextIO

import msgspec

from callgraph.settings import LogSettings

Level = Literal["debug", "info", "warning", "error"]
_RANK: dict[str, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Logger(Protocol):
    """What the programs log with."""

    def debug(self, event: str, **fields: Any) -> Any:
        """Say what only a developer wants to know."""

    def info(self, event: str, **fields: Any) -> Any:
        """Say what happened."""

    def warning(self, event: str, **fields: Any) -> Any:
        """Say what should not have happened and was dealt with."""

    def error(self, event: str, **fields: Any) -> Any:
        """Say what failed."""


class LeanLogger:
    """A logger that imports nothing."""

    def __init__(self, settings: LogSettings, stream: TextIO | None = None, **bound: Any) -> None:
        self._stream = stream or sys.stderr
        self._least = _RANK[settings.level]
        self._as_json = writes_json(settings, self._stream)
        self._bound = bound

    def debug(self, event: str, **fields: Any) -> None:
        self._write("debug", event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._write("error", event, fields)

    def _write(self, level: Level, event: str, fields: dict[str, Any]) -> None:
        if _RANK[level] < self._least:
            return
        line = {"timestamp": _timestamp(time.time()), "level": level, "event": event, **self._bound, **fields}
        self._stream.write((_as_json(line) if self._as_json else _as_text(line)) + "\n")
        self._stream.flush()


def writes_json(settings: LogSettings, stream: TextIO) -> bool:
    """Tell whether lines are JSON: as configured, or when the stream is no terminal."""
    return settings.format == "json" or (settings.format == "auto" and not stream.isatty())


def structured_logger(settings: LogSettings, **bound: Any) -> Logger:
    """Configure structlog and return a logger with the bound fields."""
    import structlog  # noqa: PLC0415  (the agent must not pay for it)

    renderer: Any = (
        structlog.processors.JSONRenderer(serializer=lambda line, **_: _as_json(line))
        if writes_json(settings, sys.stderr)
        else lambda _logger, _method, line: _as_text(line)
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_RANK[settings.level]),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logger: Logger = structlog.get_logger(**bound)
    return logger


def _timestamp(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06d}Z"


def _as_json(line: dict[str, Any]) -> str:
    return msgspec.json.encode(line, enc_hook=repr).decode()


def _as_text(line: dict[str, Any]) -> str:
    rest = {name: value for name, value in line.items() if name not in ("timestamp", "level", "event")}
    fields = " ".join(f"{name}={value if isinstance(value, str) else repr(value)}" for name, value in rest.items())
    return f"{line['timestamp']} {line['level']:<7} {line['event']} {fields}".rstrip()
