"""Durations, sizes and dates as people write them: `90s`, `1h30m`, `250ms`, `256KiB`."""

import re
from datetime import UTC, datetime, timedelta

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,3})?(?:ms|s|m|h|d))+", re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)", re.ASCII)
_BYTES = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3}
_SIZE = re.compile(r"(\d{1,9})(B|KiB|MiB|GiB)", re.ASCII)

LONGEST = timedelta(days=3650)


def duration(text: str, *, zero: bool = False) -> timedelta:
    """Return the time span a text means. Raises ValueError in words for anything else.

    No time at all is refused unless `zero` allows it.
    """
    if not _DURATION.fullmatch(text):
        raise ValueError(f"is {text[:40]!r}; write a duration such as 90s, 5m, 1h30m or 7d")
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if seconds > LONGEST.total_seconds() or (seconds == 0 and not zero):
        least = "0s or more" if zero else "more than 0s"
        raise ValueError(f"is {text[:40]!r}; it must be {least} and at most {LONGEST.days}d")
    return timedelta(seconds=seconds)


def show_duration(span: timedelta) -> str:
    """Return a time span as `duration` reads it."""
    rest = round(span.total_seconds() * 1000)
    shown = ""
    for unit in ("d", "h", "m", "s", "ms"):
        count, rest = divmod(rest, round(_SECONDS[unit] * 1000))
        shown += f"{count}{unit}" if count else ""
    return shown or "0s"


def show_instant(at: datetime) -> str:
    """Return a date to the second, in UTC (RFC 3339)."""
    return f"{at.astimezone(UTC):%FT%TZ}"


def show_ago(span: timedelta) -> str:
    """Return how long ago something was, to the second."""
    seconds = max(0, round(span.total_seconds()))
    return f"{show_duration(timedelta(seconds=seconds))} ago"


def size(text: str) -> int:
    """Return the number of bytes a text means. Raises ValueError in words for anything else."""
    found = _SIZE.fullmatch(text)
    if not found or not int(found[1]):
        raise ValueError(f"is {text[:40]!r}; write a size such as 512B, 256KiB or 1MiB")
    return int(found[1]) * _BYTES[found[2]]
