"""Webhooks: their secrets, what follows from an answer, which patterns can match anything."""

import base64
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from taskyard.core import topics

# The schedule that Standard Webhooks recommends, with 10 h once more instead of 14 h and 20 h.
RETRIES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
LONGEST_RETRY_AFTER = timedelta(hours=24)
_SPREAD = 0.1  # of the wait, so that what failed together does not come back together

MOST_PATTERNS = 32
TEST = "webhook.test"  # the event that tells of nothing
SECRET_PREFIX = "whsec_"  # noqa: S105 -- how Standard Webhooks marks a secret


def new_secret(chance: bytes) -> str:
    """Return a secret as Standard Webhooks writes it, from 24 to 64 random bytes."""
    return SECRET_PREFIX + base64.b64encode(chance).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one attempt came to: a status, or the fault why there is none."""

    status: int | None = None
    body: str = ""
    retry_after: timedelta | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The endpoint has taken it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It is sent again after a while."""

    delay: timedelta
    fault: str


@dataclass(frozen=True, slots=True)
class GiveUp:
    """It is not sent again, and nothing else to this endpoint."""

    fault: str


Verdict = Delivered | TryAgain | GiveUp


def judge(answer: Answer, *, attempt: int, jitter: float) -> Verdict:
    """Return what follows from the answer to an attempt, counted from 1; jitter is 0 to 1."""
    if answer.status is not None and HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return Delivered()
    fault = answer.fault or _fault(answer.status)
    if answer.status == HTTPStatus.GONE:
        return GiveUp("the endpoint answered 410 Gone")
    if attempt > len(RETRIES):
        return GiveUp(f"{attempt} attempts in a row failed, the last one because {fault}")
    delay = RETRIES[attempt - 1] * (1 + _SPREAD * jitter)
    asked = answer.retry_after if answer.status in _MAY_ASK else None
    return TryAgain(max(delay, min(asked or delay, LONGEST_RETRY_AFTER)), fault)


_MAY_ASK = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def _fault(status: int | None) -> str:
    if status is None:
        return "there was no answer"
    redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    return f"the answer was {status}" + (", and redirects are not followed" if redirect else "")


def pattern_problem(pattern: str) -> str | None:
    """Return what is wrong with a pattern over `task.<type>.<state>`, in words, or None."""
    if problem := topics.problem(pattern):
        return problem
    if topics.common_key(pattern, "task.*.#") is None:
        return "matches nothing: events are called task.<type>.<state>"
    return None
