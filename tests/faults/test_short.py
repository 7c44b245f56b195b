"""A short drill of the whole stack: what `make faults` does at length."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
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


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not is_installed() and os.environ.get("CI") != "true",
        reason="rabbitmq-server is not installed",
    ),
]


def surroundings() -> dict[str, str]:
    """The environment of a drill of the tests' own workers."""
    return environment(
        TASKYARD_ROUTING=str(DEPLOYMENT / "routing"), TASKYARD_WORKERS=str(DEPLOYMENT / "code")
    )


def test_nothing_is_lost_while_faults_strike() -> None:
    """Every accepted task ends once, effects are there once, and nothing is left over."""
    # When
    command = [sys.executable, "-m", "taskyard", "drill", "--json", "--tasks", "240"]
    command += ["--seeds", "7", "--faults", str(len(FAULTS))]
    done = subprocess.run(
        [*command, *(word for name in FAULTS for word in ("--fault", name))],
        env=surroundings(),
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


def test_a_drill_that_is_interrupted_leaves_nothing_running() -> None:
    """Ctrl-C in the middle of a fault ends servers, stack and drill."""
    # Given the first of ten faults, after a tenth of few tasks
    command = [
        sys.executable,
        "-m",
        "taskyard",
        "drill",
        "--fault",
        "crash-postgres",
        "--faults",
        "10",
    ]
    command += ["--tasks", "110"]
    drill = subprocess.Popen(command, env=surroundings(), stderr=subprocess.PIPE, text=True)
    assert drill.stderr is not None
    told = []
    for line in drill.stderr:
        told.append(line)
        if "1/10" in line:
            break
    started = psutil.Process(drill.pid).children(recursive=True)
    assert len(started) > 8, "".join(told)
    # When
    drill.send_signal(signal.SIGINT)
    # Then
    assert drill.wait(60) == 130
    drill.stderr.close()
    _, alive = psutil.wait_procs(started, timeout=10)
    assert alive == []
