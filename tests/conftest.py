"""Real servers for the tests: one private RabbitMQ and Postgres for the whole run.

Every test gets a migrated database that holds nothing of another test, and names in the broker of
its own; every xdist worker has a virtual host of its own.
"""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from taskyard.dev import start_servers
from taskyard.dev.install import Missing
from taskyard.dev.processes import free_port
from taskyard.dev.rabbitmq import CONTROL, is_installed
from tests.slate import Slate
from tests.tls import Authority

if TYPE_CHECKING:
    from taskyard.storage.pool import AsyncConnection

_VHOSTS = 8
_DATABASE, _BROKER, _WHY = "TEST_DATABASE_URL", "TEST_AMQP_URL", "TEST_SERVERS_MISSING"
_CONTROL, _ADMIN = "TEST_RABBITMQCTL", "TEST_AMQP_ADMIN"
_TLS, _AMQPS_PORT = "TEST_TLS", "TEST_AMQPS_PORT"
_servers = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers once, in the process that starts the others, when a test may want them."""
    if hasattr(config, "workerinput") or _DATABASE in os.environ or _only_units(config):
        return
    if not is_installed() and os.environ.get("CI") != "true":
        os.environ[_WHY] = "rabbitmq-server is not installed"
        return
    folder = _servers.enter_context(tempfile.TemporaryDirectory(prefix="taskyard-tests-"))
    Path(folder).chmod(0o755)
    vhosts = [f"test{n}" for n in range(_VHOSTS)]
    try:
        servers = _servers.enter_context(
            start_servers(Path(folder), vhosts=vhosts, **_with_tls(Path(folder)))
        )
    except Missing as error:
        os.environ[_WHY] = str(error)
        return
    os.environ[_DATABASE] = servers.database_url
    os.environ[_BROKER] = servers.amqp_url("")
    os.environ[_CONTROL] = str(Path(folder) / CONTROL)
    user, _ = urlsplit(servers.amqp_url("")).netloc.split("@")
    os.environ[_ADMIN] = f"https://{user}@localhost:{os.environ[_ADMIN]}"


def _with_tls(folder: Path) -> dict[str, Any]:
    """Let the broker speak TLS as well, and be managed over HTTPS, with a throwaway CA."""
    (folder / "tls").mkdir()
    authority = Authority.made(folder / "tls")
    certificate, key = authority.issue()
    authority.issue("client.test")
    os.environ[_TLS] = str(folder / "tls")
    os.environ[_AMQPS_PORT], os.environ[_ADMIN] = str(free_port()), str(free_port())
    files = {"cacertfile": authority.file, "certfile": certificate, "keyfile": key}
    return {
        "rabbitmq_plugins": ["rabbitmq_management"],
        "rabbitmq_conf": {
            "listeners.ssl.1": f"127.0.0.1:{os.environ[_AMQPS_PORT]}",
            **{f"ssl_options.{name}": path for name, path in files.items()},
            "ssl_options.verify": "verify_peer",  # of clients that show a certificate
            "ssl_options.fail_if_no_peer_cert": "false",
            "management.ssl.ip": "127.0.0.1",
            "management.ssl.port": os.environ[_ADMIN],
            **{f"management.ssl.{name}": path for name, path in files.items()},
            "management_agent.disable_metrics_collector": "true",  # nobody looks at them
        },
    }


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop what was started."""
    if not hasattr(config, "workerinput"):
        _servers.close()


def _only_units(config: pytest.Config) -> bool:
    return bool(config.args) and all("tests/unit" in argument for argument in config.args)


def _given(name: str) -> str:
    if name not in os.environ:
        why = os.environ.get(_WHY, "the servers were not started")
        if os.environ.get("CI") == "true":
            pytest.fail(why)
        pytest.skip(why)
    return os.environ[name]


@pytest.fixture(scope="session")
def server_url() -> str:
    """The Postgres server, where tests make databases of their own."""
    return _given(_DATABASE)


@pytest.fixture(scope="session")
def amqp_url(worker_id: str) -> str:
    """A virtual host of this xdist worker."""
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    return _given(_BROKER) + f"test{number % _VHOSTS}"


@pytest.fixture(scope="session")
def rabbitmqctl() -> str:
    """The command for the broker that tests share."""
    return _given(_CONTROL)


@pytest.fixture(scope="session")
def management_url() -> str:
    """The management API of the broker that tests share, over TLS."""
    return _given(_ADMIN)


@pytest.fixture(scope="session")
def tls_folder() -> Path:
    """The throwaway CA of the broker that tests share, and certificates that it issued."""
    return Path(_given(_TLS))


@pytest.fixture(scope="session")
def amqps_url(amqp_url: str) -> str:
    """The virtual host of this xdist worker, over TLS."""
    parts = urlsplit(amqp_url)
    user, _ = parts.netloc.split("@")
    netloc = f"{user}@localhost:{_given(_AMQPS_PORT)}"
    return parts._replace(scheme="amqps", netloc=netloc).geturl()


@pytest.fixture
def prefix() -> str:
    """What the names of this test's exchanges and queues begin with."""
    return f"t{uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def template(worker_id: str, server_url: str) -> str:
    """The name of a migrated database that tests clone."""
    from taskyard.storage.migrate import migrate
    from taskyard.storage.pool import connect

    name = f"template_{worker_id}_{uuid4().hex[:6]}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}"'.encode())

    async def prepare() -> None:
        async with await connect(_database(server_url, name), name="tests") as connection:
            await migrate(connection)

    asyncio.run(prepare())
    return name


@pytest.fixture(scope="session")
def slate(template: str, server_url: str) -> Iterator[Slate]:
    """The database that the tests of this xdist worker have, one after the other."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        slate = Slate(connection, template, server_url)
        yield slate
        slate.drop()


@pytest.fixture
def database_url(slate: Slate) -> Iterator[str]:
    """A migrated database that is this test's alone, as nobody had it before."""
    yield slate.url
    slate.wipe()


def _database(server: str, name: str) -> str:
    return server.rsplit("/", 1)[0] + f"/{name}"


@pytest.fixture
async def connection(database_url: str) -> AsyncIterator["AsyncConnection"]:
    """A connection to this test's database, on behalf of the first tenant; it sees all rows."""
    from taskyard.core.principal import DEFAULT_TENANT, Owner
    from taskyard.storage.pool import connect

    async with await connect(database_url, name="tests") as opened:
        opened.owner = Owner(DEFAULT_TENANT)
        yield opened
