"""`@task`: an ordinary Celery task whose truth is in Postgres."""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

from celery import shared_task

from taskyard.worker.base import TaskyardTask

P = ParamSpec("P")
R = TypeVar("R")


def task(task_type: str, **options: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Make a function the task of this type. `options` are Celery's own (bind, autoretry_for, …).

    Called directly, it is just the function.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        made = shared_task(name=task_type, base=TaskyardTask, **options)(function)
        return cast("Callable[P, R]", made)

    return decorate
