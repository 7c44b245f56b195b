"""Taskyard: a task gateway in front of RabbitMQ and Celery.

This is what the author of a task needs:

    from taskyard import current, task

    @task("image.thumbnail")
    def thumbnail(source: str, width: int = 128) -> dict:
        current.progress(0.5, "decoded")
        ...

The names are loaded when they are first used: the API and the dispatcher import this package too,
and must not pay for Celery.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from taskyard import files
    from taskyard.worker.current import current as current
    from taskyard.worker.outcome import Interrupted as Interrupted
    from taskyard.worker.outcome import Permanent as Permanent
    from taskyard.worker.outcome import Retry as Retry
    from taskyard.worker.outcome import Throttled as Throttled
    from taskyard.worker.task import task as task

__all__ = ["Interrupted", "Permanent", "Retry", "Throttled", "current", "files", "task"]

_HOMES = {
    "Interrupted": "taskyard.worker.outcome",
    "Permanent": "taskyard.worker.outcome",
    "Retry": "taskyard.worker.outcome",
    "Throttled": "taskyard.worker.outcome",
    "current": "taskyard.worker.current",
    "task": "taskyard.worker.task",
}


def __getattr__(name: str) -> Any:
    if name == "files":
        return import_module("taskyard.files")
    if name not in _HOMES:
        raise AttributeError(f"module 'taskyard' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
