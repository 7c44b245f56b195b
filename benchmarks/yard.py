"""Everything that a run starts: once each, when a case first needs it, and stopped at the end."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import psycopg
from psycopg import sql

from benchmarks.adapters import celery_alone, recipes, taskyard
from benchmarks.adapters.celery_alone import CeleryAlone
from benchmarks.adapters.deployment import BenchPool, can_run_asyncio
from benchmarks.adapters.peer import Peer, Place
from benchmarks.adapters.taskyard import PROCESSES, Taskyard
from benchmarks.limits import EmptyQuart, RawInsert, RawPublishing, empty_quart
from taskyard.dev import Servers

THREADS = BenchPool(name="threads", execution="threads", window=20_000)
ASYNCIO = BenchPool(name="aio", execution="asyncio", concurrency=256, window=20_000)

_LIMITS = "limits"
_ALONE = {"prefork": "alone_processes", "threads": "alone_threads"}
_OURS = "taskyard"
_EXTRAS = [f"extra_{number}" for number in range(4)]
VHOSTS = [_OURS, _LIMITS, *_EXTRAS, *_ALONE.values(), *recipes.OPENERS]

Say = Callable[[str], None]
T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Yard:
    """What has been started so far."""

    servers: Servers
    place: Place
    api_workers: int
    stack: ExitStack
    say: Say
    _started: dict[str, Any] = field(default_factory=dict)

    def ours(self) -> Taskyard:
        """Return Taskyard, with a pool of each kind that this version has."""
        pools = [PROCESSES, THREADS, *([ASYNCIO] if can_run_asyncio() else [])]
        return self._once(
            _OURS,
            lambda: taskyard.start(
                folder=self.place.folder,
                database_url=fresh_database(self.servers, _OURS),
                amqp_url=self.servers.amqp_url(_OURS),
                api_workers=self.api_workers,
                pools=pools,
            ),
        )

    def extra(self, place: int, name: str, pools: Sequence[BenchPool]) -> Taskyard:
        """Return one more Taskyard, on a database and a virtual host of its own."""
        where = _EXTRAS[place]
        return self._once(
            name,
            lambda: taskyard.start(
                folder=self.place.folder,
                database_url=fresh_database(self.servers, where),
                amqp_url=self.servers.amqp_url(where),
                api_workers=self.api_workers,
                pools=pools,
                name=name,
            ),
        )

    def peer(self, key: str) -> Peer:
        """Return a peer."""
        return self._once(
            key,
            lambda: recipes.OPENERS[key](
                self.place, fresh_database(self.servers, key), self.servers.amqp_url(key)
            ),
        )

    def celery_alone(self, pool: Literal["prefork", "threads"]) -> CeleryAlone:
        """Return Celery's own worker without results, with a pool of "prefork" or "threads"."""
        name = _ALONE[pool]
        return self._once(
            name,
            lambda: celery_alone.start(self.place, amqp_url=self.servers.amqp_url(name), pool=pool),
        )

    def empty_quart(self) -> EmptyQuart:
        """Return the server that does nothing."""
        return self._once("quart", lambda: empty_quart(self.place.folder, workers=self.api_workers))

    def raw_publishing(self) -> RawPublishing:
        """Return what publishes."""
        return RawPublishing(amqp_url=self.servers.amqp_url(_LIMITS))

    def raw_insert(self) -> RawInsert:
        """Return what inserts."""
        return RawInsert(database_url=fresh_database(self.servers, _LIMITS))

    def _once(self, name: str, open_: Callable[[], AbstractContextManager[T]]) -> T:
        if name not in self._started:
            self.say(f"starting {name} …")
            self._started[name] = self.stack.enter_context(open_())
        found: T = self._started[name]
        return found


def fresh_database(servers: Servers, key: str) -> str:
    """Make an empty database for this run; return its URL."""
    name = f"bench_{key}"
    with psycopg.connect(servers.database_url, autocommit=True) as connection:
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(identifier))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(identifier))
    return servers.database_url.rpartition("/")[0] + f"/{name}"
