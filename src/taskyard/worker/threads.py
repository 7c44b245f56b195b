"""Celery's pool of threads, which hears of what would have ended a process."""

import os
import time
from collections.abc import Callable
from typing import Any

from billiard.einfo import ExceptionInfo
from billiard.exceptions import WorkerLostError
from celery.concurrency.thread import ApplyResult, TaskPool


class ThreadPool(TaskPool):
    """The pool of `execution = "threads"`.

    Celery's own says nothing of a task that calls sys.exit: it would run for ever, and hold its
    lease.
    """

    def on_apply(self, target: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Run a task in a thread."""

        def apply() -> None:
            options["accept_callback"](os.getpid(), time.monotonic())
            tell_of(
                lambda: target(*args, **(kwargs or {})),
                returned=options["callback"],
                lost=options["error_callback"],
            )

        return ApplyResult(self.executor.submit(apply))


def tell_of(
    call: Callable[[], Any],
    *,
    returned: Callable[[Any], None],
    lost: Callable[[ExceptionInfo], None],
) -> None:
    """Call Celery's tracer, and tell how it ended: what would have ended a process is a crash."""
    try:
        value = call()
    except (Exception, SystemExit) as error:
        lost(ExceptionInfo((type(error), error, error.__traceback__)))
    except BaseException as error:
        crash = WorkerLostError(repr(error))
        lost(ExceptionInfo((type(crash), crash, error.__traceback__)))
    else:
        returned(value)
