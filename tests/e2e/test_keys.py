"""`taskyard keys`: what an operator does with keys, against a running gateway."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.stack import Gateway, until


def keys(yard: Gateway, *words: str, code: int = 0) -> str:
    """Run the command as an operator does, who has the settings of the deployment."""
    [api] = [each for each in yard.processes("api") if each.ppid() == yard.process.pid]
    given = {name: api.environ()[name] for name in ("TASKYARD_KEY_PEPPER",)}
    env = {
        **yard.env, **given, "COLUMNS": "200",
        "TASKYARD_DATABASE_URL": yard.ready["database_url"],
        "TASKYARD_AMQP_URL": yard.ready["amqp_url"],
    }  # fmt: skip
    command = [sys.executable, "-m", "taskyard", "keys", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.mark.slow
def test_a_key_from_its_making_to_its_end(yard: Gateway, tmp_path: Path) -> None:
    """Made for a tenant of its own, used within its scopes, listed, rotated, revoked."""
    file = tmp_path / "key"
    made = keys(
        yard, "create", "reader", "--scope", "read", "--scope", "submit",
        "--tenant", "acme", "--types", "quick.*", "-o", str(file),
    )  # fmt: skip
    assert (file.stat().st_mode & 0o777, "acme" in made) == (0o600, True)
    assert "exists" in keys(yard, "create", "x", "--scope", "read", "-o", str(file), code=2)

    def ask(key: str, method: str, path: str, **more: Any) -> Any:
        headers = {"Authorization": f"Bearer {key}"}
        return yard.http.request(method, path, headers=headers, **more)

    key = file.read_text().strip()
    task = ask(key, "POST", "/v1/tasks", json={"type": "quick.echo", "args": {"value": 1}}).json()
    assert yard.http.get(task["links"]["self"]).status_code == 404  # the first key is of `default`
    shown = until(
        lambda: ask(key, "GET", task["links"]["self"]).json(),
        satisfied=lambda found: found["state"] == "succeeded",
    )
    assert shown["result"] == 1
    assert ask(key, "POST", f"/v1/tasks/{task['id']}/cancel").status_code == 403
    assert ask(key, "POST", "/v1/tasks", json={"type": "slow.echo"}).status_code == 403
    [listed] = json.loads(keys(yard, "list", "--tenant", "acme", "--json"))
    assert (listed["scopes"], listed["patterns"]) == (["read", "submit"], ["quick.*"])
    assert key.split("_")[2] not in json.dumps(listed)

    other = keys(yard, "rotate", f"tk_{listed['prefix']}", "--overlap", "1h").strip()
    assert ask(other, "GET", task["links"]["self"]).status_code == 200
    keys(yard, "revoke", key)
    until(lambda: ask(key, "GET", "/v1/tasks").status_code == 401)
    assert ask(other, "GET", "/v1/tasks").status_code == 200
    assert "no valid key" in keys(yard, "revoke", key, code=2)


def test_the_ready_line_has_an_admin_key(yard: Gateway) -> None:
    """It is in a file that we alone may read, as is the pepper; nobody else is told."""
    folder = next(Path(each) for each in _arguments(yard) if each.endswith("/state"))
    assert (folder / "admin-key").read_text().strip() == yard.key
    for name in ("admin-key", "key-pepper"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert yard.key not in yard.log.read_text()
    assert yard.http.get("/v1/pools", headers={"Authorization": ""}).status_code == 401


def _arguments(yard: Gateway) -> list[str]:
    return [os.fsdecode(each) for each in yard.process.args]  # type: ignore[union-attr]
