"""What becomes of accepted work when twice as much is asked as can be done.

    python -m benchmarks.overload             # two minutes of overload; eight in all
    python -m benchmarks.overload --quick     # a look: some seconds of each

Starts a stack of its own and prints one JSON line for each part, and at the end what was promised
beside what was measured. Nothing of it is a test: run it on a quiet machine. API and clients have
one core, all else the others: where all share, the kernel decides who is late.
"""

import asyncio
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
import typer

from benchmarks.open_loop import Answered, Seen, as_fast_as_it_goes, at_rate, request_bytes
from benchmarks.systems import clean_environment
from taskyard import bootstrap
from taskyard.core.principal import Scope, TenantId
from taskyard.services.keys import KeyWish

HERE = Path(__file__).parent
BODY = json.dumps({"type": "bench.noop", "args": {"n": 1}}).encode()
QUIET_RATE = 5.0
RECOVERED_WITHIN = 30.0
SETTLED_WITHIN = 300.0
_QUIET_CONNECTIONS = 8
_ROLES = ("api", "dispatcher", "ingest", "worker")


@dataclass(frozen=True, slots=True, kw_only=True)
class Yard:
    """The stack that is measured."""

    url: Any
    key: str
    database: psycopg.Connection[Any]

    def number(self, query: str, *given: object) -> float:
        row = self.database.execute(query.encode(), given).fetchone()
        return float(row[0]) if row else 0.0

    def now(self) -> Any:
        row = self.database.execute("SELECT clock_timestamp()").fetchone()
        assert row is not None
        return row[0]

    def finished_since(self, when: Any) -> float:
        return self.number(
            "SELECT count(*) FROM tasks WHERE state = 'succeeded' AND finished_at >= %s", when
        )

    async def settle(self) -> None:
        """Wait until everything that was accepted has ended."""
        deadline = time.monotonic() + SETTLED_WITHIN
        while self.number("SELECT count(*) FROM tasks WHERE finished_at IS NULL"):
            if time.monotonic() > deadline:
                raise TimeoutError("what was accepted did not end")
            await asyncio.sleep(0.1)

    def lost(self, accepted: Sequence[str]) -> int:
        """Count what was accepted and has no result."""
        found = self.number(
            "SELECT count(*) FROM tasks WHERE state = 'succeeded' AND id = ANY(%s::uuid[])",
            list(accepted),
        )
        return len(accepted) - int(found)


def p99(seconds: Sequence[float]) -> float | None:
    """Return the 99th percentile in milliseconds."""
    if len(seconds) < 2:
        return None
    return round(statistics.quantiles(seconds, n=100)[98] * 1000, 2)


def resident() -> dict[str, float]:
    """Return the resident memory of each role in MiB."""
    sums = dict.fromkeys(_ROLES, 0.0)
    for each in psutil.Process(os.getppid()).children(recursive=True):
        try:
            words = each.cmdline()
            role = next((r for r in _ROLES if r in words[2:5] and "taskyard" in words), None)
            if role:
                sums[role] += each.memory_info().rss / 2**20
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return sums


async def sampled(work: Any, sample: Callable[[], dict[str, float]]) -> tuple[Any, list[Any]]:
    """Return what work came to, and a sample for each second of it."""
    samples: list[dict[str, float]] = []
    running = asyncio.ensure_future(work)
    while not running.done():
        samples.append(await asyncio.to_thread(sample))
        await asyncio.wait([running], timeout=1.0)
    return running.result(), samples


def separate() -> None:
    """Give the API, and the clients here, the first core, and everything else the others."""
    first, *others = sorted(os.sched_getaffinity(0))
    if not others:
        print("one core only: everything shares it", file=sys.stderr)
        return
    os.sched_setaffinity(0, {first})
    for each in psutil.Process(os.getppid()).children(recursive=True):
        if each.pid != os.getpid():
            cores = {first} if "api" in each.cmdline() else set(others)
            for thread in each.threads():
                os.sched_setaffinity(thread.id, cores)


def say(part: str, found: dict[str, Any]) -> None:
    print(json.dumps({part: found, "load": round(os.getloadavg()[0], 1)}), flush=True)


async def measure_peak(yard: Yard, seconds: float) -> float:
    """Submit over 64 connections, waiting or not: what is finished a second, at most."""
    peak = 0.0
    for prefer in ("wait=30", ""):
        request = request_bytes(yard.url, yard.key, BODY, prefer=prefer)
        await as_fast_as_it_goes(yard.url, request, connections=64, seconds=seconds / 8)
        begun = yard.now()
        await as_fast_as_it_goes(yard.url, request, connections=64, seconds=seconds / 2)
        span = yard.number("SELECT extract(epoch FROM clock_timestamp() - %s)", begun)
        peak = max(peak, yard.finished_since(begun) / span)
        await yard.settle()
    say("peak", {"finished_per_second": round(peak)})
    return peak


async def measure_calm(yard: Yard, peak: float, seconds: float) -> float | None:
    """At 80 % of the peak."""
    request = request_bytes(yard.url, yard.key, BODY)
    seen = await at_rate(yard.url, request, rate=0.8 * peak, seconds=seconds)
    await yard.settle()
    calm = p99(seen.seconds(accepted=True))
    say("calm", {"accepted_p99_ms": calm, "statuses": seen.statuses()})
    return calm


async def measure_overload(yard: Yard, peak: float, seconds: float) -> tuple[Seen, dict[str, Any]]:
    """At twice the peak, with the memory of every role."""
    request = request_bytes(yard.url, yard.key, BODY)
    begun = yard.now()
    seen, memory = await sampled(
        at_rate(yard.url, request, rate=2 * peak, seconds=seconds), resident
    )
    span = yard.number("SELECT extract(epoch FROM clock_timestamp() - %s)", begun)
    steady = memory[max(1, len(memory) // 10) :] or memory
    totals = [sum(each.values()) for each in steady]
    found = {
        "goodput_of_peak": round(yard.finished_since(begun) / span / peak, 3),
        "accepted_p99_ms": p99(seen.seconds(accepted=True)),
        "refused_p99_ms": p99(seen.seconds(accepted=False)),
        "statuses": seen.statuses(),
        "unanswered": seen.unanswered,
        "rss_mib": [round(min(totals)), round(max(totals))],
        "rss_swing": round((max(totals) - min(totals)) / statistics.median(totals), 3),
    }
    return seen, found


def normal_after(answers: Sequence[Answered], began: float, calm: float) -> float | None:
    """Return after how many seconds three in a row were as before: none refused, p99 in bounds."""
    good = 0
    for second in range(int(RECOVERED_WITHIN) + 10):
        here = [a for a in answers if second <= a.at - began < second + 1]
        times = [a.seconds for a in here if a.status == 202]
        fine = len(times) > 1 and len(times) == len(here) and (p99(times) or 0) <= 2 * calm
        good = good + 1 if fine else 0
        if good == 3:
            return float(second - 2)
    return None


async def measure_recovery(yard: Yard, peak: float, calm: float) -> tuple[Seen, float | None]:
    """Half the peak, right after the overload."""
    request, began = request_bytes(yard.url, yard.key, BODY), time.monotonic()
    seen = await at_rate(yard.url, request, rate=0.5 * peak, seconds=RECOVERED_WITHIN + 10)
    return seen, normal_after(seen.answers, began, calm)


async def measure_quiet(yard: Yard, peak: float, seconds: float) -> dict[str, Any]:
    """A tenant that submits little, and waits or does not: alone, and beside one that floods."""
    quiet, noisy = await tenant_key("quiet"), await tenant_key("noisy")
    few = partial(
        at_rate, yard.url, rate=QUIET_RATE, seconds=seconds, connections=_QUIET_CONNECTIONS
    )
    submits = partial(few, request_bytes(yard.url, quiet, BODY))
    waits = partial(few, request_bytes(yard.url, quiet, BODY, prefer="wait=30"))
    flood = request_bytes(yard.url, noisy, BODY)
    alone = await asyncio.gather(submits(), waits())
    *beside, _ = await asyncio.gather(
        submits(), waits(), at_rate(yard.url, flood, rate=2 * peak, seconds=seconds)
    )
    await yard.settle()
    found: dict[str, Any] = {}
    for name, before, during in zip(("submitted", "ended"), alone, beside, strict=True):
        one, two = p99(before.seconds(accepted=True)), p99(during.seconds(accepted=True))
        found[name] = {
            "alone_p99_ms": one, "beside_p99_ms": two,
            "ratio": round(two / one, 2) if one and two else None, "statuses": during.statuses(),
        }  # fmt: skip
    return found


async def tenant_key(tenant: str) -> str:
    """Make a key for a tenant of the run."""
    wish = KeyWish(
        tenant=TenantId(f"{tenant}-{secrets.token_hex(3)}"), name=tenant,
        scopes=frozenset({Scope.SUBMIT, Scope.READ}), created_by="benchmark",
    )  # fmt: skip
    return (await bootstrap.create_key(bootstrap.settings(), wish))[0]


async def measure(seconds: float) -> bool:
    """Run every part; return whether all that was promised held."""
    with psycopg.connect(os.environ["TASKYARD_DATABASE_URL"], autocommit=True) as database:
        key = os.environ["TASKYARD_API_KEY"]
        yard = Yard(url=urlsplit(os.environ["TASKYARD_API_URL"]), key=key, database=database)
        separate()
        peak = await measure_peak(yard, seconds / 2)
        calm = await measure_calm(yard, peak, seconds / 2) or 0.0
        during, over = await measure_overload(yard, peak, seconds)
        say("overload", over)
        after, recovered = await measure_recovery(yard, peak, calm)
        await yard.settle()
        lost = yard.lost(during.accepted + after.accepted)
        say("recovery", {"normal_after_s": recovered, "lost": lost})
        quiet = await measure_quiet(yard, peak, seconds)
        say("quiet_tenant", quiet)
    return report(calm, over, recovered, lost, quiet)


def report(
    calm: float, over: dict[str, Any], recovered: float | None, lost: int, quiet: dict[str, Any]
) -> bool:
    """Print what was promised beside what was measured."""
    accepted = quiet["submitted"]["ratio"]
    lines = [
        ("goodput of the peak", ">= 0.9", over["goodput_of_peak"], over["goodput_of_peak"] >= 0.9),
        ("accepted p99, ms", f"<= {2 * calm:.1f}", over["accepted_p99_ms"],
         (over["accepted_p99_ms"] or 0) <= 2 * calm),
        ("refused p99, ms", "<= 20", over["refused_p99_ms"], (over["refused_p99_ms"] or 0) <= 20),
        ("swing of RSS", "<= 0.2", over["rss_swing"], over["rss_swing"] <= 0.2),
        ("accepted and lost", "0", lost, lost == 0),
        ("normal after, s", "<= 30", recovered, recovered is not None and recovered <= 30),
        ("quiet tenant's submit, of alone", "<= 1.5", accepted, (accepted or 9) <= 1.5),
    ]  # fmt: skip
    print("\n| what | promised | measured | |\n|---|---|---|---|")
    for what, promised, measured, held in lines:
        print(f"| {what} | {promised} | {measured} | {'held' if held else 'NOT HELD'} |")
    return all(held for *_, held in lines)


def start_and_measure(seconds: float, backlog: int) -> int:
    """Start a stack, and this very module beside it."""
    with tempfile.TemporaryDirectory(prefix="taskyard-overload-") as folder:
        Path(folder).chmod(0o755)
        up = [sys.executable, "-m", "taskyard", "up", "--folder", f"{folder}/state", "--"]
        environment = clean_environment(
            TASKYARD_ROUTING=str(HERE / "deployment" / "overload"),
            TASKYARD_WORKERS=str(HERE / "deployment" / "workers"),
            TASKYARD_LARGEST_BACKLOG=str(backlog),
        )
        me = [sys.executable, "-m", "benchmarks.overload", "--beside", "--seconds", str(seconds)]
        return subprocess.run([*up, *me], env=environment, check=False).returncode


def main(
    seconds: float = typer.Option(120.0, help="Of overload; the other parts follow from it."),
    quick: bool = typer.Option(False, help="Ten seconds: a look, not numbers to quote."),
    backlog: int = typer.Option(2_000, help="TASKYARD_LARGEST_BACKLOG of the stack."),
    beside: bool = typer.Option(False, hidden=True, help="Measure the stack that started this."),
) -> None:
    """Measure what an overload does."""
    seconds = 10.0 if quick else seconds
    if beside:
        asyncio.run(measure(seconds))
        return
    raise typer.Exit(start_and_measure(seconds, backlog))


if __name__ == "__main__":
    typer.run(main)
