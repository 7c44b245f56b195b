"""With the broker down the API keeps accepting, and everything runs once it is back."""

import os
import signal

import psutil
import pytest

from tests.stack import Gateway, deployment, gateway


def node(yard: Gateway) -> int:
    """The process of the private RabbitMQ."""
    below = psutil.Process(yard.process.pid).children()
    return next(process.pid for process in below if "beam" in process.name())


@pytest.mark.slow
def test_a_frozen_broker_delays_and_loses_nothing() -> None:
    """The node is stopped like a machine that hangs: connections stay, answers do not come."""
    with gateway(**deployment()) as yard:
        assert yard.run("calm.add", {"a": 1, "b": 1})["result"] == 2
        broker = node(yard)
        os.kill(broker, signal.SIGSTOP)
        try:
            ids = [yard.submit("calm.add", {"a": n, "b": 1})["id"] for n in range(20)]
            assert yard.http.get("/readyz").status_code == 200
        finally:
            os.kill(broker, signal.SIGCONT)
        assert [yard.wait(i, within=60)["result"] for i in ids] == [n + 1 for n in range(20)]
