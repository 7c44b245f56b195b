"""redaction.py and logs.py: what must not be seen is cut out, wherever it stands."""

import io
import json
import logging
import sys

import pytest
import structlog

from taskyard import logs
from taskyard.redaction import redacted, redactor


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://guest:hunter2@broker:5672/%2F", "amqp://guest:***@broker:5672/%2F"),
        ("postgresql://u:hunter2@ss@h/d and more", "postgresql://u:***@h/d and more"),
        ("host=h password=hunter2 user=u", "host=h password=*** user=u"),
        ("password='hunter2 it is'", "password='***'"),
        ("{'password': 'hunter2', 'a': 1}", "{'password': '***', 'a': 1}"),
        (r'"{\"secret\": \"hunter2\"}"', r'"{\"secret\": \"***\"}"'),
        ("Authorization: Bearer hunter2hunter2", "Authorization: Bearer ***"),
        ("the key tk_3f9a_hunter2 is no more", "the key tk_3f9a_*** is no more"),
        ("whsec_hunter2+/=", "whsec_***"),
        ("eyJhbGciOiJub25lIn0.eyJodW50ZXIy.", "eyJ***"),
    ],
)
def test_secrets_are_known_by_their_form(text: str, shown: str) -> None:
    """What helps to find the place stays: the user, the host, the prefix of a key."""
    assert redacted(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "http://127.0.0.1:8000/v1/tasks?a=b@c",
        "the secret: it is in a file",
        "redis://cache:6379/0 did not answer",
        "task tk_ and whsec_ and Bearer of news",
    ],
)
def test_words_that_hold_no_secret_stay_as_they_are(text: str) -> None:
    """A log that is cut up needlessly helps nobody."""
    assert redacted(text) == text


def test_the_secrets_of_a_process_are_known_whatever_their_form() -> None:
    """Also within JSON, where some letters are written otherwise."""
    cut = redactor(['hunter2 "and" more', "short"])
    assert cut('so: hunter2 "and" more.') == "so: ***."
    assert cut(json.dumps({"so": 'hunter2 "and" more'})) == '{"so": "***"}'
    assert cut("a short word") == "a short word"


@pytest.mark.parametrize("log_format", ["json", "human"])
def test_no_log_line_shows_a_secret(log_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither ours nor a library's, neither in a value nor in a traceback, nor what it leads to."""
    written = io.StringIO()
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    before = logging.getLogger().handlers[:]
    logs.configure(log_format=log_format, level="info", role="test", secrets=["hunter2hunter2"])
    try:
        structlog.get_logger("ours").info("said", url="amqp://u:canary1@h/", key="hunter2hunter2")
        logging.getLogger("theirs").warning("connecting to %s", "amqp://u:canary2@h/")
        try:
            inner = "postgresql://u:canary3@h/"
            raise ValueError(f"no answer from {inner}")
        except ValueError:
            structlog.get_logger("ours").exception("failed")
    finally:
        logging.getLogger().handlers[:] = before
        structlog.reset_defaults()
        structlog.contextvars.clear_contextvars()
    text = written.getvalue()
    assert "said" in text
    assert "connecting to" in text
    assert "ValueError" in text
    for secret in ("canary1", "canary2", "canary3", "hunter2"):
        assert secret not in text
