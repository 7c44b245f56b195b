"""How pages show times, durations and errors."""

from datetime import datetime, timedelta
from typing import Any

from markupsafe import Markup

_SHORTEST = 0.0995  # seconds; below, milliseconds are shown


def show_seconds(seconds: float) -> str:
    """Return a duration as a person says it: two units at most.

    >>> [show_seconds(each) for each in (0.012, 3.14, 75, 7260, 200_000)]
    ['12 ms', '3.1 s', '1 min 15 s', '2 h 1 min', '2 d 7 h']
    """
    if seconds < _SHORTEST:
        return f"{max(seconds, 0) * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, name, part, small in (
        (86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s"),
    ):  # fmt: skip
        if whole >= unit:
            rest = whole % unit // part
            return f"{whole // unit} {name}" + (f" {rest} {small}" if rest else "")
    raise AssertionError


def show_duration(between: timedelta) -> str:
    """Return the same of a time delta."""
    return show_seconds(between.total_seconds())


def show_time(instant: datetime) -> Markup:
    """Return a time in UTC; a script adds how long ago that was."""
    machine, person = f"{instant:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z", f"{instant:%Y-%m-%d %H:%M:%S}"
    return Markup('<time datetime="{}">{}</time>').format(machine, person)


def first_line(error: dict[str, Any] | None) -> str:
    """Return an error in one line: its code and how its message begins."""
    if not error:
        return ""
    begins = str(error.get("message", "")).strip().partition("\n")[0]
    return ": ".join(filter(None, (str(error.get("code", "")), begins)))[:300]


FILTERS: dict[str, Any] = {
    "show_seconds": show_seconds,
    "show_duration": show_duration,
    "show_time": show_time,
    "first_line": first_line,
}
