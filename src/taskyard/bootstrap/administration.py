"""What is done to a deployment from outside: schema, topology, agreement."""

from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from taskyard.bootstrap.surroundings import key_ring, operator, routing
from taskyard.core.audit import DEPLOYMENT, Action
from taskyard.core.errors import Fault
from taskyard.settings import Settings

if TYPE_CHECKING:
    from taskyard.broker.administration import Administration
    from taskyard.broker.topology import Step
    from taskyard.services.live import Misfit
    from taskyard.services.users import Users
    from taskyard.storage.task_types import Announcement


async def migrate_database(given: Settings) -> list[str]:
    """Apply missing migrations; return their names."""
    from taskyard.storage.migrate import migrate
    from taskyard.storage.pool import connect

    async with await connect(given.database_url, name="migrate") as connection:
        return await migrate(connection)


async def plan_topology(given: Settings) -> "list[Step]":
    """Return what `apply_topology` would change in the broker."""
    from taskyard.services import topology

    async with await _administration(given) as connection:
        return await topology.plan_topology(
            connection, amqp_url=given.amqp_url, table=routing(given), prefix=given.prefix
        )


async def apply_topology(given: Settings, *, drain: timedelta = timedelta(0)) -> "list[Step]":
    """Make the broker as the routing table wants it; return what was done.

    Waits so long for workers to empty the queues that were replaced.
    """
    from taskyard.services import topology

    async with await _administration(given) as connection:
        return await topology.apply_and_drain(
            connection,
            amqp_url=given.amqp_url,
            table=routing(given),
            prefix=given.prefix,
            within=drain,
        )


def plan_users(given: Settings) -> "list[Step]":
    """Return what `apply_users` would change among the users of the broker."""
    return list(_users(given).plan(broker_administration(given)).steps())


async def apply_users(
    given: Settings, *, rotate: bool = False
) -> "tuple[list[Step], dict[str, str]]":
    """Make the users of the broker; return what was done, and the new passwords by user.

    Raises SchemaOutdated when the database cannot record it yet: then nothing is done.
    """
    users, admin = _users(given), broker_administration(given)
    planned = users.plan(admin, rotate=rotate)
    if planned.needs or planned.surplus:
        # The broker takes no part in our transactions. Recorded first, nothing is done unseen, and
        # passwords that are shown once are not lost because the database went away.
        await _record_users(given, [str(step) for step in planned.steps()], rotate=rotate)
    plan, new = users.apply(admin, rotate=rotate)
    return list(plan.steps()), new


async def _record_users(given: Settings, steps: list[str], *, rotate: bool) -> None:
    from taskyard.services import audit
    from taskyard.storage.migrate import require_current

    async with await _administration(given) as connection:
        await require_current(connection)
        await audit.record_as(
            connection, Action.BROKER_USERS_CHANGED, f"broker:{given.prefix}",
            {"steps": steps, "rotate": rotate},
            tenant=DEPLOYMENT, actor=operator("taskyard topology"),
        )  # fmt: skip


def _users(given: Settings) -> "Users":
    from taskyard.services.users import Users

    return Users(
        amqp_url=given.amqp_url,
        prefix=given.prefix,
        table=routing(given),
        folder=given.amqp_users,
    )


def broker_administration(given: Settings) -> "Administration":
    """Return how the broker is administered: by its management API or rabbitmqctl."""
    from taskyard.broker.administration import administration

    return administration(given.amqp_admin, ca=given.amqp_tls_ca)


async def _administration(given: Settings) -> Any:
    from taskyard.storage.pool import connect

    return await connect(given.database_url, name="administration")


def check_agreement(given: Settings) -> "tuple[list[Announcement], list[Fault]]":
    """Return what the task code would announce, and how the routing table disagrees with it.

    Once in a process: code is imported once.
    """
    from taskyard.worker.agreement import read_code

    return read_code(routing(given), given.workers)


async def check_live(given: Settings, announced: "Sequence[Announcement]") -> "list[Misfit]":
    """Return what code that announces this would fail of the tasks that are there already."""
    from taskyard.services.live import misfits
    from taskyard.storage.pool import connect

    table, ring = routing(given), key_ring(given)
    async with await connect(given.database_url, name="check", ring=ring) as connection:
        return await misfits(connection, announced, table)
