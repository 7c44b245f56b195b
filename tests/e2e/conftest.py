"""One running stack for all end-to-end tests of an xdist worker, on its own database and vhost."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.encryption import ENCRYPTION_KEYS
from tests.stack import Gateway, deployment, gateway


@pytest.fixture(scope="session")
def yard(server_url: str, amqp_url: str) -> Iterator[Gateway]:
    """A gateway with the tests' own deployment, and encryption at rest: the rest goes without."""
    name = f"e2e_{uuid4().hex[:10]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())
    with gateway(
        TASKYARD_DATABASE_URL=server_url.rsplit("/", 1)[0] + f"/{name}",
        TASKYARD_AMQP_URL=amqp_url,
        TASKYARD_PREFIX=f"e{uuid4().hex[:8]}",
        TASKYARD_ENCRYPTION_KEYS=ENCRYPTION_KEYS,
        **deployment(),
    ) as running:
        yield running
