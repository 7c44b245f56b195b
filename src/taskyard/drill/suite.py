"""Several drills, one after the other: what `taskyard drill` does."""

import asyncio
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from taskyard import bootstrap
from taskyard.core.errors import Fault as Problem
from taskyard.core.errors import Misconfigured
from taskyard.dev.up import PROGRAM
from taskyard.drill import faults, report
from taskyard.drill.mix import read_mix
from taskyard.drill.run import Drilled, Plan, drill

MIX = "drill.toml"  # in the routing folder
_BEGIN, _END = "<!-- figures -->", "<!-- end of figures -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What was asked for. Tasks and faults are shared among the seeds."""

    tasks: int
    seeds: Sequence[int]
    faults: int
    only: Sequence[str] = ()  # names of faults; any, if none is named
    longest: float | None = None  # seconds a fault may last
    mix: Path | None = None
    as_json: bool = False
    markdown: Path | None = None
    program: Sequence[str] = PROGRAM


def run(wanted: Wanted) -> int:
    """Do every drill and report; return the exit code: 1 when a promise was broken.

    Raises Misconfigured before anything starts.
    """
    plans = list(plan(wanted))
    drilled = [_drill_one(each, wanted) for each in plans]
    summaries = [report.summary(each) for each in drilled]
    if wanted.as_json:
        sys.stdout.write(msgspec.json.encode(summaries).decode() + "\n")
    if wanted.markdown is not None:
        write_between(wanted.markdown, report.markdown(summaries))
    return 0 if all(map(report.passed, drilled)) else 1


def plan(wanted: Wanted) -> Iterator[Plan]:
    """Yield the drill of each seed. Raises Misconfigured."""
    settings, _ = bootstrap.stack_settings()
    table = bootstrap.routing(settings)
    mix = read_mix(wanted.mix or settings.routing / MIX, table)
    struck = _faults(wanted)
    for place, seed in enumerate(wanted.seeds):
        yield Plan(
            seed=seed,
            tasks=_share(wanted.tasks, place, len(wanted.seeds)),
            faults=struck[place :: len(wanted.seeds)],
            mix=mix,
            table=table,
        )


def _faults(wanted: Wanted) -> list[faults.Fault]:
    unknown = [name for name in wanted.only if name not in faults.NAMES]
    if unknown:
        known = ", ".join(faults.NAMES)
        raise Misconfigured(
            "there are no such faults",
            faults=tuple(Problem(name, f"is none of {known}") for name in unknown),
        )
    chance = random.Random(f"{wanted.seeds}")  # noqa: S311 - a drill is repeatable
    return faults.draw(wanted.faults, chance, only=wanted.only, longest=wanted.longest)


def _share(count: int, place: int, parts: int) -> int:
    return count * (place + 1) // parts - count * place // parts


def _drill_one(each: Plan, wanted: Wanted) -> Drilled:
    folder = Path(tempfile.mkdtemp(prefix="taskyard-drill-"))
    folder.chmod(0o755)  # Postgres may have to run as another user
    try:
        drilled = _interruptible(
            lambda: drill(
                each,
                folder,
                environment=bootstrap.child_environment({"TASKYARD_LOG_FORMAT": "json"}),
                program=wanted.program,
                say=_say,
            )
        )
    except KeyboardInterrupt:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    if report.passed(drilled):
        shutil.rmtree(folder, ignore_errors=True)
    else:
        _say(f"what the roles have printed is in {folder / 'stack.log'}")
    for line in report.lines(drilled):
        print(line, file=sys.stderr if wanted.as_json else sys.stdout, flush=True)
    return drilled


def _interruptible(work: Callable[[], Coroutine[Any, Any, Drilled]]) -> Drilled:
    """Run a drill; SIGTERM ends it as Ctrl-C does, servers and stack included."""

    async def supervised() -> Drilled:
        task = asyncio.ensure_future(work())
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await task

    try:
        return asyncio.run(supervised())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def write_between(page: Path, figures: str) -> None:
    """Replace what stands between the marks of a page, or write a new page with only the marks."""
    before, _, rest = (page.read_text("utf-8") if page.exists() else "").partition(_BEGIN)
    _, _, after = rest.partition(_END)
    page.write_text(f"{before}{_BEGIN}\n\n{figures}\n{_END}{after or chr(10)}", encoding="utf-8")


def _say(text: str) -> None:
    print(f"taskyard: {text}", file=sys.stderr, flush=True)
