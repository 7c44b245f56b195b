"""storage/queries/tasks.sql: two statements store submissions, and must say the same of a task."""

import re

from taskyard.storage.sql import queries

_INSERT = re.compile(r"INSERT INTO tasks (.*?)\nFROM ", re.DOTALL)


def test_both_inserts_store_a_task_alike() -> None:
    """A column added to one of them would be lost for submissions of the other kind."""
    found = [_INSERT.findall(queries("tasks")[n]) for n in ("insert_tasks", "insert_keyed_tasks")]
    assert found[0] == found[1]
    assert len(found[0]) == 1
