"""core/retention.py: what an id says about its age."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from uuid_utils.compat import uuid7

from taskyard.core.errors import TaskGone, TaskNotFound
from taskyard.core.retention import first_id_at, shortest, why_absent
from taskyard.core.routing import RoutingTable, TaskDefaults
from taskyard.core.task import TaskId

# RFC 9562, appendix A.6: made on Tuesday, 22 February 2022 at 2:22:22 PM GMT-05:00.
EXAMPLE = TaskId(UUID("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"))
MADE = datetime(2022, 2, 22, 19, 22, 22, tzinfo=UTC)
HOUR, WEEK = timedelta(hours=1), timedelta(days=7)


def table(**retentions: timedelta) -> RoutingTable:
    defaults = {name: TaskDefaults(retention=each) for name, each in retentions.items()}
    return RoutingTable(pools={}, defaults=defaults)


def test_an_id_is_in_the_millisecond_it_was_made() -> None:
    """Not below the first of its own, but below the first of the next."""
    assert first_id_at(MADE) <= EXAMPLE < first_id_at(MADE + timedelta(milliseconds=1))


def test_instants_that_no_id_can_hold_are_the_nearest_that_can() -> None:
    """Retention may reach back further than 1970."""
    assert first_id_at(datetime(1, 1, 1, tzinfo=UTC)).int == 0


def test_types_without_an_entry_count_for_the_shortest_retention() -> None:
    """They have the default of a week."""
    assert shortest(table(a=3 * WEEK)) == WEEK
    assert shortest(table(a=HOUR, b=3 * WEEK)) == HOUR


def test_only_an_id_older_than_the_shortest_retention_may_be_gone() -> None:
    """A younger one never was, nor one that the API cannot have made."""
    later, now = MADE + HOUR + timedelta(seconds=1), datetime.now(UTC)
    assert isinstance(why_absent(EXAMPLE, table=table(a=HOUR), now=later), TaskGone)
    assert isinstance(why_absent(EXAMPLE, table=table(a=HOUR), now=MADE + HOUR), TaskNotFound)
    for never in (TaskId(uuid7()), TaskId(uuid4())):
        assert isinstance(why_absent(never, table=table(a=HOUR), now=now), TaskNotFound)
