"""Running a Celery worker for one pool until it is told to stop."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import Any

import celery
from celery import signals

from taskyard import tracing
from taskyard.broker.tls import explained
from taskyard.core.routing import Pool
from taskyard.worker.keeper import Keeper
from taskyard.worker.silence import Silence

_STOPS_WITHIN = 15.0  # seconds after its drain that a deaf worker's own loop may take to stop


def serve(
    app: celery.Celery,
    pool: Pool,
    *,
    name: str,
    amqp_url: str,
    drain: float,
    on_ready: Callable[[], None],
) -> int:
    """Consume the pool's queue until SIGTERM or SIGINT; return the exit code.

    The first signal lets running tasks end within `drain` seconds and gives back the rest; a
    second one stops at once.
    """
    keeper = Keeper(app.taskyard, pool)
    deaf = threading.Event()

    def on_silence() -> None:
        """Stop as if told to, and begin anew in the same process: no supervisor is needed."""
        deaf.set()
        last_resort = threading.Timer(drain + _STOPS_WITHIN, _begin_anew)
        last_resort.daemon = True
        last_resort.start()
        os.kill(os.getpid(), signal.SIGTERM)

    def queues() -> tuple[str, ...]:
        latest = app.taskyard_queues.latest
        return (latest.current, *latest.draining)

    silence = Silence(app.taskyard, pool, amqp_url=amqp_url, queues=queues, on_silence=on_silence)

    signals.worker_process_shutdown.connect(_send_spans, weak=False)

    # Logging is ours already; Celery must not set it up again.
    @signals.setup_logging.connect(weak=False)
    def leave_logging_alone(**_: Any) -> None: ...

    @signals.worker_ready.connect(weak=False)
    def say_ready(**_: Any) -> None:
        keeper.start()
        silence.start()
        on_ready()

    @signals.worker_shutting_down.connect(weak=False)
    def begin_drain(**_: Any) -> None:
        silence.end()
        keeper.drain(drain)

    tracing = logging.getLogger("celery.app.trace")
    tracing.setLevel(logging.WARNING)
    if app.taskyard.ring.active is not None:
        tracing.addFilter(_without_words)
    logging.getLogger("celery.worker.strategy").setLevel(logging.WARNING)
    logging.getLogger("celery.worker.consumer.consumer").addFilter(_explain)
    worker = app.Worker(
        hostname=name,
        concurrency=pool.concurrency,
        without_gossip=True,
        without_mingle=True,
        without_heartbeat=True,
        quiet=True,
    )
    worker.start()
    silence.end()
    app.taskyard_queues.end()
    if app.taskyard.group is not None:
        app.taskyard.group.end()
    keeper.end()
    if deaf.is_set():
        _begin_anew()
    return int(worker.exitcode or 0)


def _send_spans(**_: Any) -> None:
    tracing.flush()


def _explain(record: logging.LogRecord) -> bool:
    """Say what to do when TLS prevented a connection; Celery says what happened."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            explained(arg) if isinstance(arg, OSError) else arg for arg in record.args
        )
    return True


def _without_words(record: logging.LogRecord) -> bool:
    """Take out of a record what a task said in its error: it is stored encrypted, not here."""
    told = record.args if isinstance(record.args, dict) else {}
    kind = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else "an error"
    record.msg = f"task {told.get('name')}[{told.get('id')}] failed with {kind}"
    record.args, record.exc_info, record.exc_text = (), None, None
    record.__dict__.pop("data", None)
    return True


def _begin_anew() -> None:
    """Run the command of this process again, in its place."""
    os.execv(sys.executable, sys.orig_argv)  # noqa: S606 - our own command line
