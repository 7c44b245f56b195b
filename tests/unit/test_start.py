"""A deployment that is at fault does not start, and says where."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack import deployment, environment

RULE = """
[[rule]]
name = "broken"
match = "upload.#"
when = "data.size >"
task = "quick.echo"
"""


@pytest.mark.parametrize("role", [("api",), ("dispatcher",), ("ingest",), ("worker", "quick")])
def test_a_rule_that_does_not_compile_stops_every_role(
    tmp_path: Path, role: tuple[str, ...]
) -> None:
    """File, rule and column on stderr, exit code 2; no server was asked for anything."""
    pools = Path(deployment()["TASKYARD_ROUTING"]) / "pools.toml"
    (tmp_path / "pools.toml").write_text(pools.read_text())
    (tmp_path / "events.toml").write_text(RULE)
    env = environment(
        TASKYARD_DATABASE_URL="postgresql://nobody@127.0.0.1:1/none",
        TASKYARD_AMQP_URL="amqp://nobody:x@127.0.0.1:1/none",
        TASKYARD_WORKERS=deployment()["TASKYARD_WORKERS"],
        TASKYARD_ROUTING=str(tmp_path),
    )
    command = [sys.executable, "-m", "taskyard", *role]

    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 2, done.stderr
    assert "events.toml [[rule]] 'broken' when: column 12: ends too early" in done.stderr
    assert "Traceback" not in done.stderr
