"""One API process, and its database, for all tests of a worker that only need to ask it."""

from collections.abc import Iterator
from uuid import uuid4

import psycopg
import pytest

from tests.serving import Served, serving


@pytest.fixture(scope="session")
def served_database(template: str, server_url: str) -> Iterator[str]:
    """The database behind `served`."""
    name = f"served_{uuid4().hex[:12]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())
        yield server_url.rsplit("/", 1)[0] + f"/{name}"
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)'.encode())


@pytest.fixture(scope="session")
def served(served_database: str) -> Iterator[Served]:
    """A running API process."""
    with serving(served_database) as running:
        yield running
