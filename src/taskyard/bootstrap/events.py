"""What is asked about rules from outside: what an event would do, what a draft would change."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from taskyard.bootstrap.surroundings import key_ring, routing
from taskyard.core.principal import DEFAULT_TENANT, Owner, TenantId
from taskyard.core.routing import RoutingTable
from taskyard.routing_files import read_rules
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.core.rules import Outcome
    from taskyard.services.fire import Decision
    from taskyard.services.rehearse import Rehearsal


async def try_events(
    given: Settings, body: bytes, *, rules: Path | None = None
) -> "tuple[list[tuple[Any, list[Outcome], Decision]], bool]":
    """Return what each event of a file would do, and whether arguments could be checked.

    For that the database must answer. Raises NotAnEvent for what is none.
    """
    import psycopg

    from taskyard.services.catalog import Catalog
    from taskyard.services.cloudevents import decode
    from taskyard.services.event_document import to_event
    from taskyard.services.fire import decide
    from taskyard.storage.pool import connect, open_pool

    table, catalog = with_rules(given, rules), Catalog()
    try:
        await (await connect(given.database_url, name="events")).close()
    except psycopg.OperationalError:
        pass  # rules are tried out before there is a database, too
    else:
        async with open_pool(given.database_url, name="events", size=1) as pool:
            await catalog.refresh(pool)
    document = decode(body)
    events = [to_event(each) for each in (document if isinstance(document, list) else [document])]
    now = datetime.now(UTC)
    found = [
        (
            each,
            list(table.events.consider(each)),
            decide(each, tenant=DEFAULT_TENANT, table=table, catalog=catalog, now=now),
        )
        for each in events
    ]
    return found, catalog.known.is_set()


async def rehearse_rules(
    given: Settings, rules: Path, since: timedelta, tenant: TenantId
) -> "Rehearsal":
    """Return what draft rules would have made of a tenant's events since then."""
    from taskyard.services.catalog import Catalog
    from taskyard.services.rehearse import rehearse
    from taskyard.storage.pool import OwnPool, borrowed, open_pool

    catalog, now = Catalog(), datetime.now(UTC)
    draft = with_rules(given, rules)
    ring = key_ring(given)
    async with open_pool(given.database_url, name="rehearsal", size=1, ring=ring) as pool:
        await catalog.refresh(pool)
        async with borrowed(OwnPool(pool, Owner(tenant))) as connection:
            return await rehearse(
                connection,
                table=routing(given),
                draft=draft,
                catalog=catalog,
                since=now - since,
                now=now,
            )


def with_rules(given: Settings, rules: Path | None) -> RoutingTable:
    """Return the routing table, with the rules of another file if one is named.

    Raises InvalidRouting with every fault.
    """
    table = routing(given)
    return table if rules is None else read_rules(rules, table)
