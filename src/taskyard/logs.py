"""Logs are data: a constant message and bound values, ECS for machines, lines for people.

Secrets are cut out of every line once it is rendered, so nothing can bring one in behind that.
"""

import logging
import sys
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import structlog

from taskyard import ecs, tracing
from taskyard.redaction import redactor


def configure(*, log_format: str, level: str, role: str, secrets: Iterable[str] = ()) -> None:
    """Send everything, our own and the libraries', to stderr in one format, without the secrets."""
    cut_out = redactor(secrets)

    def render(logger: Any, name: str, event: Any) -> str:
        return cut_out(renderer(logger, name, event))

    human = log_format == "human" or (log_format == "auto" and sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        _add_trace,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        ecs.describe_faults if not human else _keep,
    ]
    renderer: Any = (
        structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(),
            # Others show the values of local variables.
            exception_formatter=structlog.dev.plain_traceback,
        )
        if human
        else structlog.processors.JSONRenderer()
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _keep if human else ecs.as_ecs,
                render,
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
    for chatty in ("aio_pika", "aiormq", "httpx", "psycopg.pool", "amqp"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(role=role)
    sys.excepthook = _log_fault


def _log_fault(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """Log what ends the process, where Python would print it as it is."""
    if issubclass(kind, Exception):
        structlog.get_logger(__name__).critical("ended by a fault", exc_info=(kind, error, trace))
    else:
        sys.__excepthook__(kind, error, trace)


def _add_trace(_logger: Any, _name: str, event: Any) -> Any:
    if found := tracing.ids():
        event["trace_id"], event["span_id"] = found
    return event


def _keep(_logger: Any, _name: str, event: Any) -> Any:
    return event
