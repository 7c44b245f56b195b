"""What the dashboard's pages look at."""

from dataclasses import dataclass

from taskyard.broker.publisher import Publisher
from taskyard.core.routing import RoutingTable
from taskyard.services.catalog import Catalog
from taskyard.services.entry import Entry
from taskyard.services.why import Yard as WhyYard
from taskyard.storage.pool import Pool


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """Open resources of the API; `waits` is where it is asked why a task is not running.

    `encrypted`: what errors say cannot be sought in the database. `trace_url` is where a trace is
    shown, with `{trace_id}` in it.
    """

    pool: Pool
    table: RoutingTable
    catalog: Catalog
    publisher: Publisher
    entry: Entry
    waits: WhyYard
    encrypted: bool = False
    trace_url: str | None = None
