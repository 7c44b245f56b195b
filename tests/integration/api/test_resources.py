"""GET /v1/resources: what the line, the permits and the reports have made of a budget."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.limits import Limit, Rate
from taskyard.core.routing import Pool, RoutingTable, TaskDefaults
from taskyard.core.routing_limits import limits_for
from taskyard.core.task import TaskId
from taskyard.storage.pool import connect_sync
from taskyard.worker import permits
from tests.application import api

TABLE = RoutingTable(
    pools={"p": Pool(name="p", tasks=("a.*",), modules=("m",))},
    defaults={"a.pay": TaskDefaults(resources=("stripe",))},
    resources={
        "stripe": Limit(name="resource:stripe", concurrency=2, rate=Rate(20, timedelta(seconds=1))),
        "smtp": Limit(name="resource:smtp", concurrency=1),
    },
)


async def test_a_resource_is_shown_as_it_stands(database_url: str) -> None:
    """Two run, one waits, and one of those that run was throttled."""
    async with api(database_url, TABLE) as client:
        before = await (await client.get("/v1/resources")).get_json()
        for _ in range(3):
            await client.post("/v1/tasks", json={"type": "a.pay"})
        with connect_sync(database_url, name="tests") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT id FROM tasks ORDER BY id")
            bounds = limits_for(TABLE, "a.pay")
            leases = [
                permits.claim(cursor, TaskId(UUID(str(row[0]))), "a.pay", "w", _token(), bounds)
                for row in cursor.fetchall()
            ]
            assert isinstance(leases[0], Lease)
            permits.report_throttled(cursor, bounds[0], pause=30, task_id=leases[0].id)
        after = await (await client.get("/v1/resources")).get_json()
    unused = {"running": 0, "started": 0, "waiting": 0, "reports": 0, "share": 1.0}
    assert {name: before["items"][0][name] for name in unused} == unused
    stripe, smtp = after["items"]
    assert (stripe["name"], stripe["types"], smtp["types"]) == ("stripe", ["a.pay"], [])
    assert stripe["budget"] == {"concurrency": 2, "rate": "20/s"}
    assert stripe["allowed"] == {"concurrency": 1, "rate": "10/s"}
    assert (stripe["running"], stripe["started"], stripe["waiting"]) == (2, 2, 1)
    assert (stripe["reports"], stripe["share"]) == (1, 0.5)
    assert stripe["paused_for"] == pytest.approx(30, abs=5)


def _token() -> LeaseToken:
    return LeaseToken(uuid4())
