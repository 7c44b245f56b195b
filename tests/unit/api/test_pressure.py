"""api/pressure.py and api/front.py: new work is refused when submissions take long."""

import random
from typing import Any

import msgspec
import pytest

from taskyard.api.front import fronted
from taskyard.api.pressure import Pressure


def looked(pressure: Pressure, *delays: float, late: float = 0.0) -> list[float]:
    """Look after many submissions that took so long, for each; return the shares."""
    shares = []
    for delay in delays:
        for _ in range(32):
            pressure.begin()
        for _ in range(32):
            pressure.end(delay)
        pressure.look(late=late)
        shares.append(pressure.share)
    return shares


def test_nothing_is_refused_while_submissions_are_quick() -> None:
    """However many come."""
    pressure = Pressure()
    assert looked(pressure, *[0.02] * 100) == [0.0] * 100
    assert not any(pressure.refuses(1) for _ in range(1_000))


def test_a_burst_is_let_through() -> None:
    """What is over after half a second was no overload."""
    assert looked(Pressure(), *[0.3] * 15, *[0.01] * 2) == [0.0] * 17


def test_a_slow_disk_is_no_queue() -> None:
    """One after the other, each takes what it takes; refusing some would make none quicker."""
    pressure = Pressure()
    for _ in range(200):
        pressure.begin()
        pressure.end(0.5)
        pressure.look(late=0.2)
    assert pressure.share == 0.0


def test_who_goes_before_the_answer_does_not_make_it_look_quick() -> None:
    """Only what was answered says how long it takes."""
    pressure = Pressure()
    for _ in range(60):
        for _ in range(32):
            pressure.begin()
        for number in range(32):
            pressure.end(0.0 if number else 0.3)
        pressure.look(late=0.0)
    assert pressure.share > 0.5


def test_what_is_too_long_is_a_setting() -> None:
    """A deployment that would rather wait than come again says so."""
    assert looked(Pressure(target=10.0), *[5.0] * 100) == [0.0] * 100


@pytest.mark.parametrize("slow", [{"delay": 0.3, "late": 0.0}, {"delay": 0.0, "late": 0.3}])
def test_the_share_grows_while_it_lasts_and_goes_when_it_is_over(slow: dict[str, float]) -> None:
    """Slow submissions count, and so does a loop that is late with looking."""
    pressure = Pressure()
    growing = looked(pressure, *[slow["delay"]] * 60, late=slow["late"])
    assert growing == sorted(growing)
    assert 0.5 < growing[-1] <= 0.98
    assert any(pressure.refuses(1) for _ in range(1_000))
    fading = looked(pressure, *[0.01] * 100)
    assert fading[-1] == 0.0
    assert fading == sorted(fading, reverse=True)


def test_somebody_always_gets_in() -> None:
    """Else nobody would ever hear that it is over."""
    pressure = Pressure()
    looked(pressure, *[30.0] * 1_000)
    random.seed(5022)
    assert 0 < sum(not pressure.refuses(1) for _ in range(1_000)) < 60


def test_who_asks_for_little_is_refused_little() -> None:
    """The one who floods is refused as before."""
    pressure = Pressure()
    looked(pressure, *[30.0] * 100)
    refused = {"noisy": 0, "quiet": 0}
    for _ in range(100):
        refused["noisy"] += sum(pressure.refuses(hash("noisy")) for _ in range(100))
        refused["quiet"] += pressure.refuses(hash("quiet"))
    assert refused["noisy"] > 9_000
    assert refused["quiet"] < 15


def test_what_was_asked_for_is_forgotten() -> None:
    """A flood of a minute ago is no reason; and callers without end take no memory."""
    pressure = Pressure()
    for caller in range(100_000):
        pressure.refuses(caller)
    assert len(pressure._asked) <= 1_001
    looked(pressure, *[0.01] * 33 * 20)
    assert not pressure._asked


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
    pressure.share = 1.0
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
    pressure.share = 1.0
    assert (await answered(pressure, method, path))[0] == 202


async def test_what_a_submission_takes_is_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    """From when it has come whole, so that a slow client is not our delay."""
    learned: list[float] = []
    monkeypatch.setattr(Pressure, "end", lambda _, seconds: learned.append(seconds))
    await answered(Pressure(), "POST", "/v1/tasks")
    await answered(Pressure(), "POST", "/v1/tasks/batch")
    assert len(learned) == 1
    assert 0.0 < learned[0] < 1.0
