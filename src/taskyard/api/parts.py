"""What the blueprints are given."""

from collections.abc import Callable
from dataclasses import dataclass, field

from quart import Blueprint

from taskyard.api.auth import Sessions
from taskyard.api.pressure import Pressure
from taskyard.broker.publisher import Publisher
from taskyard.core.addresses import Network
from taskyard.core.principal import Principal
from taskyard.core.routing import RoutingTable
from taskyard.process_metrics import ProcessMetrics
from taskyard.services.authenticate import Authenticator
from taskyard.services.catalog import Catalog
from taskyard.services.entry import Entry
from taskyard.services.fresh import FreshWakeUps
from taskyard.services.intake import Intake
from taskyard.services.quotas import Quotas
from taskyard.services.stream import Stream
from taskyard.services.waiting import Waiting
from taskyard.services.watch import Watch
from taskyard.services.webhook_policy import WebhookPolicy
from taskyard.storage.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The open resources of one API process; bootstrap opens and closes them.

    `known` says who shows a credential, if that is known without asking anybody. `pages` are what
    is served to people; with them there are `sessions`.
    """

    table: RoutingTable
    prefix: str
    amqp_url: str
    pool: Pool
    publisher: Publisher
    intake: Intake
    fresh: FreshWakeUps
    catalog: Catalog
    waiting: Waiting
    stream: Stream
    watch: Watch
    quotas: Quotas
    entry: Entry
    authenticator: Authenticator
    known: Callable[[str], Principal | None] = lambda _: None
    sessions: Sessions | None = None
    pages: tuple[Blueprint, ...] = ()
    production: bool = False
    pressure: Pressure = field(default_factory=Pressure)
    metrics: ProcessMetrics = field(default_factory=ProcessMetrics)
    metrics_networks: tuple[Network, ...] = ()
    webhooks: WebhookPolicy = field(default_factory=WebhookPolicy)
