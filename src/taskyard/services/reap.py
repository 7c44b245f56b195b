"""Reap: take back tasks whose worker has gone without a word."""

import time

import structlog

from taskyard.core.task import Failure
from taskyard.storage import tasks
from taskyard.storage.pool import Pool, borrowed

log = structlog.get_logger(__name__)

REAP_EVERY = 2.0  # seconds
_LEASE = 15.0  # seconds; see the statements claim and extend_leases
_LATE = 2.5  # a pass that is so many seconds behind has slept, or waited for the database
_ROWS_AT_ONCE = 500
LOST = Failure(code="worker-lost", message="its worker gave no sign of life for 15 s")


class Reaper:
    """Reaps, but only while it hears the database itself.

    When the database was away, or a lock stopped everybody, no worker could extend its leases:
    they are given the time of one lease to do so before anything is called lost.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._trusts_from = 0.0
        self._due = time.monotonic() + REAP_EVERY

    async def pass_once(self) -> int:
        """Take back what is lost; return how many tasks. Raises StorageUnavailable."""
        began = time.monotonic()
        try:
            if began < self._trusts_from:
                return 0
            if began > self._due + _LATE:
                self._distrust("this process was stopped for a while")
                return 0
            async with borrowed(self._pool) as connection:
                reaped = await tasks.reap(connection, LOST, limit=_ROWS_AT_ONCE)
            for task_id, state in reaped.items():
                log.warning("lease ran out", task_id=str(task_id), state=state)
            if time.monotonic() - began > _LATE:
                self._distrust("the database was slow")
            return len(reaped)
        except BaseException:
            self._distrust("the database was away")
            raise
        finally:
            self._due = time.monotonic() + REAP_EVERY

    def _distrust(self, why: str) -> None:
        log.info("leases are left alone for a while", why=why, seconds=_LEASE)
        self._trusts_from = time.monotonic() + _LEASE
