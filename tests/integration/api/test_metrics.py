"""GET /metrics and GET /v1/statistics, as a Prometheus and as a person asks."""

import asyncio
import shutil
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from ipaddress import ip_network
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain
from quart.typing import TestClientProtocol as HttpClient

from taskyard.api.metric_families import MOST_TYPES, folded
from taskyard.api.parts import Parts
from taskyard.core.principal import DEFAULT_TENANT, Principal, Scope
from taskyard.core.statistics import Change
from taskyard.services.statistics import Counter, count_backlog
from taskyard.storage.pool import Pool
from taskyard.storage.statistics import Total
from tests.application import Keyring, client_of, open_parts
from tests.serving import serving

OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4"}
LIMITED = Principal(
    tenant=DEFAULT_TENANT, name="l", scopes=frozenset({Scope.READ}), patterns=("a.*",)
)
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


@pytest.fixture
async def parts(database_url: str) -> AsyncIterator[Parts]:
    networks = (ip_network("127.0.0.0/8"),)
    async with open_parts(
        database_url, authenticator=Keyring(limited=LIMITED), metrics_networks=networks
    ) as opened:
        yield opened


def samples(text: str) -> Samples:
    """Every sample of an OpenMetrics text, which must be one to its last byte."""
    return {
        (each.name, frozenset(each.labels.items())): each.value
        for family in openmetrics(text)
        for each in family.samples
    }


def sample(found: Samples, name: str, **labels: str) -> float:
    return found[name, frozenset(labels.items())]


async def scraped(client: HttpClient) -> Samples:
    response = await client.get("/metrics", headers=OPENMETRICS)
    assert response.status_code == 200
    assert response.content_type.startswith("application/openmetrics-text; version=1.0.0")
    return samples((await response.get_data()).decode())


async def counted(pool: Pool) -> None:
    """What there is was counted, as a dispatcher does."""
    counter = Counter(pool, every=0.0)
    for _ in range(3):
        await counter.count()
    await count_backlog(pool, every=0.0)


async def test_what_was_accepted_is_shown(parts: Parts) -> None:
    """The state of the yard from Postgres, and what the process has counted of itself."""
    client = client_of(parts)
    for _ in range(3):
        assert (await client.post("/v1/tasks", json={"type": "a.b"})).status_code == 202
    await client.get("/v1/tasks/nonsense")
    await counted(parts.pool)

    found = await scraped(client)

    of = {"pool": "p", "type": "a.b"}
    assert sample(found, "taskyard_tasks_accepted_total", **of) == 3
    waits = {"pool": "p", "state": "pending", "priority": "4"}
    assert sample(found, "taskyard_backlog_tasks", **waits) == 3
    assert sample(found, "taskyard_backlog_oldest_seconds", **waits) >= 0
    asked = {"method": "POST", "route": "/v1/tasks", "status": "202"}
    assert sample(found, "taskyard_http_requests_total", **asked) == 3
    asked = {"method": "GET", "route": "/v1/tasks/{task}", "status": "404"}
    assert sample(found, "taskyard_http_requests_total", **asked) == 1
    assert sample(found, "taskyard_http_request_seconds_count", route="/v1/tasks") == 3
    assert sample(found, "taskyard_commit_tasks_sum") == 3
    assert sample(found, "taskyard_database_up") == 1
    assert sample(found, "taskyard_broker_up") == 0
    assert sample(found, "taskyard_statistics_age_seconds", of="history") < 30


async def test_the_older_format_is_there_for_who_asks_for_nothing(parts: Parts) -> None:
    """As curl does, and older scrapers."""
    response = await client_of(parts).get("/metrics")
    assert response.content_type == "text/plain; version=0.0.4; charset=utf-8"
    text = await response.get_data()
    names = {family.name for family in plain(text.decode())}
    assert {"taskyard_tasks_ended", "taskyard_run_seconds", "taskyard_database_up"} <= names
    if shutil.which("promtool"):
        check = ("promtool", "check", "metrics")
        linter = await asyncio.create_subprocess_exec(*check, stdin=PIPE, stdout=PIPE, stderr=PIPE)
        assert (*await linter.communicate(text), linter.returncode) == (b"", b"", 0)


@pytest.mark.parametrize(
    ("address", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("::ffff:127.0.0.1", {}, 200),
        ("192.0.2.1", {}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}, 401),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.1"}, 401),
    ],
)
async def test_only_given_networks_need_no_key(
    parts: Parts, address: str, headers: dict[str, str], status: int
) -> None:
    """And none that comes through a proxy, which may come from anywhere."""
    from taskyard.api.app import create_app
    from taskyard.core.errors import Unauthenticated

    class Nobody:
        async def principal_of(self, token: str) -> Principal:
            raise Unauthenticated("unknown")

    changed: dict[str, Any] = {name: getattr(parts, name) for name in Parts.__slots__}
    client = create_app(Parts(**{**changed, "authenticator": Nobody()})).test_client()
    where = {"client": (address, 1)}
    assert (await client.get("/metrics", headers=headers, scope_base=where)).status_code == status
    # It opens nothing else.
    assert (await client.get("/v1/pools", scope_base=where)).status_code == 401


async def test_who_is_limited_to_some_types_does_not_see_the_whole(parts: Parts) -> None:
    """Metrics are of all tenants and types."""
    response = await client_of(parts).get("/metrics", headers={"Authorization": "Bearer limited"})
    assert response.status_code == 403


async def test_without_a_database_that_is_what_is_shown(parts: Parts) -> None:
    """An alert needs an answer, not an error."""
    client = client_of(parts)
    await parts.pool.close()
    found = await scraped(client)
    assert sample(found, "taskyard_database_up") == 0
    assert not [name for name, _ in found if name.startswith("taskyard_tasks")]


def test_types_beyond_a_bound_are_one() -> None:
    """Those that came first keep their names for ever, or counters would fall."""
    totals = [
        Total(pool="p", type=f"t{n}", change=Change.ACCEPTED, count=1, durations=None)
        for n in range(MOST_TYPES + 5)
    ]
    found = [total.type for total in folded(totals)]
    assert found[:MOST_TYPES] == [f"t{n}" for n in range(MOST_TYPES)]
    assert found[MOST_TYPES:] == ["other"] * 5
    assert [total.type for total in folded(totals[:MOST_TYPES])] == found[:MOST_TYPES]


async def test_statistics_tell_what_happened(parts: Parts) -> None:
    """Step by step, by pool, type and change; with durations where something took time."""
    client = client_of(parts)
    submitted = await (await client.post("/v1/tasks", json={"type": "a.b"})).get_json()
    await client.post(f"/v1/tasks/{submitted['id']}/cancel")
    await counted(parts.pool)

    found = await (await client.get("/v1/statistics?pool=p&type=a.b&step=1d")).get_json()

    assert [(each["change"], each["count"]) for each in found["items"]] == [
        ("accepted", 1), ("cancelled", 1)
    ]  # fmt: skip
    assert found["items"][0]["p50"] is None
    assert found["step"] == "1d"
    nothing = await (await client.get("/v1/statistics?pool=other")).get_json()
    assert nothing["items"] == []


@pytest.mark.parametrize("query", ["step=30s", "step=x", "from=2026-01-01T00:00:00Z", "kind=a"])
async def test_statistics_refuse_what_makes_no_sense(parts: Parts, query: str) -> None:
    """With the parameter at fault."""
    response = await client_of(parts).get(f"/v1/statistics?{query}")
    assert response.status_code == 422
    name = query.partition("=")[0].replace("from", "step")
    assert [each["pointer"] for each in (await response.get_json())["errors"]] == [f"?{name}"]


@pytest.mark.slow
def test_several_processes_are_one(database_url: str) -> None:
    """Whichever answers, the counts are those of all, and of those that have died."""
    with serving(database_url, TASKYARD_API_WORKERS="2") as served:
        first, second = served.process.children()
        asked, answered = 0, {first.pid: 0, second.pid: 0}
        while not all(answered.values()):
            with httpx.Client(headers=served.headers) as http:  # each connection is one process's
                answer = http.get(f"{served.url}/v1/task-types").raise_for_status()
                port = answer.extensions["network_stream"].get_extra_info("client_addr")[1]
                asked += 1
                for child in (first, second):
                    answered[child.pid] += port in _ports(child)
            assert asked < 200, answered

        def total() -> float:
            text = httpx.get(f"{served.url}/metrics", headers=served.headers | OPENMETRICS).text
            labels = {"method": "GET", "route": "/v1/task-types", "status": "200"}
            return sample(samples(text), "taskyard_http_requests_total", **labels)

        assert total() == asked
        first.kill()
        first.wait(10)
        assert total() == asked


def _ports(process: psutil.Process) -> set[int]:
    """The ports of its clients."""
    return {each.raddr.port for each in process.net_connections("tcp") if each.raddr}
