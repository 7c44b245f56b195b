"""The page Charts: what was done, waited, ran and failed, over a time."""

import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlencode

from quart import Blueprint, Response, request

from taskyard.core.statistics import Durations
from taskyard.services.charts import STRETCHES, Charted, Wish, chart
from taskyard.services.charts import Line as Measured
from taskyard.ui.frame import own, page, redirect, viewer
from taskyard.ui.plot import Plot, Values, plot_of
from taskyard.ui.words import show_seconds
from taskyard.ui.yard import Yard

SHARES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
_USUAL = {"last": "24h", "share": "p95"}
# What is shown goes on by a minute, so to look often shows nothing; one viewer may cost 0.1 % of a
# core of the database.
_PATIENCE, _SOONEST, _LATEST = 1000, 20.0, 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """One picture with its words; `show` says a value of it."""

    key: str
    title: str
    said: str
    plot: Plot
    show: Callable[[float], str]


def serve_charts(blueprint: Blueprint, yard: Yard) -> None:
    """Serve the page."""

    @blueprint.get("/charts")
    async def charts() -> Response:
        given = {name: text for name, each in request.args.items() if (text := each.strip())}
        if given != request.args.to_dict():
            return redirect(f"/charts?{urlencode(given)}".rstrip("?"))
        asked = _USUAL | given
        faults = _faults(asked)
        valid = _USUAL if faults else asked
        began = time.monotonic()
        wish = Wish(
            stretch=STRETCHES[valid["last"]], pool=valid.get("pool"), type=valid.get("type")
        )
        found = await chart(own(yard.pool), wish, now=datetime.now(UTC))
        again = min(max((time.monotonic() - began) * _PATIENCE, _SOONEST), _LATEST)
        return await page(
            "charts.html",
            422 if faults else 200,
            asked=asked,
            faults=faults,
            found=found,
            charts=_charts(found, valid["share"]),
            query=lambda **more: urlencode(given | more),
            again=None if faults else again,
            pools=sorted(yard.table.pools),
            types=sorted(filter(viewer().principal.may_touch, yard.catalog.announced)),
        )


def _faults(asked: dict[str, str]) -> dict[str, str]:
    known: dict[str, Collection[str]] = {"last": STRETCHES, "share": SHARES}
    faults = {
        name: f"is none of {', '.join(choices)}"
        for name, choices in known.items()
        if asked[name] not in choices
    }
    return faults | {
        name: "holds a NUL character" for name in ("pool", "type") if "\0" in asked.get(name, "")
    }


def _charts(found: Charted, share: str) -> list[Chart]:
    at = SHARES[share]
    of = "Half of them" if share == "p50" else f"{at:.0%} of them"
    return [
        _chart(found, "rate", "Ended, a minute", "Tasks that ended.", lambda line: line.rate,
               show_rate),
        _chart(found, "wait", "Wait", f"{of} began within this time of being due.",
               lambda line: _percentiles(line.wait, at), show_seconds),
        _chart(found, "run", "Run", f"{of} ran so long at most, however they ended.",
               lambda line: _percentiles(line.run, at), show_seconds),
        _chart(found, "failed", "Failed",
               "Of the tasks that ended: failed, expired or quarantined; cancelled ones left out.",
               lambda line: line.failed, show_share, highest=1.0),
    ]  # fmt: skip


def _chart(
    found: Charted,
    key: str,
    title: str,
    said: str,
    values: Callable[[Measured], Values],
    show: Callable[[float], str],
    *,
    highest: float | None = None,
) -> Chart:
    lines = [(line.name, values(line)) for line in found.lines]
    plot = plot_of(lines, found.steps, found.until, highest=highest)
    return Chart(key=key, title=title, said=said, plot=plot, show=show)


def _percentiles(steps: tuple[Durations | None, ...], share: float) -> Values:
    return [None if each is None else each.percentile(share) for each in steps]


def show_rate(value: float) -> str:
    """Return a number of tasks: with a digit behind the point where that says something.

    >>> [show_rate(each) for each in (0, 0.04, 3.14, 1234.5)]
    ['0', '0.04', '3.1', '1,234']
    """
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def show_share(value: float) -> str:
    """Return a share in percent.

    >>> [show_share(each) for each in (0, 0.004, 0.25, 1)]
    ['0 %', '0.4 %', '25 %', '100 %']
    """
    return f"{value:.1%}".replace(".0%", "%").replace("%", " %")
