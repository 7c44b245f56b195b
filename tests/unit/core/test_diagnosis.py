"""core/server_diagnosis.py and core/yard_diagnosis.py: what follows from what was found."""

from dataclasses import replace
from typing import Any

import pytest

from taskyard.core.findings import Finding, Verdict, fault, ok, warning, worst
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.server_diagnosis import (
    PostgresFacts,
    judge_alarms,
    judge_broker,
    judge_clock,
    judge_migrations,
    judge_postgres,
)
from taskyard.core.yard_diagnosis import judge_dispatcher, judge_pool, judge_routes

SERVER = PostgresFacts(
    version=150018, encoding="UTF8", is_replica=False, fsync=True, full_page_writes=True,
    synchronous_commit="on", max_connections=100, reserved=3, connections=20, clock=0.0,
)  # fmt: skip
TABLE = RoutingTable(
    pools={
        "media": Pool(name="media", tasks=("image.*", "video.cut"), modules=("m",)),
        "mail": Pool(name="mail", tasks=("mail.#",), modules=("m",)),
    },
    defaults={},
)
ALL = {"image.thumbnail": "media", "video.cut": "media", "mail.send": "mail"}
OK, WARNING, FAULT = Verdict


def others(findings: list[Finding]) -> list[tuple[str, Verdict]]:
    assert all((each.advice is None) == (each.verdict is OK) for each in findings)
    return [(each.check, each.verdict) for each in findings if each.verdict is not OK]


@pytest.mark.parametrize(
    ("change", "check", "verdict"),
    [
        ({"version": 140012}, "postgres version", FAULT),
        ({"is_replica": True}, "postgres role", FAULT),
        ({"encoding": "SQL_ASCII"}, "postgres encoding", FAULT),
        ({"fsync": False}, "postgres durability", FAULT),
        ({"full_page_writes": False}, "postgres durability", FAULT),
        ({"synchronous_commit": "off"}, "postgres durability", FAULT),
        ({"synchronous_commit": "local"}, "postgres durability", FAULT),
        ({"connections": 78}, "postgres connections", WARNING),
    ],
)
def test_a_server_that_breaks_a_promise_is_found(
    change: dict[str, Any], check: str, verdict: Verdict
) -> None:
    """Each by itself, and a sound one has nothing but what is well."""
    assert others(list(judge_postgres(SERVER))) == []
    stricter = replace(SERVER, synchronous_commit="remote_apply", connections=77)
    assert others(list(judge_postgres(stricter))) == []
    assert others(list(judge_postgres(replace(SERVER, **change)))) == [(check, verdict)]


@pytest.mark.parametrize(
    ("skew", "unsure", "verdict"),
    [(0.9, 0, OK), (-0.9, 0, OK), (1.4, 0.5, OK), (-1.6, 0.5, WARNING), (10, 0, FAULT)],
)
def test_a_clock_may_be_off_by_what_asking_took(
    skew: float, unsure: float, verdict: Verdict
) -> None:
    """And by a second; ten are harmful."""
    found = judge_clock("postgres", skew, unsure=unsure)
    assert found.verdict is verdict
    assert ("behind" in found.found) == (skew < 0)


def test_the_schema_is_that_of_this_version() -> None:
    """What is missing is a fault, what is unknown a warning."""
    assert judge_migrations([], []).verdict is OK
    assert judge_migrations(["0024_checks.sql"], []).verdict is FAULT
    assert judge_migrations([], [25]).verdict is WARNING


def test_a_broker_is_one_we_know_and_lets_us_publish() -> None:
    """RabbitMQ 3.10 or newer, without alarms."""
    assert judge_broker((3, 10, 8), "RabbitMQ").verdict is OK
    assert judge_broker((4, 0), "RabbitMQ").verdict is OK
    assert judge_broker((3, 9, 29), "RabbitMQ").verdict is FAULT
    assert judge_broker((4, 0), "LavinMQ").verdict is FAULT
    assert judge_alarms([]).verdict is OK
    assert judge_alarms(["memory alarm on rabbit@host"]).verdict is FAULT


def test_a_dispatcher_leaves_a_trace() -> None:
    """Every second; after ten there is none."""
    verdicts = [judge_dispatcher(ago).verdict for ago in (0.5, 9.9, 10.0, None)]
    assert verdicts == [OK, OK, FAULT, FAULT]


@pytest.mark.parametrize(
    ("announced", "says"),
    [
        (ALL, []),
        (ALL | {"gone.type": "media"}, []),
        (ALL | {"image.crop": "mail"}, ["'image.crop' goes to the pool 'media'"]),
        ({"video.cut": "media", "mail.send": "mail"}, ["the pattern 'image.*'"]),
        ({"image.crop": "media", "mail": "mail"}, ["the type 'video.cut'"]),
    ],
)
def test_workers_and_routes_are_held_against_each_other(
    announced: dict[str, str], says: list[str]
) -> None:
    """What goes elsewhere than its workers are, and what nobody answers to."""
    found = [each for each in judge_routes(TABLE, announced) if each.verdict is not OK]
    assert [each.verdict for each in found] == [WARNING] * len(says)
    assert all(text in each.found for text, each in zip(says, found, strict=True))


def test_a_pool_without_workers_matters_more_when_something_waits() -> None:
    """And most without a queue."""
    verdicts = [
        judge_pool("media", consumers=consumers, waiting=waiting).verdict
        for consumers, waiting in ((1, 9), (0, 0), (0, 1), (None, 0))
    ]
    assert verdicts == [OK, WARNING, FAULT, FAULT]


def test_a_paused_pool_is_told_of_however_it_stands() -> None:
    """Somebody wanted it so, and may have forgotten it."""
    found = judge_pool("media", consumers=0, waiting=9, is_paused=True)
    assert (found.verdict, "is paused" in found.found) == (WARNING, True)
    assert judge_pool("media", consumers=None, waiting=0, is_paused=True).verdict is FAULT


def test_the_worst_finding_decides() -> None:
    """As an exit code."""
    good, odd, bad = ok("a", "b"), warning("a", "b", "c"), fault("a", "b", "c")
    assert [worst(each) for each in ([], [good], [good, odd], [bad, odd])] == [0, 0, 1, 2]
