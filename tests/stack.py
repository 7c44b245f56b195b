"""A running gateway for the tests: `taskyard up --json` as a user starts it."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import httpx
import psutil
import psycopg

from taskyard.dev.processes import free_port

HERE = Path(__file__).parent
T = TypeVar("T")

Json = dict[str, Any]


def until(
    ask: Callable[[], T], *, within: float = 20.0, satisfied: Callable[[T], bool] = bool
) -> T:
    """Return the first answer that satisfies; fail with the last one when none does in time."""
    deadline = time.monotonic() + within
    while not satisfied(answer := ask()):
        assert time.monotonic() < deadline, f"not so within {within:g} s: {answer!r}"
        time.sleep(0.02)
    return answer


class NotifySocket:
    """What a process tells that it is ready, by the protocol of sd_notify(3)."""

    def __enter__(self) -> "NotifySocket":
        self.address = f"@taskyard-tests-{uuid4().hex}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + self.address[1:])
        return self

    def wait(self, within: float) -> None:
        """Return once READY=1 has come; raises TimeoutError."""
        self._socket.settimeout(within)
        assert self._socket.recv(100) == b"READY=1"

    def __exit__(self, *_: object) -> None:
        self._socket.close()


@dataclass(frozen=True)
class Gateway:
    """What a test may do with a running stack."""

    process: subprocess.Popen[str]
    http: httpx.Client
    ready: Json
    log: Path
    env: dict[str, str]

    @property
    def url(self) -> str:
        """Where the API listens."""
        return str(self.ready["api_url"])

    @property
    def key(self) -> str:
        """An admin key."""
        return str(self.ready["api_key"])

    @property
    def headers(self) -> dict[str, str]:
        """What lets a request in."""
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def reach(self) -> dict[str, str]:
        """The environment of whoever is to call this gateway."""
        return {"TASKYARD_API_URL": self.url, "TASKYARD_API_KEY": self.key}

    def submit(self, task_type: str, args: Json | None = None, **more: Any) -> Json:
        """Submit a task that must be accepted."""
        response = self.http.post("/v1/tasks", json={"type": task_type, "args": args or {}, **more})
        assert response.status_code == 202, response.text
        return dict(response.json())

    def batch(self, tasks: list[Json]) -> list[Json]:
        """Submit tasks that must all be accepted."""
        answer = self.http.post("/v1/tasks/batch", json={"tasks": tasks}).json()
        assert answer["accepted"] == len(tasks), answer
        return list(answer["items"])

    def get(self, task_id: str) -> Json:
        """Read a task that must be there."""
        response = self.http.get(f"/v1/tasks/{task_id}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    def wait(self, task_id: str, *states: str, within: float = 20.0) -> Json:
        """Return the task once it is in one of the states; any end, if none is named."""
        wanted = states or ("succeeded", "failed", "cancelled", "expired", "quarantined")
        return until(
            lambda: self.get(task_id), within=within, satisfied=lambda t: t["state"] in wanted
        )

    def ended(self, ids: list[str], within: float = 60.0) -> list[Json]:
        """Return tasks once all have ended, in one look: a request for each takes its time."""
        with psycopg.connect(self.ready["database_url"], autocommit=True) as connection:
            until(
                lambda: connection.execute(
                    "SELECT count(finished_at) FROM tasks WHERE id = ANY(%s::uuid[])",
                    (ids,),
                ).fetchone(),
                within=within,
                satisfied=lambda row: row == (len(ids),),
            )
            rows = connection.execute(
                "SELECT id::text, state, result, worker FROM tasks WHERE id = ANY(%s::uuid[])",
                (ids,),
            ).fetchall()
        return [dict(zip(("id", "state", "result", "worker"), row, strict=True)) for row in rows]

    def run(self, task_type: str, args: Json | None = None, **more: Any) -> Json:
        """Submit a task and return it once it has ended."""
        return self.wait(self.submit(task_type, args, **more)["id"])

    def events(self, task_id: str) -> list[Json]:
        """Return the history of a task."""
        return list(self.http.get(f"/v1/tasks/{task_id}/events").json()["items"])

    @contextmanager
    def worker(self, pool: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start one more worker of a pool, ready to work; SIGTERM ends it, if the test did not."""
        with NotifySocket() as notify:
            process = subprocess.Popen(
                [sys.executable, "-m", "taskyard", "worker", pool],
                env=self.env
                | {
                    "TASKYARD_DATABASE_URL": self.ready["database_url"],
                    "TASKYARD_AMQP_URL": self.ready["amqp_url"],
                    "NOTIFY_SOCKET": notify.address,
                },
                stderr=subprocess.DEVNULL,
            )
            try:
                notify.wait(30)
                yield process
            finally:
                if process.poll() is None:
                    process.terminate()
                assert process.wait(60) == 0

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return the processes of the stack whose command line ends with these words."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return [each for each in below if tuple(_command(each)[-len(words) :]) == words]


def _command(process: psutil.Process) -> list[str]:
    """Return the command line of a process; of one that has just ended, nothing."""
    try:
        return process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return []


def deployment() -> dict[str, str]:
    """The settings that choose the tests' own routing table and task code."""
    return {
        "TASKYARD_ROUTING": str(HERE / "deployment" / "routing"),
        "TASKYARD_WORKERS": str(HERE / "deployment" / "code"),
    }


def environment(**more: str) -> dict[str, str]:
    """The environment of a stranger: ours without what tests or users may have set."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("TASKYARD_", "NOTIFY_"))}
    return {**kept, **more}


@contextmanager
def gateway(**settings: str) -> Iterator[Gateway]:
    """Start a stack with these settings, and stop it as Ctrl-C would."""
    with tempfile.TemporaryDirectory(prefix="taskyard-stack-") as folder:
        Path(folder).chmod(0o755)
        log = Path(folder) / "log"
        # A crowded machine is no overload: a test that wants to be refused says so.
        given = {"TASKYARD_SUBMIT_TARGET": "10s", "TASKYARD_STORES": f"files={folder}/files"}
        env = environment(**{**given, **settings})
        command = ["up", "--json", "--port", str(free_port()), "--folder", f"{folder}/state"]
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "taskyard", *command],
                env=env,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line, f"the stack did not start:\n{log.read_text()[-4000:]}"
            ready = json.loads(line)
            headers = {"Authorization": f"Bearer {ready['api_key']}"}
            with httpx.Client(base_url=ready["api_url"], timeout=30, headers=headers) as http:
                yield Gateway(process, http, ready, log, env)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(30)
            assert process.stdout is not None
            process.stdout.close()
