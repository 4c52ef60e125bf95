"""Log lines: one format, two writers."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import msgspec
import pytest
import structlog

from callgraph.settings import LogSettings
from callgraph.telemetry import LeanLogger, structured_logger, writes_json

TIMESTAMP = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(params=["lean", "structured"])
def write(request, monkeypatch):
    """Write one event with the writer under test and return what stands on stderr."""

    def write(settings, level, event, *, bound=None, **fields):
        stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", stream)
        logger = (LeanLogger if request.param == "lean" else structured_logger)(settings, **(bound or {}))
        getattr(logger, level)(event, **fields)
        return stream.getvalue()

    yield write
    structlog.reset_defaults()


def test_line_in_a_container_is_json_with_its_fields(write):
    line = write(LogSettings(), "info", "batch_sent", bound={"role": "agent"}, observations=5)
    told = msgspec.json.decode(line)
    assert re.fullmatch(TIMESTAMP, told.pop("timestamp"))
    assert told == {"level": "info", "event": "batch_sent", "role": "agent", "observations": 5}


def test_text_line_reads_from_time_to_fields(write):
    line = write(LogSettings(format="text"), "warning", "batch_lost", bound={"role": "agent"}, reason="full", kept=5)
    assert re.fullmatch(rf"{TIMESTAMP} warning batch_lost role=agent reason=full kept=5\n", line)


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_lines_below_the_least_level_are_left_out(write, level):
    order = ["debug", "info", "warning", "error"]
    written = [each for each in order if write(LogSettings(level=level), each, "happened")]
    assert written == order[order.index(level) :]


def test_value_that_json_does_not_know_is_shown_as_python_would(write):
    told = msgspec.json.decode(write(LogSettings(), "error", "failed", cause=ValueError("odd")))
    assert told["cause"] == "ValueError('odd')"


def test_line_break_in_a_field_does_not_break_the_json_line(write):
    assert write(LogSettings(), "error", "failed", cause="a\nb").count("\n") == 1


@pytest.mark.parametrize(
    ("chosen", "stream", "as_json"),
    [
        ("auto", io.StringIO(), True),
        ("auto", Terminal(), False),
        ("json", Terminal(), True),
        ("text", io.StringIO(), False),
    ],
)
def test_format_is_as_configured_else_text_on_a_terminal(chosen, stream, as_json):
    assert writes_json(LogSettings(format=chosen), stream) is as_json


def test_lean_logger_loads_neither_structlog_nor_asyncio():
    code = "import sys, callgraph.telemetry; sys.exit(sorted({'asyncio', 'structlog', 'logging'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).stderr == b"[]\n"
