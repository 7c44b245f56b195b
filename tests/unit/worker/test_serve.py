"""worker/serve.py: what Celery logs of a connection ends in what to do about it."""

import logging
import ssl

from taskyard.worker.serve import _explain


def record(error: BaseException) -> logging.LogRecord:
    text, args = "Cannot connect to %s: %s. %s", ("amqps://mq.test", error, "Trying again")
    return logging.LogRecord("celery", logging.ERROR, "f", 1, text, args, None)


def test_a_certificate_that_is_refused_is_explained() -> None:
    """The worker goes on trying, so the log is where an operator looks."""
    said = record(ssl.SSLCertVerificationError(1, "certificate verify failed: Hostname mismatch"))
    assert _explain(said)
    assert "is for another name" in said.getMessage()
    assert said.getMessage().endswith("Trying again")


def test_any_other_error_is_logged_as_it_is() -> None:
    """Nothing is added, nothing is lost."""
    said = record(ConnectionRefusedError(111, "Connection refused"))
    assert _explain(said)
    assert said.getMessage().endswith(": [Errno 111] Connection refused. Trying again")
