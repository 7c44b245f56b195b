"""api/pressure.py and api/front.py: new work is refused when submissions take long."""

import asyncio
from typing import Any

import msgspec
import pytest

from taskyard.api.front import fronted
from taskyard.api.pressure import Pressure, Visit

QUIET, NOISY = 1, 2


def look_after(pressure: Pressure, delay: float, *, at_once: int = 32, late: float = 0.0) -> None:
    """Look after so many submissions were under way at once, of which each took so long."""
    cuts = [pressure.enter(NOISY) for _ in range(at_once)]
    for each in cuts:
        pressure.leave(NOISY, cuts=each, seconds=delay)
    pressure.look(late=late)


def looked(pressure: Pressure, *delays: float, **given: Any) -> list[float]:
    """Look so often; return the limits."""
    limits = []
    for delay in delays:
        look_after(pressure, delay, **given)
        limits.append(pressure.limit)
    return limits


def filled(pressure: Pressure, caller: int = NOISY) -> int:
    """Let in whoever is let in, for ever under way; return how many."""
    count = 0
    while not pressure.refuses(caller):
        pressure.enter(caller)
        count += 1
    return count


async def counted(pressure: Pressure, count: int) -> None:
    """Wait until so many are under way."""
    async with asyncio.timeout(10):
        while pressure._under_way != count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)


def test_nothing_is_refused_while_submissions_are_quick() -> None:
    """However many come."""
    pressure = Pressure()
    assert set(looked(pressure, *[0.02] * 100)) == {1_000.0}
    assert filled(pressure) == 1_000


@pytest.mark.parametrize("slow", [{"delay": 0.3}, {"delay": 0.001, "late": 0.3}])
def test_the_limit_falls_at_once_and_comes_back(slow: dict[str, float]) -> None:
    """Slow submissions count, and so does a loop that is late with looking."""
    pressure = Pressure()
    look_after(pressure, at_once=200, **slow)
    assert pressure.limit == 100.0
    look_after(pressure, at_once=100, **slow)
    assert pressure.limit == 50.0
    looked(pressure, *[0.3] * 20)
    assert pressure.limit == 16.0
    back = looked(pressure, *[0.01] * 100)
    assert back == sorted(back)
    assert back[-1] == 1_000.0


def test_the_limit_follows_what_is_worked_off() -> None:
    """A thousand a second, and 30 ms for each: thirty at once, by Little's law."""
    pressure, limits = Pressure(), []
    for _ in range(500):
        at_once = min(400, int(pressure.limit))
        look_after(pressure, at_once / 1_000, at_once=at_once)
        limits.append(pressure.limit)
    assert 24 < sum(limits[50:]) / 450 < 36


def test_what_came_before_a_cut_is_no_reason_for_another() -> None:
    """It waited with those that are refused now."""
    pressure = Pressure()
    cuts = [pressure.enter(NOISY) for _ in range(200)]
    look_after(pressure, 0.3, at_once=1)
    cut = pressure.limit
    assert cut < 200
    for each in cuts:
        pressure.leave(NOISY, cuts=each, seconds=0.5)
    pressure.look(late=0.0)
    assert pressure.limit >= cut


def test_few_at_once_are_never_refused() -> None:
    """However long each takes."""
    pressure = Pressure()
    looked(pressure, *[30.0] * 1_000)
    assert filled(pressure) >= 16


def test_a_slow_disk_is_no_queue() -> None:
    """Where few at once take long as well, refusing would make none quicker."""
    pressure = Pressure()
    looked(pressure, *[0.5] * 50, at_once=8)
    assert looked(pressure, *[0.5] * 20, at_once=200)[-1] == 1_000.0
    assert looked(pressure, *[2.0] * 4, at_once=200)[-1] < 30.0


def test_that_the_disk_was_slow_is_forgotten() -> None:
    """Else a minute of it would be a reason to be slow all day."""
    pressure = Pressure()
    looked(pressure, *[0.5] * 50, at_once=8)
    looked(pressure, *[0.5] * 1_500, at_once=200)
    assert pressure.limit < 30.0


def test_who_goes_before_the_answer_does_not_make_it_look_quick() -> None:
    """Only what was answered says how long it takes."""
    pressure = Pressure()
    for _ in range(10):
        cuts = [pressure.enter(NOISY) for _ in range(32)]
        for number, each in enumerate(cuts):
            pressure.leave(NOISY, cuts=each, seconds=0.0 if number else 0.3)
        pressure.look(late=0.0)
    assert pressure.limit == 16.0


def test_what_is_too_long_is_a_setting() -> None:
    """A deployment that would rather wait than come again says so."""
    assert set(looked(Pressure(target=10.0), *[5.0] * 100)) == {1_000.0}


def test_who_asks_for_little_is_let_in_beside_a_flood() -> None:
    """Up to its share of the room, and to the hard end; what is not counted has no share."""
    pressure = Pressure()
    looked(pressure, *[30.0] * 100)
    assert filled(pressure) == 16
    assert pressure.refuses(QUIET, counted=False)
    assert filled(pressure, QUIET) == 4
    assert pressure.refuses(3)


def test_callers_that_are_gone_take_no_memory() -> None:
    """A flood of a minute ago is nothing."""
    pressure = Pressure()
    for caller in range(1_000):
        pressure.refuses(caller)
        pressure.leave(caller, cuts=pressure.enter(caller), seconds=0.01)
    assert not pressure._callers


async def test_a_body_that_is_long_in_coming_takes_no_room() -> None:
    """It waits for its client, so only once it is whole does it count again."""
    pressure = Pressure()
    slow, quick = pressure.visit(NOISY), pressure.visit(QUIET)
    quick.came()
    await counted(pressure, 1)
    slow.came()
    assert pressure._callers == {NOISY: 1, QUIET: 1}
    slow.end(0.1)
    quick.end(0.1)
    assert (pressure._under_way, pressure._count) == (0, 2)


async def test_who_leaves_while_its_body_comes_is_not_counted_twice() -> None:
    """Before and after it stepped aside."""
    pressure = Pressure()
    early, late = pressure.visit(NOISY), pressure.visit(NOISY)
    early.end(0.0)
    await counted(pressure, 0)
    late.end(0.0)
    assert (pressure._under_way, pressure._callers) == (0, {})


async def answered(pressure: Pressure, method: str, path: str) -> tuple[int, dict[bytes, bytes]]:
    """Send a request through the front of an application that answers 202."""
    sent: list[Any] = []

    async def application(_scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "http.response.start", "status": 202, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"{}", "more_body": False}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http", "method": method, "path": path, "query_string": b"",
        "http_version": "1.1", "headers": [(b"host", b"x"), (b"content-length", b"2")],
    }  # fmt: skip
    await fronted(application, pressure)(scope, receive, send)  # type: ignore[arg-type]
    body = sent[1]["body"]
    if sent[0]["status"] != 202:
        assert msgspec.json.decode(body)["code"] == "overloaded"
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/tasks/batch", "/v1/events"])
async def test_new_work_is_refused_before_the_application_sees_it(path: str) -> None:
    """With the seconds after which to come again; the connection stays."""
    pressure = Pressure()
    pressure.limit = 0.0
    status, headers = await answered(pressure, "POST", path)
    assert status == 503
    assert 1 <= int(headers[b"retry-after"]) <= 3
    assert b"connection" not in headers


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/tasks"), ("POST", "/v1/tasks/x/cancel"), ("GET", "/livez")]
)
async def test_whoever_looks_or_mends_is_served(method: str, path: str) -> None:
    """It costs less, and helps to end what is wrong."""
    pressure = Pressure()
    pressure.limit = 0.0
    assert (await answered(pressure, method, path))[0] == 202


async def test_what_a_submission_takes_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """From when it has come whole, so that a slow client is not our delay."""
    learned: list[float] = []
    monkeypatch.setattr(Visit, "end", lambda _, seconds: learned.append(seconds))
    await answered(Pressure(), "POST", "/v1/tasks")
    await answered(Pressure(), "POST", "/v1/tasks/batch")
    assert len(learned) == 1
    assert 0.0 < learned[0] < 1.0
