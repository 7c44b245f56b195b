"""Running stacks for end-to-end tests, on the servers that all tests share."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.encryption import ENCRYPTION_KEYS
from tests.stack import HERE, Gateway, Json, deployment, gateway


def place(server_url: str, amqp_url: str) -> Json:
    """Make a database, and choose names in the broker; what a gateway there is given."""
    name = f"e2e_{uuid4().hex[:10]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    return {
        "TASKYARD_DATABASE_URL": server_url.rsplit("/", 1)[0] + f"/{name}",
        "TASKYARD_AMQP_URL": amqp_url,
        "TASKYARD_PREFIX": f"e{uuid4().hex[:8]}",
        **deployment(),
    }


@pytest.fixture(scope="session")
def yard(server_url: str, amqp_url: str) -> Iterator[Gateway]:
    """One for all tests of an xdist worker, with encryption at rest: the others go without."""
    settings = place(server_url, amqp_url)
    with gateway(TASKYARD_ENCRYPTION_KEYS=ENCRYPTION_KEYS, **settings) as running:
        yield running


@pytest.fixture(scope="session")
def trio(server_url: str, amqp_url: str) -> Iterator[Gateway]:
    """A gateway with a pool of each kind, and the same tasks in each."""
    settings = place(server_url, amqp_url) | {
        "TASKYARD_ROUTING": str(HERE / "executions" / "routing"),
        "TASKYARD_WORKERS": str(HERE / "executions" / "code"),
    }
    with gateway(**settings) as running:
        yield running


@pytest.fixture
def apart(server_url: str, amqp_url: str) -> Json:
    """What a gateway of this test alone is given: it need not wait for servers to start."""
    return place(server_url, amqp_url)
