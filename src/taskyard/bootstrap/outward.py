"""What the dispatcher tells the world outside with."""

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING

from taskyard.bootstrap.surroundings import key_ring
from taskyard.core.errors import StorageUnavailable
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.dispatcher.outward import Duty
    from taskyard.services.webhook_policy import WebhookPolicy
    from taskyard.storage.pool import Pool


def webhook_policy(given: Settings) -> "WebhookPolicy":
    """Return what this deployment allows its webhooks."""
    from taskyard.services.webhook_policy import WebhookPolicy

    return WebhookPolicy(
        insecure=given.webhooks_insecure,
        networks=given.webhooks_networks,
        notify_secret=given.notify_secret,
        ring=key_ring(given),
    )


@asynccontextmanager
async def open_outward(given: Settings, pool: "Pool") -> AsyncIterator[Sequence["Duty"]]:
    """Open the duties that tell the world outside."""
    from taskyard.broker.cloudevents import lifecycle_exchange
    from taskyard.broker.publisher import open_publisher
    from taskyard.dispatcher.outward import forgetting, relaying, sending
    from taskyard.outbound.dial import PublicNetwork
    from taskyard.outbound.post import open_poster
    from taskyard.services.deliver import Sender
    from taskyard.services.lifecycle import LifecycleOutlet
    from taskyard.services.relay import Relay, release
    from taskyard.services.tell import WebhookOutlet

    policy, holder, arrived = webhook_policy(given), uuid.uuid4(), asyncio.Event()
    lifecycle = lifecycle_exchange(given.prefix)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        publisher = await enter(open_publisher(given.amqp_url, lifecycle))
        poster = await enter(open_poster(PublicNetwork(allowed=policy.networks)))
        agent = f"Taskyard/{version('taskyard')}"
        sender = Sender(pool, poster, policy=policy, user_agent=agent, on_finish=arrived.set)
        stack.push_async_callback(sender.close)
        published = LifecycleOutlet(
            publisher,
            source=f"/{given.prefix}",
            patterns=given.lifecycle_events,
            discreet=policy.ring.active is not None,
        )
        told = WebhookOutlet(on_deliveries=arrived.set)
        try:
            yield [
                relaying(Relay(pool, published, holder=holder)),
                relaying(Relay(pool, told, holder=holder)),
                sending(sender, arrived),
                forgetting(pool),
            ]
        finally:
            with contextlib.suppress(StorageUnavailable):
                await release(pool, holder=holder)
