"""`python -m benchmarks.ingest`: how many events a second one ingest turns into tasks.

Starts a Postgres and a RabbitMQ of its own. Events wait in the queue when `taskyard ingest` starts;
the rate is taken from the database's clock, from the first stored event to the last. With kills the
process is ended with SIGKILL while events are under way, and it is counted from outside whether
each event has exactly one task.
"""

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import aio_pika
import msgspec
import psutil
import psycopg
import typer

from taskyard import bootstrap
from taskyard.dev import start_servers
from taskyard.settings import Settings, load

HERE = Path(__file__).parent
VHOST = "bench"
_COUNTS = """
SELECT (SELECT count(*) FROM inbox_events WHERE state = 'fired'),
       (SELECT count(*) FROM tasks),
       (SELECT count(DISTINCT args->>'n') FROM tasks),
       (SELECT count(*) FROM parked_events)"""
_SPAN = "SELECT extract(epoch FROM max(received_at) - min(received_at))::float8 FROM inbox_events"
_EMPTY = "TRUNCATE inbox_events, parked_events, tasks, task_events CASCADE"


def event(number: int) -> bytes:
    """A small event, as a service that stores files would send it."""
    return msgspec.json.encode(
        {
            "specversion": "1.0",
            "id": f"bench-{number}",
            "source": "/bench",
            "type": "bench.file.created",
            "time": "2026-01-31T12:00:00Z",
            "data": {"n": number, "size": 466_706, "key": f"inputs/{number}.png"},
        }
    )


async def publish(amqp_url: str, events: int) -> None:
    """Publish events and have them all confirmed."""
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("taskyard.events", ensure=False)
        for start in range(0, events, 200):
            await asyncio.gather(
                *(
                    exchange.publish(
                        aio_pika.Message(
                            event(number),
                            content_type="application/cloudevents+json",
                            delivery_mode=2,
                        ),
                        "bench.file.created",
                    )
                    for number in range(start, min(start + 200, events))
                )
            )


class Run:
    """Rounds on one pair of servers."""

    def __init__(self, settings: Settings, environment: dict[str, str]) -> None:
        self._settings = settings
        self._environment = environment
        self._database = psycopg.connect(settings.database_url, autocommit=True)

    def round(self, events: int, *, kills: int) -> dict[str, Any]:
        """Let events wait, ingest them, and count."""
        self._database.execute(_EMPTY)
        asyncio.run(publish(self._settings.amqp_url, events))
        process = self._start()
        began, largest, cpu = time.monotonic(), 0.0, 0.0
        for kill in range(1, kills + 1):
            self._until(lambda share=kill: self._fired() >= events * share // (kills + 1))
            process.send_signal(signal.SIGKILL)
            process.wait()
            process = self._start()
        watched = psutil.Process(process.pid)

        def over() -> bool:
            nonlocal largest, cpu
            largest = max(largest, watched.memory_info().rss / 2**20)
            cpu = sum(watched.cpu_times()[:2])
            return self._fired() >= events

        self._until(over)
        took = time.monotonic() - began
        process.terminate()
        process.wait()
        fired, tasks, distinct, parked = self._one(_COUNTS)
        span = self._one(_SPAN)[0]
        return {
            "events": events,
            "fired": fired,
            "tasks": tasks,
            "distinct": distinct,
            "parked": parked,
            "seconds": round(took, 2),
            "rate": round(events / span) if span and not kills else None,
            "cpu_ms_per_event": round(cpu / events * 1000, 3) if not kills else None,
            "largest_rss_mib": round(largest),
        }

    def _start(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-m", "taskyard", "ingest"], env=self._environment)

    def _fired(self) -> int:
        row = self._one("SELECT count(*) FROM inbox_events")
        return int(row[0])

    def _one(self, query: str) -> Any:
        row = self._database.execute(query.encode()).fetchone()
        assert row is not None
        return row

    def _until(self, ready: Any) -> None:
        deadline = time.monotonic() + 120
        while not ready():
            if time.monotonic() > deadline:
                raise TimeoutError("the events were not ingested within two minutes")
            time.sleep(0.05)


def main(
    events: Annotated[int, typer.Option(min=100)] = 20_000,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    killed: Annotated[int, typer.Option(help="Events of the round with kills.")] = 5_000,
    kills: Annotated[int, typer.Option(min=0)] = 3,
) -> None:
    """Measure, then kill."""
    with tempfile.TemporaryDirectory(prefix="taskyard-bench-") as folder:
        Path(folder).chmod(0o755)
        with start_servers(Path(folder), vhosts=(VHOST,)) as servers:
            environment = os.environ | {
                "TASKYARD_DATABASE_URL": servers.database_url,
                "TASKYARD_AMQP_URL": servers.amqp_url(VHOST),
                "TASKYARD_ROUTING": str(HERE / "deployment" / "routing"),
                "TASKYARD_WORKERS": str(HERE / "deployment" / "workers"),
                "TASKYARD_LOG_LEVEL": "warning",
            }
            settings = load(environment)
            asyncio.run(bootstrap.migrate_database(settings))
            asyncio.run(bootstrap.apply_topology(settings))
            run = Run(settings, environment)
            for _ in range(rounds):
                print(run.round(events, kills=0), flush=True)
            if kills:
                print(run.round(killed, kills=kills), flush=True)


if __name__ == "__main__":
    typer.run(main)
