"""Claims and finishes of many attempts in one statement and one commit.

A commit has one price, however many rows it holds. So those who claim and finish at the same time
in one process hand over what they want, and a thread writes all that has gathered while its last
commit ran. It waits for no timer: who is alone is served at once.
"""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue

import psycopg

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.task import TaskId
from taskyard.storage.attempts_together import Ended, Wanted, ended, finish_and_claim
from taskyard.worker.runtime import Runtime

_MOST = 64  # in one statement; more gain little, and a broken connection would be felt by more


@dataclass(frozen=True, slots=True)
class _Claim:
    wanted: Wanted
    answer: Future[Lease | None] = field(default_factory=Future)


@dataclass(frozen=True, slots=True)
class _Finish:
    end: Ended
    answer: Future[bool] = field(default_factory=Future)


class GroupCommit:
    """A thread of this process that claims and finishes for all others.

    Its methods may be called from any thread and never wait: they return a future, which
    `asyncio.wrap_future` makes awaitable. One that is cancelled before its turn writes nothing;
    a claim that nobody hears of any more (shield it) runs out with its lease. Futures raise Reject
    when the database stays away. It starts with its first use, so after the fork.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._waiting: SimpleQueue[_Claim | _Finish | None] = SimpleQueue()
        self._starting = threading.Lock()
        self._thread: threading.Thread | None = None

    def claim(self, task_id: TaskId, task_type: str, token: LeaseToken) -> Future[Lease | None]:
        """Take the lease of a task; None when there is nothing to run."""
        claim = _Claim(Wanted(task_id, task_type, token))
        self._put(claim)
        return claim.answer

    def finish(self, lease: Lease, result: str) -> Future[bool]:
        """Store a result, JSON text; False when the lease was no longer ours.

        The future, or the call itself where results are sealed, raises DataError for what Postgres
        cannot store.
        """
        return self.store(ended(self._runtime.ring, lease, result))

    def store(self, end: Ended) -> Future[bool]:
        """Do as `finish` does for a result that is sealed already."""
        finish = _Finish(end)
        self._put(finish)
        return finish.answer

    def end(self) -> None:
        """Write what waits, and let the thread end."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()

    def _put(self, wish: _Claim | _Finish) -> None:
        if self._thread is None:
            self._start()
        self._waiting.put(wish)

    def _start(self) -> None:
        with self._starting:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="group commit", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while (first := self._waiting.get()) is not None:
            gathered, is_last = self._gathered(first)
            wishes = [each for each in gathered if each.answer.set_running_or_notify_cancel()]
            self._write(wishes)
            if is_last:
                break
        self._runtime.close()

    def _gathered(self, first: _Claim | _Finish) -> tuple[list[_Claim | _Finish], bool]:
        """Return what waits, and whether nothing will follow."""
        gathered = [first]
        try:
            while len(gathered) < _MOST:
                wish = self._waiting.get_nowait()
                if wish is None:
                    return gathered, True
                gathered.append(wish)
        except Empty:
            pass
        return gathered, False

    def _write(self, wishes: list[_Claim | _Finish]) -> None:
        finishes = [each for each in wishes if isinstance(each, _Finish)]
        claims = [each for each in wishes if isinstance(each, _Claim)]
        ends, wanted = [each.end for each in finishes], [each.wanted for each in claims]
        worker = self._runtime.worker
        try:
            stored, leases = self._runtime.durably(
                lambda cursor: finish_and_claim(cursor, ends, wanted, worker)
            )
        except Exception as error:  # whatever it is, nobody may wait for ever
            for each in wishes:
                each.answer.set_exception(error)
            return
        for finish, said in zip(finishes, stored, strict=True):
            if isinstance(said, psycopg.Error):
                finish.answer.set_exception(said)
            else:
                finish.answer.set_result(said)
        for claim, lease in zip(claims, leases, strict=True):
            claim.answer.set_result(lease)
