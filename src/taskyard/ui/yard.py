"""What the dashboard's pages look at."""

from dataclasses import dataclass, field

from taskyard.broker.publisher import Publisher
from taskyard.core.routing import RoutingTable
from taskyard.services.catalog import Catalog
from taskyard.services.entry import Entry
from taskyard.services.flow import Flow
from taskyard.services.lately import LastHour
from taskyard.services.webhook_policy import WebhookPolicy
from taskyard.services.why import Yard as WhyYard
from taskyard.storage.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """Open resources of the API; `waits` is where it is asked why a task is not running.

    `flow` and `lately` are what all viewers see of the whole. `encrypted`: what errors say cannot
    be sought in the database. `trace_url` is where a trace is shown, with `{trace_id}` in it.
    """

    pool: Pool
    table: RoutingTable
    catalog: Catalog
    publisher: Publisher
    entry: Entry
    waits: WhyYard
    flow: Flow
    lately: LastHour
    webhooks: WebhookPolicy = field(default_factory=WebhookPolicy)
    encrypted: bool = False
    trace_url: str | None = None
