"""services/tell.py and deliver.py: changes become deliveries, and deliveries arrive, signed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from itertools import chain, repeat
from typing import Any
from uuid import uuid4

import pytest
from standardwebhooks import Webhook as Verifier
from standardwebhooks import WebhookVerificationError

from taskyard.core.errors import DeliveryNotFound, WebhookDisabled
from taskyard.core.principal import DEFAULT_TENANT, TenantId
from taskyard.core.webhooks import new_secret
from taskyard.dispatcher.outward import relaying, sending
from taskyard.outbound.dial import PublicNetwork
from taskyard.outbound.post import open_poster
from taskyard.services import deliver, webhook_deliveries, webhooks
from taskyard.services.deliver import Sender, forget_deliveries
from taskyard.services.reencrypt import reencrypt
from taskyard.services.relay import Relay
from taskyard.services.tell import WebhookOutlet
from taskyard.services.webhook_policy import WebhookPolicy
from taskyard.services.webhooks import RotateRequest, WebhookChangeRequest, WebhookRequest
from taskyard.stopping import end
from taskyard.storage import tasks
from taskyard.storage.pool import AsyncConnection, Pool, connect, open_pool
from taskyard.storage.webhooks import Webhook
from tests.encryption import ring
from tests.outward import CLAIMS, ENDS, SUCCEEDS, cancelled, eventually, new
from tests.own import own
from tests.receiver import OK, Receiver, answer, receiving

LOOPBACK = (ip_network("127.0.0.0/8"),)
NOTIFY = new_secret(b"n" * 32)
POLICY = WebhookPolicy(insecure=True, networks=LOOPBACK, notify_secret=NOTIFY)
ERROR = answer("500 Oh", body=b"no")


@dataclass(frozen=True)
class Yard:
    """A database, and what a dispatcher does about webhooks."""

    connection: AsyncConnection
    pool: Pool

    async def subscribe(
        self,
        url: str,
        *events: str,
        policy: WebhookPolicy = POLICY,
        tenant: TenantId = DEFAULT_TENANT,
    ) -> tuple[Webhook, str]:
        secret = new_secret(uuid4().bytes * 2)
        wish = WebhookRequest(url=url, events=list(events or ("task.*.*.cancelled",)))
        pool = own(self.pool, tenant)
        return await webhooks.create(pool, wish, policy=policy, secret=secret), secret

    async def log(self) -> list[dict[str, Any]]:
        cursor = await self.connection.execute(
            "SELECT state, attempts, response_status, response_body, fault, id,"
            " extract(epoch FROM next_try_at - tried_at)::double precision AS delay"
            " FROM webhook_deliveries ORDER BY id"
        )
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in await cursor.fetchall()]

    async def states(self, *expected: str) -> None:
        """Wait until the deliveries are in these states."""

        async def satisfied() -> bool:
            return sorted(row["state"] for row in await self.log()) == sorted(expected)

        await eventually(satisfied, what=str(expected))

    async def attempted(self, count: int) -> dict[str, Any]:
        """Wait until so many attempts have ended; return the only delivery."""

        async def satisfied() -> bool:
            return [row["attempts"] for row in await self.log()] == [count]

        await eventually(satisfied, what=f"{count} attempts")
        return (await self.log())[0]

    async def hand_over(self) -> None:
        """Let another dispatcher read at once, as when one stops in peace."""
        await self.connection.execute("UPDATE relay_cursors SET held_until = '-infinity'")

    async def hurry(self, arrived: asyncio.Event) -> None:
        """Let what waits be due now, and the sender look."""
        await self.connection.execute(
            "UPDATE webhook_deliveries SET next_try_at = now() WHERE state = 'pending'"
        )
        arrived.set()


@asynccontextmanager
async def dispatching(pool: Pool, policy: WebhookPolicy = POLICY) -> AsyncIterator[asyncio.Event]:
    """What a dispatcher does about webhooks; the event makes the sender look at once."""
    arrived = asyncio.Event()
    async with open_poster(PublicNetwork(allowed=policy.networks)) as poster:
        sender = Sender(pool, poster, policy=policy, user_agent="Taskyard/1", on_finish=arrived.set)
        relay = Relay(pool, WebhookOutlet(on_deliveries=arrived.set), holder=uuid4())

        async def repeated(duty: Any) -> None:
            while True:
                await duty()

        duties = [
            asyncio.create_task(repeated(duty))
            for duty in (relaying(relay), sending(sender, arrived))
        ]
        try:
            yield arrived
        finally:
            await end(*duties)
            await sender.close()


@pytest.fixture
async def yard(connection: AsyncConnection, database_url: str) -> AsyncIterator[Yard]:
    async with open_pool(database_url, name="tests", size=4) as pool:
        yield Yard(connection, pool)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as opened:
        yield opened


async def test_a_change_is_told_to_its_own_tenant_only(yard: Yard, receiver: Receiver) -> None:
    """Another tenant's webhook hears nothing, whatever it asks for."""
    await yard.subscribe(receiver.url, "#", tenant=TenantId("other"))
    await yard.subscribe(receiver.url)
    async with dispatching(yard.pool):
        await cancelled(yard.connection, 3)
        await yard.states(*["delivered"] * 3)
    rows = await yard.connection.execute("SELECT DISTINCT tenant FROM webhook_deliveries")
    assert await rows.fetchall() == [("default",)]
    assert len(receiver.requests) == 3


async def test_a_change_arrives_signed(yard: Yard, receiver: Receiver) -> None:
    """The published library of Standard Webhooks verifies it; what does not match is not sent."""
    _, secret = await yard.subscribe(receiver.url, "task.a.*.cancelled", "task.#.cancelled")
    async with dispatching(yard.pool):
        [task] = await cancelled(yard.connection, 1)
        await yard.states("delivered")
    [request] = receiver.requests
    told = Verifier(secret).verify(request.body, request.headers)
    assert told["type"] == "task.a.b.cancelled"
    assert (told["data"]["id"], told["data"]["state"], told["data"]["seq"]) == (
        str(task), "cancelled", 2,
    )  # fmt: skip
    assert request.headers["webhook-id"] == str((await yard.log())[0]["id"])
    assert request.line == "POST /hook HTTP/1.1"
    with pytest.raises(WebhookVerificationError):
        Verifier(NOTIFY).verify(request.body, request.headers)


async def test_a_task_notifies_its_own_url_of_its_end(yard: Yard, receiver: Receiver) -> None:
    """Once, with the result, signed with the secret of the deployment."""
    async with dispatching(yard.pool):
        await tasks.insert(yard.connection, [new(notify_url=receiver.url), new()])
        await yard.connection.execute(CLAIMS)
        await yard.connection.execute(SUCCEEDS, ('{"bytes": 7}',))
        await yard.states("delivered")
    [request] = receiver.requests
    told = Verifier(NOTIFY).verify(request.body, request.headers)
    assert (told["type"], told["data"]["result"]) == ("task.a.b.succeeded", {"bytes": 7})


async def test_what_fails_is_sent_again_and_in_the_end_the_webhook_is_disabled(
    yard: Yard, receiver: Receiver
) -> None:
    """Eight attempts with one webhook-id, each later, the log shows the last answer."""
    hook, _ = await yard.subscribe(receiver.url)
    receiver.answers = repeat(ERROR)
    delays = []
    async with dispatching(yard.pool) as arrived:
        await cancelled(yard.connection, 1)
        for attempt in range(1, 8):
            row = await yard.attempted(attempt)
            assert (row["state"], row["response_status"], row["response_body"]) == (
                "pending", 500, "no",
            )  # fmt: skip
            delays.append(row["delay"])
            await yard.hurry(arrived)
        await yard.states("failed")
        for delay, planned in zip(delays, (5, 300, 1800, 7200, 18e3, 36e3, 36e3), strict=True):
            assert planned <= delay <= planned * 1.1 + 0.01
        assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
        assert len(receiver.requests) == 8
        disabled = await webhooks.get(own(yard.pool), hook.id)
        assert "8 attempts in a row failed" in (disabled.disabled_because or "")
        # Nothing is recorded for it from now on.
        await cancelled(yard.connection, 1)
        await eventually(lambda: _caught_up(yard.connection))
        assert len(await yard.log()) == 1


async def _caught_up(connection: AsyncConnection) -> bool:
    row = await (
        await connection.execute(
            "SELECT (SELECT max(position) FROM task_events) = position FROM relay_cursors"
            " WHERE purpose = 'webhooks'"
        )
    ).fetchone()
    return bool(row and row[0])


async def test_gone_disables_at_once(yard: Yard, receiver: Receiver) -> None:
    """410, and what else was on its way waits until it is enabled again."""
    receiver.answers = chain([answer("410 Gone")], repeat(OK))
    hook, _ = await yard.subscribe(receiver.url)
    async with dispatching(yard.pool):
        await cancelled(yard.connection, 1)
        await yard.states("failed")
        assert (await webhooks.get(own(yard.pool), hook.id)).disabled_because == (
            "the endpoint answered 410 Gone"
        )
        row = (await yard.log())[0]
        with pytest.raises(WebhookDisabled):
            await webhook_deliveries.replay(own(yard.pool), hook.id, row["id"])
        wish = WebhookChangeRequest(disabled=False)
        await webhooks.change(own(yard.pool), hook.id, wish, policy=POLICY)
        await webhook_deliveries.replay(own(yard.pool), hook.id, row["id"])
        await yard.states("delivered")
    assert len(receiver.requests) == 2
    with pytest.raises(DeliveryNotFound):
        await webhook_deliveries.replay(own(yard.pool), hook.id, uuid4())  # type: ignore[arg-type]


async def test_who_is_busy_says_when(yard: Yard, receiver: Receiver) -> None:
    """Retry-After of a 503."""
    receiver.answers = repeat(answer("503 Busy", "Retry-After: 1000"))
    await yard.subscribe(receiver.url)
    async with dispatching(yard.pool):
        await cancelled(yard.connection, 1)
        row = await yard.attempted(1)
    assert 999 < row["delay"] < 1001


async def test_both_secrets_sign_during_a_rotation(yard: Yard, receiver: Receiver) -> None:
    """And the former one no longer when the overlap is over."""
    hook, former = await yard.subscribe(receiver.url)
    secret = new_secret(b"2" * 32)
    await webhooks.rotate(
        own(yard.pool), hook.id, RotateRequest(overlap="1h"), policy=POLICY, secret=secret
    )
    async with dispatching(yard.pool):
        await cancelled(yard.connection, 1)
        await yard.states("delivered")
        await yard.connection.execute("UPDATE webhooks SET former_until = now()")
        await cancelled(yard.connection, 1)
        await yard.states("delivered", "delivered")
    both, one = receiver.requests
    for each in (former, secret):
        Verifier(each).verify(both.body, both.headers)
    Verifier(secret).verify(one.body, one.headers)
    with pytest.raises(WebhookVerificationError):
        Verifier(former).verify(one.body, one.headers)


async def test_a_slow_endpoint_holds_up_nobody_else(yard: Yard, receiver: Receiver) -> None:
    """Four at once to one endpoint, and the others go on."""
    receiver.free.clear()
    async with receiving() as quick, dispatching(yard.pool):
        await yard.subscribe(receiver.url)
        await yard.subscribe(quick.url)
        await cancelled(yard.connection, 30)
        await yard.states(*["delivered"] * 30, *["pending"] * 30)
        assert len(receiver.requests) == 4
        receiver.free.set()
        await yard.states(*["delivered"] * 60)
    assert (receiver.most_at_once, quick.most_at_once <= 4) == (4, True)


async def test_two_senders_share_and_a_dead_one_is_replaced(yard: Yard, receiver: Receiver) -> None:
    """Each delivery arrives once; what was under way in one that died is sent again."""
    await yard.subscribe(receiver.url)
    async with dispatching(yard.pool), dispatching(yard.pool):
        await cancelled(yard.connection, 40)
        await yard.states(*["delivered"] * 40)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 40
    assert len(receiver.requests) == 40
    receiver.free.clear()
    await yard.hand_over()
    async with dispatching(yard.pool):
        await cancelled(yard.connection, 1)

        async def asked() -> bool:
            return len(receiver.requests) == 41

        await eventually(asked)
    receiver.free.set()
    await yard.connection.execute(
        "UPDATE webhook_deliveries SET leased_until = now() WHERE state = 'pending'"
    )
    await yard.hand_over()
    async with dispatching(yard.pool):
        await yard.states(*["delivered"] * 41)
    assert (
        receiver.requests[40].headers["webhook-id"] == receiver.requests[41].headers["webhook-id"]
    )


async def test_what_was_before_a_subscription_is_not_its_own(
    yard: Yard, receiver: Receiver
) -> None:
    """Though the cursor may lag behind."""
    await cancelled(yard.connection, 3)
    await yard.subscribe(receiver.url)
    async with dispatching(yard.pool):
        await cancelled(yard.connection, 2)
        await yard.states("delivered", "delivered")


async def test_with_nobody_to_tell_the_cursor_skips(yard: Yard) -> None:
    """To the newest change, and without a read of what lies between."""
    async with dispatching(yard.pool):
        await cancelled(yard.connection, 5)
        await eventually(lambda: _caught_up(yard.connection))
    assert await yard.log() == []


async def test_a_late_commit_is_not_skipped(yard: Yard, database_url: str) -> None:
    """Nobody was to be told, until a transaction commits that began before."""
    relay = Relay(yard.pool, WebhookOutlet(on_deliveries=lambda: None), holder=uuid4())
    async with await connect(database_url, name="slow") as slow:
        async with slow.transaction():
            await tasks.insert(slow, [new(notify_url="http://127.0.0.1:1/")])
            await slow.execute(ENDS)
            await cancelled(yard.connection, 5)
            for _ in range(5):
                await relay.round()

        async def told() -> bool:
            await relay.round()
            return len(await yard.log()) == 1

        await eventually(told)


def sealing(*keys: str) -> WebhookPolicy:
    """What closes with the first of some keys."""
    return WebhookPolicy(insecure=True, networks=LOOPBACK, ring=ring(*keys))


async def test_secrets_are_sealed(yard: Yard, receiver: Receiver) -> None:
    """With a key the database does not tell them; after a change of keys they still sign."""
    _, secret = await yard.subscribe(receiver.url, policy=sealing("old"))
    row = await (await yard.connection.execute("SELECT secret FROM webhooks")).fetchone()
    assert row is not None
    assert secret.encode() not in bytes(row[0])
    async with dispatching(yard.pool, sealing("young", "old")):
        await cancelled(yard.connection, 1)
        await yard.states("delivered")
    Verifier(secret).verify(receiver.requests[0].body, receiver.requests[0].headers)
    await yard.hand_over()
    await yard.connection.execute("DELETE FROM webhook_deliveries")
    async with dispatching(yard.pool, sealing("young")):
        await cancelled(yard.connection, 1)
        assert "sealed with the key 'old'" in (await yard.attempted(1))["fault"]
    assert len(receiver.requests) == 1


async def test_what_a_policy_no_longer_allows_is_not_sent(yard: Yard, receiver: Receiver) -> None:
    """The URL was accepted when more was allowed."""
    await yard.subscribe(receiver.url)
    async with dispatching(yard.pool, WebhookPolicy(insecure=True)) as arrived:
        await cancelled(yard.connection, 1)
        assert "not public (loopback)" in (await yard.attempted(1))["fault"]
        await yard.connection.execute("UPDATE webhooks SET url = 'http://localhost:1/'")
        await yard.hurry(arrived)
        assert "not public (loopback)" in (await yard.attempted(2))["fault"]
    assert receiver.connections == 0


async def test_the_log_is_kept_for_a_week(yard: Yard, receiver: Receiver) -> None:
    """What waits is kept however long it takes."""
    await yard.subscribe(receiver.url)
    receiver.answers = chain([OK], repeat(ERROR))
    async with dispatching(yard.pool):
        await cancelled(yard.connection, 1)
        await yard.states("delivered")
        await cancelled(yard.connection, 1)
        await yard.states("delivered", "pending")
    assert await forget_deliveries(yard.pool) == 0
    await yard.connection.execute(
        "UPDATE webhook_deliveries SET created_at = now() - interval '8 d',"
        " finished_at = finished_at - %s",
        (deliver.KEPT,),
    )
    assert await forget_deliveries(yard.pool) == 1
    await yard.states("pending")


async def test_secrets_and_what_waits_are_sealed_anew(yard: Yard, receiver: Receiver) -> None:
    """A delivery that waited through a change of keys is sent, signed as before."""
    # Given a delivery that waits, stored plain with its secret
    _, secret = await yard.subscribe(receiver.url)
    relay = Relay(yard.pool, WebhookOutlet(on_deliveries=lambda: None), holder=uuid4())
    await cancelled(yard.connection, 1)

    async def told() -> bool:
        await relay.round()
        return len(await yard.log()) == 1

    await eventually(told)
    await yard.hand_over()
    # When all is written anew with a key
    yard.connection.ring = ring("k1")
    came = await reencrypt(yard.connection, on_batch=lambda *_: None)
    assert (came["webhooks"].written, came["deliveries"].written) == (1, 1)
    # Then who has the key sends it
    async with dispatching(yard.pool, sealing("k1")):
        await yard.states("delivered")
    Verifier(secret).verify(receiver.requests[0].body, receiver.requests[0].headers)
