"""Diagnosis of servers: from what they say of themselves to findings."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from taskyard.core.findings import Finding, fault, ok, warning

_OLDEST_POSTGRES, _OLDEST_RABBITMQ = 15, (3, 10)
_SKEW_NOTED, _SKEW_HARMFUL = 1.0, 10.0  # seconds; durations are measured on one clock each
_CROWDED = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresFacts:
    """What Postgres says of itself; `clock` is in seconds since 1970."""

    version: int
    encoding: str
    is_replica: bool
    fsync: bool
    full_page_writes: bool
    synchronous_commit: str
    max_connections: int
    reserved: int
    connections: int
    clock: float


def judge_postgres(facts: PostgresFacts) -> Iterator[Finding]:
    """Yield what follows from its version and settings."""
    major, minor = divmod(facts.version, 10_000)
    if major < _OLDEST_POSTGRES:
        advice = f"upgrade to Postgres {_OLDEST_POSTGRES} or newer"
        yield fault("postgres version", f"{major}.{minor}", advice)
    else:
        yield ok("postgres version", f"{major}.{minor}")
    if facts.is_replica:
        yield fault("postgres role", "a replica, which nobody can write to", "name the primary")
    if facts.encoding != "UTF8":
        yield fault("postgres encoding", facts.encoding, "make the database with ENCODING 'UTF8'")
    off = [name for name in ("fsync", "full_page_writes") if not getattr(facts, name)]
    if off:
        found = f"{' and '.join(off)} off: a crash of its machine loses what was accepted"
        yield fault("postgres durability", found, "set them on in postgresql.conf")
    elif facts.synchronous_commit in ("off", "local"):
        # Our connections ask for `on` when they begin.
        found = f"synchronous_commit is {facts.synchronous_commit} though we asked for on"
        yield fault("postgres durability", found, "let the pooler pass on the startup `options`")
    else:
        found = f"fsync and full_page_writes on, synchronous_commit {facts.synchronous_commit}"
        yield ok("postgres durability", found)
    yield _connections(facts)


def _connections(facts: PostgresFacts) -> Finding:
    most = facts.max_connections - facts.reserved
    found = f"{facts.connections} of {most} are used"
    if facts.connections < most * _CROWDED:
        return ok("postgres connections", found)
    return warning("postgres connections", found, "raise max_connections, or use a pooler")


def judge_migrations(missing: Sequence[str], unknown: Sequence[int]) -> Finding:
    """Return whether the schema is that of this version."""
    if missing:
        advice = "run `taskyard migrate`"
        return fault("schema", f"{len(missing)} migrations are missing: {missing[0]} …", advice)
    if unknown:
        found = f"it has the migration {max(unknown):04}, which this version does not know"
        return warning("schema", found, "upgrade this machine to the version of the others")
    return ok("schema", "up to date")


def judge_clock(name: str, skew: float, *, unsure: float) -> Finding:
    """Return whether another machine's clock agrees with ours; both in seconds."""
    check, apart = f"clock of {name}", max(0.0, abs(skew) - unsure)
    how = "ahead of" if skew > 0 else "behind"
    found = f"{abs(skew):.1f} s {how} ours, give or take {unsure:.1f} s"
    if apart < _SKEW_NOTED:
        return ok(check, found)
    advice = "let both machines keep time with NTP"
    return (warning if apart < _SKEW_HARMFUL else fault)(check, found, advice)


def judge_broker(version: tuple[int, ...], product: str) -> Finding:
    """Return whether the broker is one we know."""
    shown = f"{product} {'.'.join(map(str, version))}"
    if product != "RabbitMQ" or version < _OLDEST_RABBITMQ:
        oldest = ".".join(map(str, _OLDEST_RABBITMQ))
        return fault("broker version", shown, f"use RabbitMQ {oldest} or newer")
    return ok("broker version", shown)


def judge_alarms(alarms: Sequence[str]) -> Finding:
    """Return whether the broker lets us publish."""
    if alarms:
        found = f"{', '.join(alarms)}: it lets nobody publish"
        return fault("broker alarms", found, "free memory or disk on the machine of RabbitMQ")
    return ok("broker alarms", "none")
