"""The metrics that each process serves of itself, as Prometheus scrapes them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families as families

from taskyard.dev.processes import free_port
from tests.stack import Gateway, NotifySocket, until

Scraped = dict[tuple[str, ...], float]


class Scraper:
    """Scrapes one process."""

    def __init__(self) -> None:
        self.port = free_port()

    @property
    def setting(self) -> dict[str, str]:
        return {"TASKYARD_METRICS_LISTEN": f"127.0.0.1:{self.port}"}

    def text(self) -> str:
        answer = httpx.get(f"http://127.0.0.1:{self.port}/metrics")
        assert answer.status_code == 200
        return answer.text

    def read(self) -> Scraped:
        """The values by the names of their metrics and what their labels say."""
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in families(self.text())
            for sample in family.samples
        }


@contextmanager
def role(yard: Gateway, name: str, scraper: Scraper) -> Iterator[None]:
    """Run one more process of a role beside a stack; SIGTERM must end it."""
    given = {name: yard.ready[name.removeprefix("TASKYARD_").lower()] for name in URLS}
    with NotifySocket() as notify:
        process = subprocess.Popen(
            [sys.executable, "-m", "taskyard", name],
            env=yard.env | given | scraper.setting | {"NOTIFY_SOCKET": notify.address},
            stderr=subprocess.DEVNULL,
        )
        try:
            notify.wait(30)
            yield
        finally:
            process.terminate()
            assert process.wait(30) == 0


URLS = ("TASKYARD_DATABASE_URL", "TASKYARD_AMQP_URL")


def checked(text: str) -> None:
    """Prometheus's linter finds nothing amiss with what is ours."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_worker_tells_what_it_runs_and_keeps(yard: Gateway, tmp_path: Path) -> None:
    """Its slots, the attempts in its children, and the heartbeats for their leases."""
    scraper = Scraper()
    with replace(yard, env=yard.env | scraper.setting).worker("quick"):
        before = scraper.read()
        assert before["taskyard_worker_slots", "quick"] == 2
        assert before["taskyard_worker_heartbeat_age_seconds", "quick"] == 0
        # Given so many tasks that some of them come to this worker
        fifos = [tmp_path / f"{n}" for n in range(4)]
        for fifo in fifos:
            os.mkfifo(fifo)
        made = [yard.submit("quick.wait", {"path": str(fifo)})["id"] for fifo in fifos]
        # When they run
        for task in made:
            yard.wait(task, "running")
        beats = ("taskyard_worker_heartbeats_total", "quick")
        running = until(scraper.read, satisfied=lambda found: found[beats] > before[beats])
        assert running["taskyard_worker_attempts", "quick"] == 2
        assert running["taskyard_worker_heartbeat_age_seconds", "quick"] < 15
        checked(scraper.text())
        # Then it has none any more once they have ended, and lost none
        for fifo in fifos:
            fifo.write_text("go on")
        for task in made:
            yard.wait(task, "succeeded")
        ended = until(
            scraper.read, satisfied=lambda found: found["taskyard_worker_attempts", "quick"] == 0
        )
        assert ended["taskyard_worker_leases_lost_total", "quick"] == 0
        assert ended["process_resident_memory_bytes",] > 1e6


def test_a_dispatcher_tells_what_the_broker_said(yard: Gateway) -> None:
    """What it published is counted by the answer."""
    scraper = Scraper()
    confirmed = ("taskyard_dispatcher_publishes_total", "confirmed")
    with role(yard, "dispatcher", scraper):
        connected = ("taskyard_dispatcher_broker_connected",)
        until(scraper.read, satisfied=lambda found: found[connected] == 1)

        def after_another() -> Scraped:
            """The stack has a dispatcher of its own: sooner or later one comes to this."""
            yard.wait(yard.submit("quick.echo", delay="10ms")["id"], "succeeded")
            return scraper.read()

        found = until(after_another, satisfied=lambda found: found[confirmed] > 0)
        assert found["taskyard_dispatcher_rounds_total",] > 0
        assert found["taskyard_dispatcher_round_seconds_total",] > 0
        checked(scraper.text())


def test_an_ingest_tells_what_it_holds(yard: Gateway) -> None:
    """And that it is connected."""
    scraper = Scraper()
    with role(yard, "ingest", scraper):
        connected = ("taskyard_ingest_broker_connected",)
        found = until(scraper.read, satisfied=lambda found: found[connected] == 1)
        assert found["taskyard_ingest_events_held",] == 0
        checked(scraper.text())


def test_two_processes_cannot_serve_at_one_address(yard: Gateway) -> None:
    """The second says so in words, and does not start."""
    scraper = Scraper()
    given = {name: yard.ready[name.removeprefix("TASKYARD_").lower()] for name in URLS}
    with role(yard, "ingest", scraper):
        second = subprocess.run(
            [sys.executable, "-m", "taskyard", "ingest"],
            env=yard.env | given | scraper.setting,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
    assert second.returncode != 0
    assert "TASKYARD_METRICS_LISTEN" in second.stderr
