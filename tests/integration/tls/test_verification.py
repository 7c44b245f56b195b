"""Whoever connects checks the certificate and its name, and says what to do when they are wrong."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from structlog.testing import capture_logs

from taskyard.broker.consumer import open_consumer
from taskyard.broker.declare import connected
from taskyard.broker.publisher import open_publisher
from taskyard.broker.tls import explained
from taskyard.core.errors import BrokerUnavailable
from taskyard.core.routing import Pool, RoutingTable
from taskyard.ingest import HELD
from taskyard.settings import Settings, load
from taskyard.storage.pool import connect, connect_sync, open_pool
from taskyard.worker.app import make_celery
from taskyard.worker.runtime import Runtime
from tests.tls import NAME, Authority, behind_tls

ROOT = Path(__file__).parents[3]
Connects = Callable[[Settings], Awaitable[str]]  # returns what went wrong, or nothing


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.made(tmp_path_factory.mktemp("theirs"))


def settings(database_url: str, amqp_url: str, ca: str, *, broker: bool) -> Settings:
    return load(
        {
            "TASKYARD_DATABASE_URL": database_url,
            "TASKYARD_AMQP_URL": amqp_url,
            f"TASKYARD_{'AMQP' if broker else 'DATABASE'}_TLS_CA": ca,
            "TASKYARD_ROUTING": str(ROOT / "routing"),
            "TASKYARD_WORKERS": str(ROOT),
        }
    )


async def administer(given: Settings) -> str:
    def ask() -> None:
        with connected(given.amqp_url) as broker:
            broker.channel()

    try:
        await asyncio.to_thread(ask)
    except BrokerUnavailable as error:
        return error.detail
    return ""


async def publish(given: Settings) -> str:
    async with open_publisher(given.amqp_url, "amq.topic") as publisher:
        return await _told(publisher.connected)


async def consume(given: Settings) -> str:
    async with open_consumer(given.amqp_url, "nothing", bounds=HELD) as consumer:
        # There is no such queue, which only who has come in is told.
        told = await _told(consumer.connected)
        return "" if "NOT_FOUND" in told else told


async def _told(came_in: asyncio.Event) -> str:
    """Return what is logged about a connection that keeps trying, or nothing once it stands."""
    with capture_logs() as logs:
        async with asyncio.timeout(10):
            while not came_in.is_set():
                if lost := [log["error"] for log in logs if log["log_level"] == "warning"]:
                    return str(lost[0])
                await asyncio.sleep(0)
    return ""


async def work(given: Settings) -> str:
    pool = Pool(name="p", tasks=("#",), modules=())
    app = make_celery(
        pool,
        table=RoutingTable(pools={"p": pool}, defaults={}),
        runtime=Runtime(database_url=given.database_url, worker="w"),
        amqp_url=given.amqp_url,
        database_url=given.database_url,
        prefix="t",
    )

    def ask() -> None:
        with app.connection_for_read() as broker:
            # As the worker does it, but without its patience.
            broker.transport.establish_connection().close()

    try:
        await asyncio.to_thread(ask)
    except OSError as error:
        return explained(error)
    return ""


async def ask_database(given: Settings) -> str:
    try:
        async with await connect(given.database_url, name="t") as connection:
            await connection.execute("SELECT 1")
    except psycopg.OperationalError as error:
        return str(error)
    return ""


async def ask_database_blocking(given: Settings) -> str:
    try:
        (await asyncio.to_thread(connect_sync, given.database_url, name="t")).close()
    except psycopg.OperationalError as error:
        return str(error)
    return ""


async def borrow(given: Settings) -> str:
    async with open_pool(given.database_url, name="t", size=1) as pool:
        try:
            await pool.wait(timeout=10)
        except psycopg.OperationalError as error:  # pragma: no cover - says only that time is up
            return str(error)
    return ""


BROKER: list[Connects] = [administer, publish, consume, work]
DATABASE: list[Connects] = [ask_database, ask_database_blocking]


@pytest.mark.parametrize("client", [*BROKER, *DATABASE, borrow])
async def test_the_right_certificate_is_accepted(
    client: Connects, ours: Authority, database_url: str, amqp_url: str
) -> None:
    """By the CA that the setting names, though the system does not know it."""
    assert await _refusal(client, ours.issue(), ours, database_url, amqp_url) == ""


@pytest.mark.parametrize("client", [*BROKER, *DATABASE])
async def test_a_certificate_of_another_authority_is_refused(
    client: Connects, ours: Authority, theirs: Authority, database_url: str, amqp_url: str
) -> None:
    """And the setting that would mend it is named."""
    said = await _refusal(client, theirs.issue(), ours, database_url, amqp_url)
    assert "no CA that is trusted here" in said
    assert ("TASKYARD_AMQP_TLS_CA" if client in BROKER else "TASKYARD_DATABASE_TLS_CA") in said


@pytest.mark.parametrize("client", [*BROKER, *DATABASE])
async def test_a_certificate_for_another_name_is_refused(
    client: Connects, ours: Authority, database_url: str, amqp_url: str
) -> None:
    """A certificate of our own CA does not let one server pose as another."""
    said = await _refusal(client, ours.issue("other.test"), ours, database_url, amqp_url)
    assert "is for another name" in said


@pytest.mark.parametrize("client", [*BROKER, *DATABASE])
async def test_a_certificate_that_has_expired_is_refused(
    client: Connects, ours: Authority, database_url: str, amqp_url: str
) -> None:
    """Whoever has to renew it is told."""
    expired = ours.issue(NAME, valid_for=timedelta(days=-1))
    said = await _refusal(client, expired, ours, database_url, amqp_url)
    assert "has expired" in said
    assert "renew it there" in said


@pytest.mark.parametrize("client", [administer, publish, work, ask_database])
async def test_a_server_without_tls_is_refused(
    client: Connects, ours: Authority, database_url: str, amqp_url: str
) -> None:
    """Nobody falls back to plain text."""
    plain = amqp_url.replace("amqp://", "amqps://")
    said = await client(settings(database_url, plain, ours.file, broker=client in BROKER))
    assert "speaks no TLS there" in said


async def _refusal(
    client: Connects,
    files: tuple[str, str],
    trusted: Authority,
    database_url: str,
    amqp_url: str,
) -> str:
    broker = client in BROKER
    with behind_tls(amqp_url if broker else database_url, files) as url:
        urls = (database_url, url) if broker else (url, amqp_url)
        return await client(settings(*urls, trusted.file, broker=broker))
