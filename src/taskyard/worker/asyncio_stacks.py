"""Celery's `current_task` and `self.request`, right in each of many coroutines of one thread.

Celery keeps them on stacks for each thread. Here each attempt has a key of its own, which its
coroutines inherit, and the tasks and threads that they start with their context.
"""

from collections.abc import Hashable, Iterable
from contextvars import ContextVar
from typing import Any

import celery
from celery._state import _task_stack
from celery.utils.threads import get_ident

_key: ContextVar[Hashable | None] = ContextVar("stacks of the attempt", default=None)


def own_stacks(key: Hashable) -> None:
    """Let what runs in this context have stacks of its own."""
    _key.set(key)


def install(tasks: Iterable[celery.Task]) -> None:
    """Key the stacks of these tasks, and Celery's own, by attempt; by thread where none runs."""
    stacks: list[Any] = [_task_stack, *(task.request_stack for task in tasks)]
    for stack in stacks:
        stack.__ident_func__ = _identity


def _identity() -> Hashable:
    key = _key.get()
    return get_ident() if key is None else key
