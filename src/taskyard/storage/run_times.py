"""Run times, measured from the history, and how many go before one that waits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg.rows import class_row, dict_row

from taskyard.core.principal import TenantId
from taskyard.core.task import TaskId
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

_SQL = queries("run_times")
_REMEMBERED = 30  # attempts: after so many more, two thirds of what was known is gone
_MOST_SAMPLED = 2_000  # changes in the history
_MOST_COUNTED = 20_000  # tasks in one's own line
_MOST_OF_OTHERS = 1_000
_MOST_LINES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Attempts of one type that ended lately: how many, and the seconds they ran."""

    pool: str
    type: str
    count: int
    mean: float
    variance: float

    @property
    def share(self) -> float:
        """How much it counts against what is known."""
        return 1.0 - math.exp(-self.count / _REMEMBERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What is known of how fast a pool works; None where nothing has run yet."""

    consumers: int
    running: int
    run_mean: float | None
    run_variance: float | None
    type_mean: float | None
    type_variance: float | None


async def measure(connection: AsyncConnection, *, every: float) -> list[Sample] | None:
    """Measure the attempts that ended since the last time; None when it is not time yet."""
    async with connection.transaction():
        given: dict[str, object] = {"every": every}
        taken = await (await connection.execute(_SQL["take_measured"], given)).fetchone()
        if taken is None:
            return None
        newest = await (await connection.execute(_SQL["newest_position"])).fetchone()
        given = {"after": taken[0], "most": _MOST_SAMPLED}
        rows = await (await connection.execute(_SQL["sample_attempts"], given)).fetchall()
        samples = [
            Sample(pool=row[0], type=row[1], count=row[2], mean=row[3], variance=row[4])
            for row in rows
        ]
        await _keep(connection, samples)
        await connection.execute(_SQL["keep_measured"], {"position": newest[0] if newest else 0})
    return samples


async def _keep(connection: AsyncConnection, samples: Sequence[Sample]) -> None:
    if not samples:
        return
    given = {
        "pools": [each.pool for each in samples],
        "types": [each.type for each in samples],
        "means": [each.mean for each in samples],
        "variances": [each.variance for each in samples],
        "shares": [each.share for each in samples],
    }
    await connection.execute(_SQL["keep_run_times"], given)
    for pool in sorted({each.pool for each in samples}):
        whole = together([each for each in samples if each.pool == pool])
        await connection.execute(
            _SQL["keep_pool_times"],
            {
                "pool": pool, "mean": whole.mean, "variance": whole.variance, "share": whole.share,
            },
        )  # fmt: skip


def together(samples: Sequence[Sample]) -> Sample:
    """Return one sample of a pool from those of its types."""
    count = sum(each.count for each in samples)
    mean = sum(each.mean * each.count for each in samples) / count
    variance = sum((each.variance + (each.mean - mean) ** 2) * each.count for each in samples)
    return Sample(pool=samples[0].pool, type="", count=count, mean=mean, variance=variance / count)


async def pace(connection: AsyncConnection, pool: str, task_type: str) -> Measured | None:
    """Return how fast a pool works, and how long tasks of a type run there."""
    async with connection.cursor(row_factory=class_row(Measured)) as cursor:
        await cursor.execute(_SQL["read_pace"], {"pool": pool, "type": task_type})
        return await cursor.fetchone()


async def paces(connection: AsyncConnection) -> dict[str, Measured]:
    """Return how fast each pool works; who runs is not counted."""
    async with connection.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_SQL["read_paces"])
        return {row.pop("pool"): Measured(**row) for row in await cursor.fetchall()}


async def count_ahead(
    connection: AsyncConnection,
    pool: str,
    *,
    tenant: TenantId,
    level: int,
    since: datetime | None = None,
    task_id: TaskId | None = None,
) -> int:
    """Count who goes before one that waits in Postgres; without `since`, before the next one."""
    given = {
        "pool": pool, "tenant": tenant, "level": level, "since": since, "id": task_id,
        "most": _MOST_COUNTED, "lines": _MOST_LINES,
        "most_of_others": _MOST_OF_OTHERS,
    }  # fmt: skip
    row = await (await connection.execute(_SQL["count_ahead"], given)).fetchone()
    return row[0] + row[1] if row else 0


async def count_queued_before(
    connection: AsyncConnection, pool: str, *, level: int, since: datetime
) -> int:
    """Count who goes before one that the broker holds."""
    given = {"pool": pool, "level": level, "since": since, "most": _MOST_COUNTED}
    row = await (await connection.execute(_SQL["count_queued_before"], given)).fetchone()
    return row[0] if row else 0
