"""With the broker down the API keeps accepting, and everything runs once it is back."""

import os
import signal

import psutil
import pytest

from tests.stack import Gateway, deployment, gateway, until


def node(yard: Gateway) -> int:
    """The process of the private RabbitMQ."""
    below = psutil.Process(yard.process.pid).children()
    return next(process.pid for process in below if "beam" in process.name())


@pytest.mark.slow
def test_a_frozen_broker_delays_and_loses_nothing() -> None:
    """The node is stopped like a machine that hangs: connections stay, answers do not come.

    Tasks are accepted up to the bound of the backlog, and again once there is room.
    """
    with gateway(TASKYARD_LARGEST_BACKLOG="30", **deployment()) as yard:
        assert yard.run("calm.add", {"a": 1, "b": 1})["result"] == 2
        broker = node(yard)
        os.kill(broker, signal.SIGSTOP)
        try:
            ids = [yard.submit("calm.add", {"a": n, "b": 1})["id"] for n in range(20)]
            assert yard.http.get("/readyz").status_code == 200
            body = {"type": "calm.add", "args": {"a": 0, "b": 0}}
            full = until(
                lambda: yard.http.post("/v1/tasks", json=body),
                satisfied=lambda response: response.status_code != 202,
            )
            assert (full.status_code, full.json()["code"]) == (503, "backlog-full")
            assert 5 <= int(full.headers["Retry-After"]) <= 8
            batch = yard.http.post("/v1/tasks/batch", json={"tasks": [body]})
            assert (batch.status_code, batch.json()["code"]) == (503, "backlog-full")
        finally:
            os.kill(broker, signal.SIGCONT)
        assert [yard.wait(i, within=60)["result"] for i in ids] == [n + 1 for n in range(20)]
        until(lambda: yard.http.post("/v1/tasks", json=body).status_code == 202)
