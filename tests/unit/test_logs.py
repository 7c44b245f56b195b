"""logs.py: what machines read of us is JSON in the names of the Elastic Common Schema."""

import io
import json
import logging
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
import structlog

from taskyard import logs

Lines = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Lines]:
    """What was logged since the test began."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before = logging.getLogger().handlers[:]
    logs.configure(log_format="auto", level="info", role="dispatcher")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logging.getLogger().handlers[:] = before
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_a_line_has_the_names_of_the_schema(lines: Lines) -> None:
    """Time, level and message first, as people read them; what is ours in a space of its own."""
    structlog.get_logger("taskyard.services.reap").warning(
        "lease ran out", task_id="0198", error="e"
    )
    [line] = lines()
    assert list(line)[:3] == ["@timestamp", "log.level", "message"]
    assert datetime.fromisoformat(line.pop("@timestamp")).tzinfo is not None
    assert line == {
        "log.level": "warning",
        "message": "lease ran out",
        "log.logger": "taskyard.services.reap",
        "ecs.version": "8.17",
        "service.name": "taskyard",
        "service.node.roles": ["dispatcher"],
        "error.message": "e",
        "taskyard.task_id": "0198",
    }


def test_what_libraries_log_has_them_too(lines: Lines) -> None:
    """With its arguments filled in."""
    logging.getLogger("theirs").error("connecting to %s", "there")
    [line] = lines()
    assert (line["message"], line["log.logger"]) == ("connecting to there", "theirs")


@pytest.mark.parametrize("ours", [True, False])
def test_an_exception_is_type_message_and_traceback(lines: Lines, ours: bool) -> None:
    """In fields of their own, so that one may count by type."""
    log = structlog.get_logger("l") if ours else logging.getLogger("l")
    try:
        raise KeyError("gone")
    except KeyError:
        log.exception("failed")
    [line] = lines()
    assert (line["error.type"], line["error.message"]) == ("builtins.KeyError", "'gone'")
    assert line["error.stack_trace"].startswith("Traceback (most recent call last)")
    assert line["error.stack_trace"].endswith("KeyError: 'gone'")
    assert "taskyard.exc_info" not in line
