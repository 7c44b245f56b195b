"""storage.overview: what runs longest, of however many that run."""

import re

from taskyard.storage.overview import longest_running
from taskyard.storage.pool import AsyncConnection
from taskyard.storage.sql import queries

RUNNING = """
    INSERT INTO tasks (id, type, pool, priority, state, max_attempts, due_at, publish_at, args,
                       lease_token, lease_expires_at, started_at, attempt)
    SELECT gen_random_uuid(), 'a.' || number, 'p' || number % 3, 4, 'running', 1, now(), now(),
           '{}', gen_random_uuid(), now(), now() - number * interval '1 second', 1
    FROM generate_series(1, 3000) AS number
"""


async def test_what_runs_longest_is_read_and_nothing_else(connection: AsyncConnection) -> None:
    """The first of each pool by its index, then the first of those."""
    await connection.execute(RUNNING)
    await connection.execute("ANALYZE tasks")
    found = await longest_running(connection, limit=4)
    assert [each.type for each in found] == ["a.3000", "a.2999", "a.2998", "a.2997"]
    explain = b"EXPLAIN (ANALYZE) " + queries("overview")["longest_running"].encode()
    plan = await (await connection.execute(explain, {"limit": 4})).fetchall()
    scans = [row[0] for row in plan if "Scan" in row[0] and "tasks" in row[0]]
    assert all("tasks_running" in scan for scan in scans), plan
    # Five of each pool at most: the fifth tells that the fourth is alone.
    assert any(re.search(r"rows=5(\.00)? loops=3", scan) for scan in scans), scans
