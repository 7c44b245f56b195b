"""What /openapi.json says, and what the API does: Schemathesis tries both, with all its checks.

`make fuzz` does the same at length, from another seed each time.
"""

import os
import subprocess
import sys
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.serving import Served

CONFIG = Path(__file__).parents[2] / "schemathesis.toml"


RUN = """
UPDATE tasks SET state = 'running', lease_token = id, lease_expires_at = now() WHERE id = %(id)s;
UPDATE tasks SET state = 'succeeded', result = '1', finished_at = now(), lease_token = NULL,
                 lease_expires_at = NULL WHERE id = %(id)s"""


@pytest.fixture
def task(served: Served, served_database: str) -> str:
    """A task that has succeeded, and stays so whatever is asked of it."""
    given = {"type": "calm.add"}
    made = httpx.post(f"{served.url}/v1/tasks", json=given, headers=served.headers).json()
    with psycopg.ClientCursor(psycopg.connect(served_database, autocommit=True)) as cursor:
        cursor.execute(RUN.encode(), made)
        cursor.connection.close()
    return str(made["id"])


def explore(
    served: Served, task: str, folder: Path, *options: str
) -> subprocess.CompletedProcess[str]:
    # One thread: CPython 3.11 mistakes one thread's depth in `ast` for another's (gh-106905).
    command = ["run", f"{served.url}/openapi.json", "--workers", "1", "--no-color", *options]
    return subprocess.run(
        [Path(sys.executable).with_name("schemathesis"), "--config-file", CONFIG, *command],
        env=os.environ | {"TASKYARD_API_KEY": served.key, "A_TASK": task},
        cwd=folder,  # it keeps what it found below
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_api_does_what_its_document_says(served: Served, task: str, tmp_path: Path) -> None:
    """Every operation, its examples, edges and some chance, always the same."""
    done = explore(
        served, task, tmp_path, "--phases", "examples,coverage,fuzzing", "--max-examples", "4",
        "--seed", "1", "--generation-deterministic",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr


@pytest.mark.fuzz
def test_at_length(served: Served, task: str, tmp_path: Path) -> None:
    """The same for ten minutes with the steps that follow from one another: `make fuzz`."""
    done = explore(served, task, tmp_path, "--max-time", os.environ.get("FUZZ_SECONDS", "600"))
    print(done.stdout[-4_000:])
    assert done.returncode == 0, done.stdout[-40_000:] + done.stderr
