"""`taskyard up` as a user runs it: on servers of its own, until Ctrl-C."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.stack import deployment, environment, gateway, until

TASKYARD = [sys.executable, "-m", "taskyard"]


@pytest.mark.slow
def test_up_starts_its_own_servers_and_leaves_nothing_behind() -> None:
    """One line on stdout when ready; a dead role comes back; SIGINT ends it all in time."""
    with gateway(**deployment()) as yard:
        assert set(yard.ready) >= {"event", "api_url", "amqp_url", "database_url"}
        assert yard.run("calm.add", {"a": 1, "b": 2})["result"] == 3
        below = psutil.Process(yard.process.pid).children(recursive=True)
        assert any("beam" in process.name() for process in below)
        # When the dispatcher dies, it is started again, and said so.
        [dispatcher] = yard.processes("dispatcher")
        dispatcher.kill()
        until(lambda: "dispatcher died" in yard.log.read_text())
        until(lambda: yard.processes("dispatcher"))
        assert yard.run("calm.add", {"a": 1, "b": 2}, delay="100ms")["result"] == 3
        below = psutil.Process(yard.process.pid).children(recursive=True)
        started = time.monotonic()
        yard.process.send_signal(signal.SIGINT)
        rest, _ = yard.process.communicate(timeout=30)
        assert time.monotonic() - started < 15
        assert (yard.process.returncode, rest) == (0, "")
        _, alive = psutil.wait_procs(below, timeout=5)
        assert not alive


@pytest.mark.slow
def test_nothing_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    """Kill -9 ends the roles and servers too, and the next start survives what is left."""
    tmp_path.chmod(0o755)
    for parent in (tmp_path.parent, tmp_path.parent.parent):
        parent.chmod(0o755)
    env = environment(**deployment())
    command = [*TASKYARD, "up", "--json", "--folder", str(tmp_path / "state")]

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["event"] == "ready"
        process.stdout.close()
        return process

    first = start()
    second = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert second.returncode == 2
    assert str(first.pid) in second.stderr
    below = psutil.Process(first.pid).children(recursive=True)
    first.kill()
    first.wait()
    _, alive = psutil.wait_procs(below, timeout=20)
    assert [process.cmdline() for process in alive] == []
    again = start()
    again.send_signal(signal.SIGTERM)
    assert again.wait(30) == 0


def run(*command: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TASKYARD, *command],
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_bad_routing_table_stops_the_start_with_every_fault(tmp_path: Path) -> None:
    """In words, with file and key, and before anything else is started."""
    (tmp_path / "pools.toml").write_text('[a]\ntasks = ["x.#"]\n[b]\ntasks = ["y"]\n')
    done = run("up", TASKYARD_ROUTING=str(tmp_path), TASKYARD_WORKERS=str(tmp_path))
    assert done.returncode == 2
    assert "pools.toml [a] modules: is required" in done.stderr
    assert "pools.toml [b] modules: is required" in done.stderr
    assert "Traceback" not in done.stderr


def test_missing_settings_are_explained() -> None:
    """Each by its name."""
    done = run("api")
    assert done.returncode == 2
    for name in ("TASKYARD_DATABASE_URL", "TASKYARD_AMQP_URL"):
        assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_check_proves_that_routing_and_task_code_agree(tmp_path: Path) -> None:
    """Without any server: what ships agrees; a pool without code and the reverse are told."""
    assert run("check").returncode == 0
    assert run("check", **deployment()).returncode == 0
    (tmp_path / "pools.toml").write_text(
        '[quick]\ntasks = ["quick.echo", "quick.none"]\nmodules = ["tinytasks.quick"]\n'
        '[gone]\ntasks = ["gone.*"]\nmodules = ["tinytasks.gone"]\n'
    )
    done = run("check", **{**deployment(), "TASKYARD_ROUTING": str(tmp_path)})
    assert done.returncode == 1
    for part in ("no task answers to the task type 'quick.none'", "tinytasks.gone does not import",
                 "quick.fail"):  # fmt: skip
        assert part in done.stdout


def test_every_command_has_a_help_text() -> None:
    """`--help` says what it does."""
    for command in ("", "api", "dispatcher", "worker", "migrate", "topology", "up", "tasks"):
        done = run(*command.split(), "--help")
        assert done.returncode == 0
        assert "Usage" in done.stdout


def test_the_client_commands_speak_to_a_server_that_is_not_there_in_words() -> None:
    """No stack trace."""
    done = run("pools", "list", "--api", f"http://127.0.0.1:{os.getpid() % 1000 + 1}")
    assert done.returncode == 2
    assert "does not answer" in done.stderr
