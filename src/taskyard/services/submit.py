"""Submit: from what a caller wishes to a row that may be stored."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from uuid_utils.compat import uuid7

from taskyard import tracing
from taskyard.core import units
from taskyard.core.errors import Fault, InvalidRequest, PayloadTooLarge
from taskyard.core.principal import TenantId
from taskyard.core.routing import HIGHEST_PRIORITY, LOWEST_PRIORITY, Route, RoutingTable
from taskyard.core.task import NewTask, TaskId
from taskyard.services.catalog import Catalog
from taskyard.services.field_types import Duration, Priority, TypeName, Url
from taskyard.services.webhook_policy import WebhookPolicy

MOST_LABELS = 32
LABEL_KEY = re.compile(r"[A-Za-z0-9_./-]{1,64}")
LABEL_VALUE_CHARS = 256
TYPE_NAME = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")
TYPE_NAME_CHARS = 200
FARTHEST = timedelta(days=36525)
_NO_WEBHOOKS = WebhookPolicy()


class Submission(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What a caller asks for: the body of POST /v1/tasks.

    `notify_url` is told of its end. With `finish_by` it is accepted only if it should be done by
    then, and rises as that comes near.
    """

    type: TypeName
    args: dict[str, Any] = {}
    priority: Priority | None = None
    delay: Duration | None = None
    run_at: datetime | None = None
    expires_in: Duration | None = None
    deadline: Duration | None = None
    labels: dict[str, str] = {}
    notify_url: Url | None = None
    finish_by: datetime | None = None


def prepare(
    wish: Submission,
    *,
    tenant: TenantId,
    table: RoutingTable,
    catalog: Catalog,
    now: datetime,
    hold: float = 0.0,
    webhooks: WebhookPolicy = _NO_WEBHOOKS,
) -> tuple[NewTask, Route]:
    """Check a submission and make the row to store.

    `now` bounds `run_at` only; due and expiry dates are made on the database's clock. What happens
    to the task is told below the current span. Raises InvalidRequest with every faulty field,
    UnknownTaskType, PayloadTooLarge, InvalidArguments.
    """
    faults = list(_faults(wish, now))
    if wish.notify_url is not None and (problem := webhooks.notify_problem(wish.notify_url)):
        faults.append(Fault("/notify_url", problem))
    if faults:
        raise InvalidRequest("the request has invalid fields", faults=tuple(faults))
    route = table.resolve(wish.type)
    args = msgspec.json.encode(wish.args)
    if len(args) > route.defaults.max_args:
        raise PayloadTooLarge(
            f"the arguments take {len(args)} bytes, {wish.type!r} allows {route.defaults.max_args}"
        )
    catalog.check(wish.type, wish.args)
    defaults = route.defaults
    deadline = defaults.deadline.total_seconds() if defaults.deadline else None
    new = NewTask(
        id=TaskId(uuid7()),
        tenant=tenant,
        type=wish.type,
        pool=route.pool.name,
        priority=defaults.priority if wish.priority is None else wish.priority,
        args=args.decode(),
        labels=msgspec.json.encode(wish.labels).decode() if wish.labels else "{}",
        max_attempts=1 if defaults.at_most_once else defaults.retry.max_attempts,
        max_crashes=defaults.retry.max_crashes,
        at_most_once=defaults.at_most_once,
        delay=_seconds(wish.delay),
        run_at=wish.run_at,
        expires_in=_seconds(wish.expires_in),
        deadline=deadline if wish.deadline is None else _seconds(wish.deadline),
        hold=hold,
        notify_url=wish.notify_url,
        finish_by=wish.finish_by,
        trace=tracing.here(),
    )
    return new, route


def _seconds(text: str | None) -> float | None:
    return None if text is None else units.duration(text, zero=True).total_seconds()


def _faults(wish: Submission, now: datetime) -> list[Fault]:
    faults = []
    if len(wish.type) > TYPE_NAME_CHARS or not TYPE_NAME.fullmatch(wish.type):
        faults.append(
            Fault(
                "/type",
                f"must be words of letters, digits, - and _ joined by dots, at most "
                f"{TYPE_NAME_CHARS} characters",
            )
        )
    if wish.priority is not None and not LOWEST_PRIORITY <= wish.priority <= HIGHEST_PRIORITY:
        faults.append(
            Fault(
                "/priority",
                f"is {wish.priority}; it must be {LOWEST_PRIORITY} to "
                f"{HIGHEST_PRIORITY}, larger is more urgent",
            )
        )
    if wish.finish_by is not None:
        faults += _finish_faults(wish.finish_by, now)
    if (wish.delay, wish.run_at, wish.expires_in, wish.deadline) != (None,) * 4:
        faults += _time_faults(wish, now)
    if wish.labels:
        faults += _label_faults(wish.labels)
    return faults


def _finish_faults(finish_by: datetime, now: datetime) -> list[Fault]:
    if finish_by.tzinfo is None:
        return [Fault("/finish_by", "has no time zone; write …Z or an offset (RFC 3339)")]
    if not now < finish_by.astimezone(UTC) <= now + FARTHEST:
        return [Fault("/finish_by", f"is in the past or more than {FARTHEST.days} days ahead")]
    return []


def _time_faults(wish: Submission, now: datetime) -> list[Fault]:
    faults, lengths = [], {}
    for name in ("delay", "expires_in", "deadline"):
        if (text := getattr(wish, name)) is not None:
            try:
                lengths[name] = units.duration(text, zero=name == "delay")
            except ValueError as error:
                faults.append(Fault(f"/{name}", str(error)))
    if wish.delay is not None and wish.run_at is not None:
        faults.append(Fault("/run_at", "cannot be given together with delay; send one of them"))
    start = lengths.get("delay", timedelta(0))
    if wish.run_at is not None:
        if wish.run_at.tzinfo is None:
            faults.append(Fault("/run_at", "has no time zone; write …Z or an offset (RFC 3339)"))
            return faults
        start = wish.run_at.astimezone(UTC) - now
        if start > FARTHEST:
            faults.append(Fault("/run_at", f"is more than {FARTHEST.days} days ahead"))
    faults += [
        Fault(f"/{name}", "ends before the task may start, so it never would")
        for name in ("expires_in", "deadline")
        if name in lengths and lengths[name] <= start
    ]
    return faults


def _label_faults(labels: dict[str, str]) -> list[Fault]:
    if len(labels) > MOST_LABELS:
        return [Fault("/labels", f"has {len(labels)} labels; at most {MOST_LABELS} are allowed")]
    faults = []
    for key, value in labels.items():
        if not LABEL_KEY.fullmatch(key):
            faults.append(
                Fault(
                    "/labels",
                    f"has the key {key[:80]!r}; keys are 1 to 64 letters, digits or any of _ . / -",
                )
            )
        elif len(value) > LABEL_VALUE_CHARS:
            faults.append(
                Fault(
                    f"/labels/{key.replace('/', '~1')}",
                    f"is longer than {LABEL_VALUE_CHARS} characters",
                )
            )
    return faults
