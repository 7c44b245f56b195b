"""Doctor: examine every connection of a deployment, and what is behind it."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass

import psycopg

from taskyard.broker.administration import Administration
from taskyard.broker.declare import connected
from taskyard.broker.topology import Change, parse_version
from taskyard.core import server_diagnosis, yard_diagnosis
from taskyard.core.errors import BrokerUnavailable, Misconfigured
from taskyard.core.findings import Finding, Verdict, fault, ok, warning
from taskyard.core.routing import RoutingTable
from taskyard.core.sealed import EncryptionKeys
from taskyard.services.pools import survey
from taskyard.services.topology import plan_topology
from taskyard.storage import doctor as facts
from taskyard.storage import migrate, task_types
from taskyard.storage.pool import AsyncConnection, connect, open_pool

_TO_THE_SECOND = 0.5  # what a header Date may be off


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """What is examined."""

    table: RoutingTable
    database_url: str
    amqp_url: str
    prefix: str
    administration: Administration
    keys: EncryptionKeys

    async def examine(self) -> AsyncIterator[Finding]:
        """Yield every finding as it is made; what cannot be asked hides what is behind it."""
        try:
            connection = await connect(self.database_url, name="doctor")
        except psycopg.OperationalError as error:
            advice = "start it, or correct TASKYARD_DATABASE_URL"
            yield fault("postgres", f"does not answer: {str(error).strip()}", advice)
            async for finding in self._broker(None):
                yield finding
            return
        async with connection:
            yield ok("postgres", "answers")
            schema = server_diagnosis.judge_migrations(*await migrate.differences(connection))
            is_whole = schema.verdict is not Verdict.FAULT
            async for finding in self._postgres(connection):
                yield finding
            yield schema
            if is_whole:
                async for finding in self._state(connection):
                    yield finding
            async for finding in self._broker(connection if is_whole else None):
                yield finding

    async def _postgres(self, connection: AsyncConnection) -> AsyncIterator[Finding]:
        began = time.time()
        found = await facts.server(connection)
        half = (time.time() - began) / 2
        for finding in server_diagnosis.judge_postgres(found):
            yield finding
        skew = found.clock - (began + half)
        yield server_diagnosis.judge_clock("postgres", skew, unsure=half)

    async def _state(self, connection: AsyncConnection) -> AsyncIterator[Finding]:
        yield yard_diagnosis.judge_dispatcher(await facts.dispatcher_ago(connection))
        missing = await facts.keys_lately(connection) - self.keys.secrets.keys()
        if missing:
            found = f"the newest tasks are sealed with {', '.join(sorted(missing))}, not among them"
            yield fault("key ring", found, "add the keys to TASKYARD_ENCRYPTION_KEYS")
        else:
            yield ok("key ring", f"opens the newest tasks; active: {self.keys.active or 'plain'}")
        announced = await task_types.announcements(connection)
        known = {each.type: each.pool for each in announced}
        for finding in yard_diagnosis.judge_routes(self.table, known):
            yield finding

    async def _broker(self, connection: AsyncConnection | None) -> AsyncIterator[Finding]:
        try:
            for finding in await asyncio.to_thread(self._version):
                yield finding
        except BrokerUnavailable as error:
            advice = "start it, or correct TASKYARD_AMQP_URL"
            yield fault("broker", error.detail, advice)
            return
        for finding in await asyncio.to_thread(self._condition):
            yield finding
        if connection is not None:
            for finding in await self._topology(connection):
                yield finding
            async for finding in self._pools():
                yield finding

    def _version(self) -> list[Finding]:
        with connected(self.amqp_url) as broker:
            told = broker.server_properties
        version = parse_version(str(told.get("version", "")))
        judged = server_diagnosis.judge_broker(version, str(told.get("product", "")))
        return [ok("broker", "answers"), judged]

    def _condition(self) -> Iterator[Finding]:
        began = time.time()
        try:
            found = self.administration.condition()
        except (BrokerUnavailable, Misconfigured) as error:
            advice = "set TASKYARD_AMQP_ADMIN to the management API, or run this where RabbitMQ is"
            return iter([warning("broker alarms", f"not asked: {error.detail}", advice)])
        half = (time.time() - began) / 2
        skew = found.clock - (began + half)
        clock = server_diagnosis.judge_clock("broker", skew, unsure=half + _TO_THE_SECOND)
        return iter([server_diagnosis.judge_alarms(found.alarms), clock])

    async def _topology(self, connection: AsyncConnection) -> list[Finding]:
        try:
            steps = await plan_topology(
                connection, amqp_url=self.amqp_url, table=self.table, prefix=self.prefix
            )
        except BrokerUnavailable as error:
            advice = "give the user of the broker the rights, or name another"
            return [fault("topology", error.detail, advice)]
        advice = "see `taskyard topology plan`, then run `taskyard topology apply`"
        kinds = {Change.CONFLICT: fault, Change.CREATE: fault}
        drift = [kinds.get(step.change, warning)("topology", str(step), advice) for step in steps]
        return drift or [ok("topology", "is as the routing table wants it")]

    async def _pools(self) -> AsyncIterator[Finding]:
        async with open_pool(self.database_url, name="doctor", size=1) as connections:
            yard = await survey(
                self.table, connections=connections, amqp_url=self.amqp_url, prefix=self.prefix
            )
        for status in yard.pools:
            depth = status.depth
            yield yard_diagnosis.judge_pool(
                status.pool.name,
                consumers=depth.consumers if depth else None,
                waiting=depth.ready if depth else 0,
                is_paused=status.pause is not None,
            )
