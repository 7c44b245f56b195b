"""Stopping the API under load: what was taken in is answered."""

import threading
from collections import Counter
from typing import Any

import httpx
import psycopg
import pytest

from tests.stack import Gateway, Json, gateway, until


@pytest.mark.slow
def test_requests_under_way_when_the_api_stops_are_answered(apart: Json) -> None:
    """SIGTERM to a loaded API: each request has a 202 or was never taken in; every 202 runs."""
    accepted: list[str] = []
    outcomes: Counter[str] = Counter()
    stopping = threading.Event()

    def submit(yard: Gateway) -> None:
        with httpx.Client(base_url=yard.url, timeout=20, headers=yard.headers) as http:
            while not stopping.is_set():
                try:
                    response = http.post("/v1/tasks", json={"type": "quick.echo"})
                except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError) as error:
                    outcomes[type(error).__name__] += 1
                    return
                outcomes[str(response.status_code)] += 1
                accepted.append(response.json()["id"])

    with gateway(**apart) as yard:
        threads = [threading.Thread(target=submit, args=(yard,)) for _ in range(16)]
        for thread in threads:
            thread.start()
        until(lambda: len(accepted) > 300)
        parent, *_ = sorted(yard.processes("api"), key=lambda process: process.pid)
        parent.terminate()
        for thread in threads:
            thread.join(30)
        stopping.set()
        until(lambda: "api died" in yard.log.read_text())

        def back() -> Any:
            try:
                return yard.http.get("/readyz").status_code == 200
            except httpx.TransportError:
                return False

        until(back)
        assert set(outcomes) <= {"202", "ConnectError", "RemoteProtocolError", "ReadError"}
        # A connection may close on a request that was still being sent, but what was taken in and
        # stored has its answer: there is no task that nobody was told of.
        with psycopg.connect(yard.ready["database_url"]) as connection:
            row = connection.execute("SELECT count(*) FROM tasks").fetchone()
        assert row == (len(accepted),), outcomes
        for task_id in accepted:
            assert yard.wait(task_id, within=60)["state"] == "succeeded"
