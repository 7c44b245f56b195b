"""The whole way of a task, calm and with faults striking: speed, losses and duplicates together.

From the POST over the durable commit, the confirmed publish and the run to the stored result. Both
are drills (`taskyard drill`), which decide from outside what was kept.
"""

import asyncio
import random
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.report import Sheet
from benchmarks.systems import clean_environment
from taskyard.core.states import State
from taskyard.drill import faults, report
from taskyard.drill.history import History, Kind
from taskyard.drill.mix import Mix, Portion
from taskyard.drill.run import Drilled, Plan, drill
from taskyard.routing_files import read_routing

# Its workers write down what they do, so that effects are counted outside the tested database.
_DEPLOYMENT = Path(__file__).parents[1] / "tests" / "faults" / "deployment"
_SEED = 1
_ENDS = [State.SUCCEEDED]
_MIX = Mix(
    {
        "faulty.quick": Portion(weight=2, ends=_ENDS),
        "faulty.transfer": Portion(weight=1, ends=_ENDS, transactional=True),
    }
)
_COLUMNS = (
    "faults", "accepted", "finished/s", "p50 ms", "p99 ms", "slowest ms",
    "lost", "accepted twice", "ran again", "effects twice", "stale writes",
)  # fmt: skip


def whole(tasks: int, *, say: Callable[[str], None]) -> Sheet:
    """Measure a calm drill and one with a fault for each hundred tasks.

    Raises ChildProcessError when a stack does not start.
    """
    struck = faults.draw(max(1, tasks // 100), random.Random(_SEED))
    rows = [_row(_drilled(tasks, chosen, say)) for chosen in ((), struck)]
    return Sheet(
        title=f"HTTP submit to stored result, {tasks:,} tasks of 12 clients, calm and under faults",
        columns=_COLUMNS,
        rows=rows,
        note="Milliseconds from the first POST of a task to the commit of its result.",
    )


def _drilled(tasks: int, chosen: Sequence[faults.Fault], say: Callable[[str], None]) -> Drilled:
    routing = _DEPLOYMENT / "routing"
    plan = Plan(seed=_SEED, tasks=tasks, faults=chosen, mix=_MIX, table=read_routing(routing))
    environment = clean_environment(
        TASKYARD_ROUTING=str(routing),
        TASKYARD_WORKERS=str(_DEPLOYMENT / "code"),
        TASKYARD_LOG_FORMAT="json",
    )
    with tempfile.TemporaryDirectory(prefix="taskyard-whole-") as folder:
        Path(folder).chmod(0o755)  # Postgres may have to run as another user
        return asyncio.run(drill(plan, Path(folder), environment=environment, say=say))


def _row(drilled: Drilled) -> Sequence[Any]:
    told, history = report.summary(drilled), drilled.history
    seconds = sorted(_whole_ways(history).values())
    cuts = quantiles(seconds, n=100, method="inclusive")
    again = told["violations"].get("one-task-per-key", 0)
    milliseconds = (cuts[49] * 1000, cuts[98] * 1000, seconds[-1] * 1000)
    return (
        told["faults"], told["accepted"], len(seconds) / _span(history), *milliseconds,
        told["lost"], again, told["ran_more_than_once"], told["double_effects"],
        told["stale_writes"],
    )  # fmt: skip


def _whole_ways(history: History) -> Mapping[str, float]:
    """Return the seconds from the first request for a task to its result, by task."""
    asked: dict[int, float] = {}
    for entry in history.entries:
        if entry.kind is Kind.INVOKE:
            asked.setdefault(entry.number, history.wall(entry.at))
    number = {task.id: task.number for task in history.tasks}
    return {
        event.task_id: event.at.timestamp() - asked[submission]
        for event in history.events
        if event.state is State.SUCCEEDED
        and (submission := number.get(event.task_id)) is not None
        and submission in asked
    }


def _span(history: History) -> float:
    """Return the seconds from the first request to the last result."""
    began = history.wall(min(entry.at for entry in history.entries))
    return max(event.at.timestamp() for event in history.events) - began
