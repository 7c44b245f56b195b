"""The proxy between real clients and real servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import psycopg
import pytest

from taskyard.drill.proxy import Mode, Proxy, open_proxy
from taskyard.drill.wire import AmqpEar, Ear, PostgresEar


@asynccontextmanager
async def before(url: str, ear: type[Ear]) -> AsyncIterator[tuple[Proxy, str]]:
    """A proxy before a server, and the URL through it."""
    parts = urlsplit(url)
    assert parts.port is not None
    async with open_proxy(("127.0.0.1", parts.port), ear) as proxy:
        yield proxy, url.replace(f":{parts.port}/", f":{proxy.port}/")


async def test_a_commit_whose_reply_is_swallowed_is_done(database_url: str) -> None:
    """The client loses its connection, and yet the row is there."""
    async with before(database_url, PostgresEar) as (proxy, url):
        # Given
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as through:
            await through.execute("CREATE TABLE kept (value integer)")
            proxy.swallow(lambda said: "INSERT" in said)
            # When
            with pytest.raises(psycopg.OperationalError):
                await through.execute("INSERT INTO kept VALUES (1)")
        # Then
        assert proxy.swallowed == 1
        async with await psycopg.AsyncConnection.connect(url) as again:
            cursor = await again.execute("SELECT value FROM kept")
            assert await cursor.fetchall() == [(1,)]


async def test_a_publish_whose_confirm_is_swallowed_has_arrived(amqp_url: str, prefix: str) -> None:
    """The publisher loses its connection, and yet the message is in the queue."""
    async with (
        before(amqp_url, AmqpEar) as (proxy, url),
        await aio_pika.connect(amqp_url) as direct,
    ):
        queue = await (await direct.channel()).declare_queue(prefix, exclusive=True)
        through = await aio_pika.connect(url)
        channel = await through.channel()
        proxy.swallow(lambda said: said == "basic.publish")
        # When
        with pytest.raises(ConnectionError):
            await channel.default_exchange.publish(aio_pika.Message(b"m"), prefix)
        # Then
        assert (await queue.get(timeout=10)).body == b"m"
        await through.close()


async def test_a_deaf_proxy_keeps_connections_and_passes_nothing(database_url: str) -> None:
    """Only once it hears again an answer comes."""
    async with (
        before(database_url, PostgresEar) as (proxy, url),
        await psycopg.AsyncConnection.connect(url) as through,
    ):
        proxy.set(Mode.DEAF)
        asking = asyncio.create_task(through.execute("SELECT 1"))
        done, _ = await asyncio.wait([asking], timeout=0.2)
        assert not done
        proxy.set(Mode.PASS)
        assert await (await asking).fetchone() == (1,)


async def test_cut_and_refused_connections_fail(database_url: str) -> None:
    """Both look to a client like a server that went away; afterwards all is well."""
    async with before(database_url, PostgresEar) as (proxy, url):
        async with await psycopg.AsyncConnection.connect(url) as through:
            assert proxy.cut() == 1
            with pytest.raises(psycopg.OperationalError):
                await through.execute("SELECT 1")
        proxy.set(Mode.REFUSE)
        with pytest.raises(psycopg.OperationalError):
            await psycopg.AsyncConnection.connect(url)
        proxy.set(Mode.PASS)
        async with await psycopg.AsyncConnection.connect(url) as through:
            name = uuid4().hex
            assert await (await through.execute("SELECT %s", [name])).fetchone() == (name,)
