"""testing.py: what adopters test their tasks and routes with."""

import sqlite3
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

from taskyard import Interrupted, Permanent, Retry, current, task
from taskyard.core.errors import UnknownTaskType
from taskyard.testing import LogLine, Progress, Throttling, Trial, _OnTrial, route_of
from taskyard.worker.current import Current
from taskyard.worker.outcome import ArgumentsDoNotFit, ResultUnusable


class Line(msgspec.Struct):
    item: str
    count: Annotated[int, msgspec.Meta(ge=1)]


@task("trial.charge")
def charge() -> None:
    current.resource("stripe").throttled(retry_after=30)
    current.resource("stripe").timed_out()


@task("trial.order")
def order(lines: list[Line], day: date, note: str = "none") -> dict[str, Any]:
    current.progress(0.5, "counted")
    current.log("counted", lines=len(lines))  # type: ignore[attr-defined,unused-ignore]
    current.progress(7)
    return {"total": sum(line.count for line in lines), "day": day, "note": note}


@task("trial.patient", bind=True, max_retries=2)
def patient(self: Any) -> None:
    raise self.retry(exc=ValueError(f"attempt {current.attempt}"), countdown=3)


@task("trial.stepwise")
async def stepwise() -> list[Any]:
    drawn = current.once("draw", lambda: (1, 2))
    return [drawn, current.effect_key("charge"), current.task_id, current.errors]


@task("trial.write")
def write(number: int) -> None:
    with current.transaction() as connection:
        connection.execute("INSERT INTO bookings VALUES (?)", (number,))


@task("trial.deaf")
def deaf() -> str:
    if current.cancelled:
        current.progress(0.1)
    return "done"


@task("trial.odd")
def odd() -> Any:
    return object()


ORDER = {"lines": [{"item": "a", "count": 2}, {"item": "b", "count": 3}], "day": "2026-01-31"}


def test_a_task_runs_as_in_a_worker() -> None:
    """Arguments come typed, the result is what a client reads, what was said is kept."""
    trial = Trial()
    assert trial.run(order, ORDER) == {"total": 5, "day": "2026-01-31", "note": "none"}
    assert trial.progress == [Progress(0.5, "counted"), Progress(1.0)]
    assert trial.log == [LogLine("counted", {"lines": 2})]


@pytest.mark.parametrize(
    "args",
    [{}, {**ORDER, "more": 1}, {**ORDER, "lines": [{"item": "a", "count": 0}]}, {"day": "today"}],
)
def test_arguments_that_do_not_fit_are_refused(args: dict[str, Any]) -> None:
    """As the API and the worker refuse them."""
    with pytest.raises(ArgumentsDoNotFit):
        Trial().run(order, args)


def test_what_cannot_be_stored_is_refused() -> None:
    """A result that JSON has no form for."""
    with pytest.raises(ResultUnusable, match="not JSON"):
        Trial().run(odd)


def test_a_retry_is_raised_as_a_worker_would_see_it() -> None:
    """`self.retry` asks to run again, until its own bound is reached."""
    with pytest.raises(Retry, match="attempt 2") as raised:
        Trial(attempt=2, errors=1).run(patient)
    assert raised.value.after is not None
    assert raised.value.after.total_seconds() == 3
    with pytest.raises(Permanent, match="no success in 3 attempts"):
        Trial(attempt=3, errors=2).run(patient)


def test_a_second_attempt_reads_what_the_first_kept() -> None:
    """The steps that were done are not done again; an async task runs too."""
    first = Trial(task_id="t")
    assert first.run(stepwise) == [[1, 2], "t:charge", "t", 0]
    assert first.kept == {"draw": [1, 2]}
    again = Trial(task_id="t", attempt=2, errors=1, kept={"draw": [7]})
    assert again.run(stepwise) == [[7], "t:charge", "t", 1]


def test_a_transaction_is_the_connection_that_the_test_gave() -> None:
    """Without one the task is told so."""
    with sqlite3.connect(":memory:") as connection:
        connection.execute("CREATE TABLE bookings (number int)")
        Trial(connection=connection).run(write, {"number": 7})
        assert connection.execute("SELECT * FROM bookings").fetchall() == [(7,)]
    connection.close()
    with pytest.raises(RuntimeError, match="connection="):
        Trial().run(write, {"number": 7})


def test_a_cancelled_task_is_interrupted() -> None:
    """At its next word."""
    assert Trial().run(deaf) == "done"
    with pytest.raises(Interrupted):
        Trial(cancelled=True).run(deaf)


def test_nothing_is_left_behind() -> None:
    """After a trial, also one that failed, `current` is as before."""
    with pytest.raises(Interrupted):
        Trial(cancelled=True).run(deaf)
    assert type(current) is Current
    assert current.task_id is None
    assert deaf() == "done"


def test_only_a_task_can_be_tried() -> None:
    """A plain function is called, not tried."""
    with pytest.raises(TypeError, match="is no task"):
        Trial().run(lambda: None)


def test_what_is_said_of_a_resource_is_kept() -> None:
    """A trial needs no resources.toml."""
    trial = Trial()
    trial.run(charge)
    assert trial.throttled == [Throttling("stripe", 30.0), Throttling("stripe", 1.0)]
    current.resource("stripe").throttled()  # outside a worker: nothing happens


def test_all_that_current_can_do_can_be_tried() -> None:
    """A new public name of `current` must be played in a trial too."""
    names = {name for name in vars(Current) if not name.startswith("_")}
    assert names <= {name for name in vars(_OnTrial) if not name.startswith("_")}


def test_a_route_is_that_of_the_deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is found as the engine finds it; a type without a pool is refused."""
    tests = Path(__file__).parents[1]
    monkeypatch.setenv("TASKYARD_ROUTING", str(tests / "deployment" / "routing"))
    found = route_of("quick.pay")
    assert (found.pool.name, found.pattern, found.defaults.at_most_once) == (
        "quick",
        "quick.#",
        True,
    )
    with pytest.raises(UnknownTaskType):
        route_of("no.pool")
