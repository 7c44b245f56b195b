"""A short drill of the whole stack: what `make faults` does at length."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from taskyard.dev.rabbitmq import is_installed
from tests.stack import environment

DEPLOYMENT = Path(__file__).parent / "deployment"
FAULTS = (
    "kill-worker-child",
    "kill-worker",
    "kill-api-server",
    "crash-postgres",
    "swallow-commit",
    "cut-rabbitmq",
)


@pytest.mark.slow
@pytest.mark.skipif(
    not is_installed() and os.environ.get("CI") != "true", reason="rabbitmq-server is not installed"
)
def test_nothing_is_lost_while_faults_strike() -> None:
    """Every accepted task ends once, effects are there once, and nothing is left over."""
    # When
    command = [sys.executable, "-m", "taskyard", "drill", "--json", "--tasks", "240"]
    command += ["--seeds", "7", "--faults", str(len(FAULTS))]
    done = subprocess.run(
        [*command, *(word for name in FAULTS for word in ("--fault", name))],
        env=environment(
            TASKYARD_ROUTING=str(DEPLOYMENT / "routing"), TASKYARD_WORKERS=str(DEPLOYMENT / "code")
        ),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    # Then
    assert done.returncode == 0, done.stderr[-6000:]
    (told,) = json.loads(done.stdout)
    assert told["violations"] == {}
    assert set(told["struck"]) == set(FAULTS)
    assert told["tasks"] >= told["accepted"] > 200
    assert told["lost"] == told["double_effects"] == told["stale_writes"] == 0
