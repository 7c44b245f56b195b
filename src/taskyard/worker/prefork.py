"""Celery's pool of processes: its parent claims for the children, and stores what they made.

It does so in a thread, together for all of them; its event loop never waits for Postgres. A parent
that dies before the commit loses nothing: the lease runs out, and the task runs again.
"""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any
from uuid import uuid4
from weakref import ref

import structlog
from billiard.pool import RUN
from celery import signals
from celery.concurrency.asynpool import AsynPool
from celery.concurrency.prefork import TaskPool
from celery.worker.state import task_ready

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.routing_limits import limits_for
from taskyard.core.task import Failure
from taskyard.storage import attempts
from taskyard.storage.attempts_together import Ended
from taskyard.worker import handed
from taskyard.worker.group_commit import GroupCommit
from taskyard.worker.request import AttemptRequest
from taskyard.worker.runtime import Runtime

log = structlog.get_logger(__name__)

_SETTLES_WITHIN = 5.0  # seconds that a stopping pool waits for an answer of Postgres
_NOT_BEGUN = Failure(code="drained", message="its worker stopped before it could begin")
_PR_SET_PDEATHSIG = 1


class WatchfulPool(AsynPool):
    """Looks after its children twice a second, where Celery does so every five seconds.

    A dead child's attempt is given up at the second look: a result may still be on its way.
    """

    @property
    def timers(self) -> dict[Any, float]:
        """What the event loop calls, and how often."""
        return {self.maintain_pool: 0.5}


@dataclass(frozen=True, slots=True)
class _Wake:
    """What Celery asked the pool to run."""

    request: AttemptRequest
    target: Any
    args: tuple[Any, ...]
    options: dict[str, Any]

    def end(self) -> None:
        """Acknowledge the wake-up."""
        self.options["callback"]((0, None, 0.0))

    def give_back(self) -> None:
        """Send the wake-up back to the broker."""
        task_ready(self.request)
        self.request.reject(requeue=True)


class ProcessPool(TaskPool):
    """The pool of `execution = "processes"`.

    Who claims a slot of the pool has it already, so a claim is made when its child is free. Tasks
    with limits are claimed and finished by the child: that takes several statements.
    """

    Pool = WatchfulPool

    def on_start(self) -> None:
        """Start the children."""
        super().on_start()
        self._runtime: Runtime = self.app.taskyard
        self._group = GroupCommit(self._runtime)
        self._hub: Any = None
        self._answers: SimpleQueue[Callable[[], None]] = SimpleQueue()
        self._awaited = 0  # answers of the group; counted on the event loop
        self._is_called = False
        self._unbegun: dict[int, Lease] = {}
        self._forget_sent: Callable[[], None] = self._pool.flush
        self.flush = self._forget_unbegun

    def register_with_event_loop(self, loop: Any) -> None:
        """Answers of Postgres are heard on this loop, as those of the children are."""
        self._hub = loop
        super().register_with_event_loop(loop)

    def apply_async(self, target: Any, args: Any = None, kwargs: Any = None, **options: Any) -> Any:
        """Claim a task, and send it to a child once it is ours."""
        request: AttemptRequest = options["callback"].__self__
        if self._hub is None or limits_for(self._runtime.table, request.name):
            return super().apply_async(target, args, kwargs, **options)
        token = LeaseToken(uuid4())
        wake = _Wake(request, target, args, options)
        self._hear(self._group.claim(request.task_id, request.name, token), self._begin, wake)
        return None

    def _hear(self, answer: Future[Any], then: Callable[..., None], wake: _Wake) -> None:
        """Call `then` with a future and its wake-up on the event loop, once it is answered."""
        self._awaited += 1
        answer.add_done_callback(lambda done: self._answered(partial(then, done, wake)))

    def _answered(self, then: Callable[[], None]) -> None:
        """Call the loop from the thread of the group: once for all that it has to hear."""
        self._answers.put(then)
        if not self._is_called:
            self._is_called = True
            self._hub.call_soon(self._serve_answers)

    def _serve_answers(self) -> None:
        self._is_called = False
        while not self._answers.empty():
            self._serve(self._answers.get())

    def _serve(self, then: Callable[[], None]) -> None:
        self._awaited -= 1
        try:
            then()
        except Exception:
            log.exception("an answer of the database was not served")

    def _begin(self, claimed: Future[Lease | None], wake: _Wake) -> None:
        """Send a claimed task to the child that is free for it."""
        lease = None if (error := claimed.exception()) else claimed.result()
        if lease is not None and self._pool is not None and self._pool._state == RUN:
            self._send(lease, wake)
            return
        if error is None and lease is None:
            # Its pool is paused, or it is a wake-up too many: the child finds out which.
            super().apply_async(wake.target, wake.args, **wake.options)
            return
        self.options["semaphore"].release()
        if lease is not None:
            self._take_back(lease)
        log.warning("task not begun", task_id=wake.request.id, error=str(error or "stopping"))
        wake.give_back()

    def _send(self, lease: Lease, wake: _Wake) -> None:
        request, options = wake.request, wake.options
        handed.enclose(wake.args[2], lease)
        self._unbegun[id(request)] = lease
        changed = {
            "accept_callback": partial(self._accepted, request),
            "callback": partial(self._ended, lease, wake),
        }
        sent = super().apply_async(handed.traced, wake.args, **options | changed)
        request._apply_result = ref(sent)

    def _accepted(self, request: AttemptRequest, pid: int, time_accepted: float) -> None:
        self._unbegun.pop(id(request), None)
        request.on_accepted(pid, time_accepted)

    def _ended(self, lease: Lease, wake: _Wake, told: tuple[int, Any, float]) -> None:
        """Store what a child has made; what it has stored itself is only acknowledged."""
        failed, result, _took = told
        if failed or result is None:
            wake.options["callback"](told)
            return
        wake.request.worker_pid = None  # it may run another from now on, so it must not be killed
        end = Ended(lease.id, lease.token, result)
        self._hear(self._group.store(end), self._stored, wake)

    def _stored(self, stored: Future[bool], wake: _Wake) -> None:
        """Acknowledge what is committed."""
        if (error := stored.exception()) is not None:
            log.error("result not stored", task_id=wake.request.id, error=str(error))
            wake.give_back()
        elif stored.result():
            wake.end()
        else:
            log.warning("attempt discarded, its lease is gone", task_id=wake.request.id)
            wake.give_back()

    def _take_back(self, lease: Lease) -> None:
        """Let a task that was claimed and not begun be due again, at once."""
        ids, worker = [lease.id], self._runtime.worker
        self._runtime.owed.append(
            lambda c: attempts.take_back(c, ids, worker=worker, failure=_NOT_BEGUN, crashed=False)
        )

    def _forget_unbegun(self) -> None:
        """The connection to the broker is lost: Celery forgets what no child has begun."""
        self._forget_sent()
        for lease in self._unbegun.values():
            self._take_back(lease)
        self._unbegun.clear()

    def on_close(self) -> None:
        """Begin what is claimed, then take no more."""
        self._settle()
        super().on_close()

    def on_stop(self) -> None:
        """Wait for the children, and for the commit of what they made."""
        super().on_stop()
        self._settle()
        self._group.end()

    def _settle(self) -> None:
        """Serve the answers that are awaited; the event loop does not run any more."""
        deadline = time.monotonic() + _SETTLES_WITHIN
        while self._awaited and (left := deadline - time.monotonic()) > 0:
            try:
                self._serve(self._answers.get(timeout=left))
            except Empty:
                log.warning("stopped without an answer of the database", awaited=self._awaited)


@signals.worker_process_init.connect(weak=False)
def die_with_parent(**_: Any) -> None:
    """Have the kernel kill this child when its parent is gone: nobody keeps its lease any more."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent or parent == 1:
        os._exit(1)
