"""Keys for the tests, a task that says a canary wherever a task can, and a search for it."""

import base64
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg

from taskyard.core.lease import Lease, LeaseToken
from taskyard.core.sealed import EncryptionKeys
from taskyard.core.task import Failure, TaskId
from taskyard.storage import attempts, memos, task_logs, tasks
from taskyard.storage.pool import AsyncConnection, Cursor
from taskyard.storage.sealing import KeyRing
from taskyard.storage.task_logs import SaidLine
from tests.submissions import new

ENCRYPTION_KEYS = "e2e:" + base64.b64encode(b"for nothing but tests".ljust(32)).decode()


def ring(*ids: str) -> KeyRing:
    """A ring of these keys: the first closes. An id means the same key in every ring."""
    secrets = {each: each.encode().ljust(32, b"-") for each in ids if each != "plain"}
    active = ids[0] if ids and ids[0] != "plain" else None
    return KeyRing(EncryptionKeys(active=active, secrets=secrets))


def claim(worker: Cursor, task_id: TaskId) -> Lease:
    lease = attempts.claim(worker, task_id, "a.b", "w1", LeaseToken(uuid4()))
    assert lease is not None
    return lease


async def live(connection: AsyncConnection, worker: Cursor, canary: str) -> TaskId:
    """Let a task fail once and then succeed, and say a canary in everything it says."""
    submitted = new(None, args=f'{{"x":"args {canary}"}}')
    await tasks.insert(connection, [submitted])
    lease = claim(worker, submitted.id)
    failure = Failure(code="task-error", message=f"no {canary}", traceback=f"line {canary}")
    assert attempts.retry(worker, lease, failure, timedelta(0))
    await tasks.promote_due(connection, limit=10)
    lease = claim(worker, submitted.id)
    attempts.report_progress(worker, lease, {"fraction": 0.5, "message": f"half {canary}"})
    said = SaidLine(offset=1, age=0, text=f"said {canary}", fields=f'{{"field":"{canary}"}}')
    task_logs.keep(worker, lease, [said])
    assert memos.keep(worker, lease, "step", f'"memo {canary}"')
    assert attempts.finish(worker, lease, f'{{"y":"result {canary}"}}')
    return submitted.id


def columns_with(connection: psycopg.Connection[Any], canary: str) -> set[str]:
    """Return which columns of the database hold a text."""
    columns = connection.execute(
        "SELECT table_name, column_name, CASE data_type"
        """ WHEN 'bytea' THEN format('encode(%I, ''escape'')', column_name)"""
        """ ELSE format('%I::text', column_name) END"""
        " FROM information_schema.columns WHERE table_schema = 'public'"
    ).fetchall()
    return {
        f"{table}.{column}"
        for table, column, text in columns
        if connection.execute(
            f'SELECT EXISTS (SELECT FROM "{table}"'
            f""" WHERE strpos({text}, '{canary}') > 0)""".encode()
        ).fetchone()
        == (True,)
    }


def files_with(folder: Path, canary: str) -> list[Path]:
    """Return which files below a folder hold a text."""
    command = ["grep", "--recursive", "--files-with-matches", "--text", "--fixed-strings"]
    found = subprocess.run(
        [*command, "--", canary, str(folder)], capture_output=True, text=True, check=False
    )
    assert found.returncode in (0, 1) or "No such file" in found.stderr, found.stderr
    return [Path(line) for line in found.stdout.splitlines()]
