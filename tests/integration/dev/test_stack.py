"""The supervisor with real, tiny roles: what it starts, restarts, says and leaves behind."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.stack import environment, until

# A supervisor over the roles of one test. Servers that are given are not started, so it is quick.
SUPERVISOR = """
import asyncio, json, os, signal, sys
from pathlib import Path
from taskyard.dev.roles import Role
from taskyard.dev.stack import Stack

given = json.loads(sys.argv[1])

async def prepare(database_url, amqp_url):
    print(f"preparing {database_url} {amqp_url}", file=sys.stderr)
    if given["signal_while_preparing"]:
        os.kill(os.getpid(), signal.SIGTERM)
    return "tk_made"

stack = Stack(
    folder=Path(given["folder"]), prepare=prepare, environment=os.environ, port=None,
    roles=[Role(**role) for role in given["roles"]],
    as_json=given["as_json"], command=given["command"],
)
sys.exit(stack.run(database_url=given["database_url"], amqp_url="amqp://given"))
"""

_BEGIN = """
import os, signal, subprocess, sys, time
from taskyard.notify import ready

def stop(*_):
    print("stopping", flush=True)
    sys.exit(0)

signal.signal(signal.SIGTERM, stop)
print("at", os.environ["TASKYARD_DATABASE_URL"], os.environ["TASKYARD_API_PORT"], flush=True)
"""
_WAIT = "\nready()\nprint('serving', flush=True)\nwhile True: signal.pause()\n"
_CHILD = [sys.executable, "-c", "import signal; signal.pause()"]
STEADY = _BEGIN + _WAIT
STUBBORN = (
    _BEGIN
    + "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    + f"subprocess.Popen({_CHILD}, preexec_fn=lambda: signal.signal(15, signal.SIG_IGN))"
    + _WAIT
)
WITH_CHILD = _BEGIN + f"subprocess.Popen({_CHILD})" + _WAIT
WITH_DAEMON = (
    _BEGIN
    + f"daemon = subprocess.Popen({_CHILD}, start_new_session=True)\n"
    + "print('daemon', daemon.pid, flush=True)"
    + _WAIT
)
BROKEN = _BEGIN + "sys.exit('no such pool: media')\n"


def role(name: str, script: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "argv": [sys.executable, "-c", script], **more}


@dataclass(frozen=True)
class Supervisor:
    """What a test sees of a running supervisor."""

    process: subprocess.Popen[str]
    log: Path

    def said(self, text: str, *, times: int = 1) -> None:
        """Wait until it has said something, that often."""
        until(lambda: self.log.read_text().count(text) >= times)

    def below(self) -> list[psutil.Process]:
        """Return every process it has started."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def role(self) -> psutil.Process:
        """Return the process of the only role."""
        [found] = until(lambda: psutil.Process(self.process.pid).children())
        return found

    def ends(self, within: float = 15.0) -> int:
        """Return its exit code, once it and all that it started are gone."""
        below = self.below()
        code = self.process.wait(within)
        gone(below)
        return code


def gone(processes: list[psutil.Process]) -> None:
    """Wait for the end of processes that somebody else reaps."""
    _, alive = psutil.wait_procs(processes, timeout=5)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


@contextmanager
def supervisor(
    folder: Path,
    *roles: dict[str, Any],
    as_json: bool = True,
    command: list[str] | None = None,
    database_url: str | None = "postgresql://given",
    signal_while_preparing: bool = False,
) -> Iterator[Supervisor]:
    """Start a supervisor, and kill what a failing test left of it."""
    given = {
        "folder": str(folder / "state"),
        "roles": roles,
        "as_json": as_json,
        "command": command or [],
        "database_url": database_url,
        "signal_while_preparing": signal_while_preparing,
    }
    log = folder / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-c", SUPERVISOR, json.dumps(given)],
            env=environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as process,
    ):
        started = psutil.Process(process.pid)
        try:
            yield Supervisor(process, log)
        finally:
            if process.poll() is None:
                for left in [*started.children(recursive=True), started]:
                    left.kill()


def test_one_line_on_stdout_and_the_rest_on_stderr(tmp_path: Path) -> None:
    """With --json stdout is for machines: the ready line, whatever the roles print."""
    with supervisor(tmp_path, role("api", STEADY), role("worker a", STEADY)) as up:
        # Given a stack that serves and is told to stop,
        up.said("api | serving")
        up.said("worker a | serving")
        assert up.process.stdout is not None
        ready = json.loads(up.process.stdout.readline())
        up.process.terminate()
        # When it has ended,
        assert up.ends() == 0
        # Then it has said one thing on stdout, and the rest on stderr, by role.
        assert up.process.stdout.read() == ""
    assert ready == {
        "event": "ready",
        "api_url": ready["api_url"],
        "api_key": "tk_made",
        "database_url": "postgresql://given",
        "amqp_url": "amqp://given",
    }
    log = up.log.read_text()
    port = ready["api_url"].removeprefix("http://127.0.0.1:")
    assert f"worker a | at postgresql://given {port}\n" in log
    assert log.index("preparing") < log.index("api | at")


def test_people_are_told_where_everything_is(tmp_path: Path) -> None:
    """Without --json the addresses are in a sentence, and Ctrl-C ends it."""
    with supervisor(tmp_path, role("api", STEADY), as_json=False) as up:
        up.said("ready: the API is at http://127.0.0.1:")
        up.said("Ctrl-C stops everything")
        up.process.send_signal(signal.SIGINT)
        assert up.ends() == 0


def test_what_brings_work_in_stops_first(tmp_path: Path) -> None:
    """The API has ended before a worker is asked to."""
    late = _BEGIN.replace("sys.exit(0)", "time.sleep(0.5); print('ended'); sys.exit(0)") + _WAIT
    roles = role("worker", STEADY), role("api", late, first_to_stop=True)
    with supervisor(tmp_path, *roles) as up:
        up.said("worker | serving")
        up.said("api | serving")
        up.process.terminate()
        assert up.ends() == 0
    log = up.log.read_text()
    assert log.index("api | ended") < log.index("worker | stopping")


def test_a_dead_role_comes_back_later_each_time(tmp_path: Path) -> None:
    """It is said who died, of what, and when it is started again."""
    with supervisor(tmp_path, role("worker", STEADY)) as up:
        up.said("worker | serving")
        for number, wait in enumerate(("0.5", "1"), start=2):
            dead = up.role()
            dead.kill()
            up.said(f"worker died (signal SIGKILL); starting it again in {wait} s")
            up.said("worker | serving", times=number)
            assert up.role().pid != dead.pid
        up.process.terminate()
        assert up.ends() == 0


def test_a_role_that_leaves_children_behind_comes_back(tmp_path: Path) -> None:
    """Its children hold its output open and would work on beside the new one: they end first."""
    with supervisor(tmp_path, role("worker", WITH_CHILD)) as up:
        up.said("worker | serving")
        [child] = up.role().children()
        up.role().kill()
        up.said("worker | serving", times=2)
        gone([child])
        up.process.terminate()
        assert up.ends() == 0


def test_a_daemon_that_holds_the_output_of_its_role_holds_up_nothing(tmp_path: Path) -> None:
    """A process that left the role's group is not ours to end, nor to wait for."""
    with supervisor(tmp_path, role("worker", WITH_DAEMON)) as up:
        up.said("worker | serving")
        [pid] = [line.split()[-1] for line in up.log.read_text().splitlines() if "daemon" in line]
        daemon = psutil.Process(int(pid))
        try:
            up.process.terminate()
            assert up.process.wait(15) == 0
            assert daemon.is_running()
        finally:
            daemon.kill()


def test_a_role_that_does_not_stop_is_killed_with_its_children(tmp_path: Path) -> None:
    """SIGTERM is a request with a time limit."""
    with supervisor(tmp_path, role("worker", STUBBORN, stop_within=0.5)) as up:
        up.said("worker | serving")
        assert len(up.below()) == 2
        up.process.terminate()
        assert up.ends() == 0
        up.said("worker did not stop within 0.5 s; killing it")


def test_a_second_signal_kills_at_once(tmp_path: Path) -> None:
    """Whoever presses Ctrl-C twice does not want to wait for a role that hangs."""
    with supervisor(tmp_path, role("worker", STUBBORN, stop_within=60.0)) as up:
        up.said("worker | serving")
        up.process.send_signal(signal.SIGINT)
        up.said("stopping …")
        up.process.send_signal(signal.SIGINT)
        assert up.ends(5) == 1


def test_a_signal_while_roles_start_stops_them_too(tmp_path: Path) -> None:
    """Between the decision to start a role and its first breath nothing gets lost."""
    roles = [role(f"worker {n}", STUBBORN, stop_within=0.5) for n in range(4)]
    with supervisor(tmp_path, *roles, signal_while_preparing=True) as up:
        assert up.process.wait(15) == 0


def test_a_role_that_never_becomes_ready_ends_the_start(tmp_path: Path) -> None:
    """With exit code 1, no ready line, and the last that the role said."""
    with supervisor(tmp_path, role("api", STEADY), role("worker", BROKEN)) as up:
        assert up.process.wait(15) == 1
        assert up.process.stdout is not None
        assert up.process.stdout.read() == ""
    assert "taskyard: worker ended with 1\n" in up.log.read_text()
    assert "    no such pool: media\n" in up.log.read_text()


def test_no_role_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    """Kill -9 leaves it no time to say goodbye; the kernel does."""
    with supervisor(tmp_path, role("api", STEADY), role("worker", STEADY)) as up:
        up.said("api | serving")
        up.said("worker | serving")
        below = up.below()
        assert len(below) == 2
        up.process.kill()
        up.process.wait()
        gone(below)


def test_a_command_runs_beside_the_stack_and_ends_it(tmp_path: Path) -> None:
    """It reads our stdin, writes our stdout, knows the API, and its exit code is ours."""
    script = "import os; print(os.environ['TASKYARD_API_URL'], input()); raise SystemExit(7)"
    command = [sys.executable, "-c", script]
    with supervisor(tmp_path, role("api", STEADY), as_json=False, command=command) as up:
        out, _ = up.process.communicate("hello\n", timeout=15)
        assert up.process.returncode == 7
    url, word = out.split()
    assert url.startswith("http://127.0.0.1:")
    assert word == "hello"


def test_a_signal_during_a_command_ends_even_one_that_does_not_listen(tmp_path: Path) -> None:
    """All stops, the command too."""
    script = (
        "import signal\nsignal.signal(15, signal.SIG_IGN)\n"
        "print('deaf', flush=True)\nsignal.pause()"
    )
    command = [sys.executable, "-c", script]
    with supervisor(tmp_path, role("api", STEADY), as_json=False, command=command) as up:
        assert up.process.stdout is not None
        assert up.process.stdout.readline() == "deaf\n"
        assert len(up.below()) == 2
        up.process.terminate()
        assert up.ends() == 130


def test_a_dead_server_ends_everything(folder: Path) -> None:
    """Nothing goes on without its server: it is named, and the exit code is 1."""
    started = time.monotonic()
    with supervisor(folder, role("api", STEADY), database_url=None) as up:
        up.said("api | serving")
        [server] = [each for each in up.below() if "postgres" in each.cmdline()[0]
                    and each.ppid() == up.process.pid]  # fmt: skip
        server.kill()
        assert up.ends() == 1
        up.said("Postgres has died; see its log in")
    assert time.monotonic() - started < 30


def test_a_signal_while_servers_start_ends_them(folder: Path) -> None:
    """Not yet ready is no reason to leave something behind."""
    with supervisor(folder, role("api", STEADY), database_url=None) as up:
        below = until(up.below)
        up.process.terminate()
        assert up.process.wait(15) == 0
        gone(below)


def test_a_database_that_was_being_made_when_all_was_killed_is_made_anew(folder: Path) -> None:
    """Half a cluster looks like a whole one; it must not be taken for one the next time."""
    with supervisor(folder, role("api", STEADY), database_url=None) as up:
        until(lambda: list(folder.glob("state/postgres-*/PG_VERSION")))
        below = up.below()
        up.process.kill()
        up.process.wait()
        gone(below)
    with supervisor(folder, role("api", STEADY), database_url=None) as up:
        up.said("api | serving")
        up.process.terminate()
        assert up.ends() == 0
