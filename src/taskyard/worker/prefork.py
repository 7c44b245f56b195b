"""Celery's pool of processes, told sooner of a child that died."""

import ctypes
import os
import signal
from typing import Any

from celery import signals
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool

_PR_SET_PDEATHSIG = 1


class WatchfulPool(AsynPool):
    """Looks after its children twice a second, where Celery does so every five seconds.

    A dead child's attempt is given up at the second look: a result may still be on its way.
    """

    @property
    def timers(self) -> dict[Any, float]:
        """What the event loop calls, and how often."""
        return {self.maintain_pool: 0.5}


class ProcessPool(TaskPool):
    """The pool of `execution = "processes"`."""

    Pool = WatchfulPool


@signals.worker_process_init.connect(weak=False)
def die_with_parent(**_: Any) -> None:
    """Have the kernel kill this child when its parent is gone: nobody keeps its lease any more."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:
        os._exit(1)
