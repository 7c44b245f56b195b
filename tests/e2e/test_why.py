"""Why a task is not running, as clients and the command line ask a running gateway."""

import json
import subprocess
import sys
from pathlib import Path

from taskyard.client import AsyncClient, Client
from tests.stack import Gateway, environment, until


async def test_every_way_of_asking_gives_the_same_answer(yard: Gateway) -> None:
    """HTTP, both clients and `taskyard tasks why`; in words and as JSON."""
    task = yard.submit("quick.echo", {"value": 1}, delay="1h")["id"]
    told = yard.http.get(f"/v1/tasks/{task}/why").json()
    assert (told["code"], told["until"] is not None) == ("due-later", True)
    with Client(yard.url, key=yard.key) as client:
        ordinary = client.why(task)
    async with AsyncClient(yard.url, key=yard.key) as client:
        assert await client.why(task) == ordinary
    assert (ordinary.id, ordinary.sentence) == (task, told["sentence"])

    def why(*words: str) -> str:
        command = [sys.executable, "-m", "taskyard", "tasks", "why", *words]
        done = subprocess.run(
            command, env=environment(**yard.reach), capture_output=True, text=True, check=True
        )
        return done.stdout

    assert json.loads(why(task, "--json")) == told
    assert why(task) == f"due-later  {told['sentence']}\n"


def test_a_task_is_followed_by_its_causes(yard: Gateway, tmp_path: Path) -> None:
    """It runs, is asked to stop, and is cancelled by the one who asked."""
    path = str(tmp_path / "begun")
    task = yard.submit("quick.slow_echo", {"path": path, "seconds": 60})["id"]

    def code() -> str:
        return str(yard.http.get(f"/v1/tasks/{task}/why").json()["code"])

    until(code, satisfied=lambda found: found == "running")
    assert yard.http.post(f"/v1/tasks/{task}/cancel").status_code == 202
    until(code, satisfied=lambda found: found in ("stopping", "cancelled"))
    yard.wait(task, "cancelled")
    said = yard.http.get(f"/v1/tasks/{task}/why").json()
    assert (said["code"], " by key:" in said["sentence"]) == ("cancelled", True), said
