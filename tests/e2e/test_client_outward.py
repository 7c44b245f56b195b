"""Webhooks and events with both clients, and on the command line, against a running gateway."""

import json
from collections.abc import Callable, Coroutine
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from taskyard.cli import app
from taskyard.client import TaskyardProblem
from tests.either import Either
from tests.stack import Gateway, until

Call = Callable[..., Coroutine[Any, Any, Any]]
URL = "http://127.0.0.1:9/hooks"  # the port of discard: nobody listens


@pytest.fixture(params=["sync", "async"])
def call(request: pytest.FixtureRequest, yard: Gateway) -> Call:
    """Call a method of a client of this gateway."""
    either = Either(request.param, key=yard.key)

    async def method(name: str, *args: Any, **kwargs: Any) -> Any:
        return await either.call(yard.ready["api_url"], name, *args, **kwargs)

    return method


async def test_a_webhook_lives_and_is_removed(call: Call) -> None:
    """Added, read, changed, rotated, disabled, removed: each answer is what the API holds."""
    made = await call("webhooks.add", URL, ["task.calm.#"], description="ours")
    try:
        assert made.secret.startswith("whsec_")
        assert (made.url, made.events, made.description) == (URL, ("task.calm.#",), "ours")
        found = (await call("webhooks.list")).items
        assert [each.id for each in found if each.id == made.id] == [made.id]
        changed = await call("webhooks.change", made.id, events=["task.#"], disabled=True)
        assert (changed.events, changed.disabled, changed.url) == (("task.#",), True, URL)
        assert changed == await call("webhooks.get", made.id)
        rotated = await call("webhooks.rotate", made.id, overlap="1h")
        assert rotated.secret != made.secret
        assert rotated.former_secret_until is not None
        with pytest.raises(TaskyardProblem, match="bogus") as refused:
            await call("webhooks.deliveries", made.id, state="bogus")
        assert refused.value.code == "invalid-request"
    finally:
        assert await call("webhooks.remove", made.id) is None
    with pytest.raises(TaskyardProblem) as gone:
        await call("webhooks.get", made.id)
    assert gone.value.code == "webhook-not-found"


async def test_what_could_not_be_delivered_is_read_and_sent_again(
    yard: Gateway, call: Call
) -> None:
    """The log says what was wrong; a replay begins the schedule anew."""
    made = await call("webhooks.add", URL, ["task.calm.add.succeeded"])
    task = yard.run("calm.add", {"a": 1, "b": 1})

    def tried() -> list[Any]:
        return list(yard.http.get(made.links["deliveries"]).json()["items"])

    until(tried, satisfied=lambda items: [each["attempts"] for each in items] == [1])
    [delivery] = (await call("webhooks.deliveries", made.id, state="pending", limit=5)).items
    assert (delivery.task, delivery.response_status) == (task["id"], None)
    assert delivery.fault
    replayed = await call("webhooks.replay", made.id, delivery.id)
    assert (replayed.id, replayed.state, replayed.attempts) == (delivery.id, "pending", 0)
    assert (await call("webhooks.delivery", made.id, delivery.id)).task == task["id"]
    sent = await call("webhooks.test", made.id)
    assert (sent.event, sent.task, sent.state) == ("webhook.test", None, "pending")
    await call("webhooks.remove", made.id)


async def test_an_event_is_published_once_and_found(yard: Gateway, call: Call) -> None:
    """What need not be said is filled in; the same event again is the same."""
    source = f"/{uuid4().hex}"
    event = {"source": source, "type": "thing.word.made", "data": {"wanted": True, "value": 7}}
    receipt = await call("events.publish", event)
    assert (receipt.state, receipt.duplicate, receipt.source) == ("fired", False, source)
    again = await call("events.publish", event | {"id": receipt.id})
    assert (again.key, again.duplicate, again.tasks) == (receipt.key, True, receipt.tasks)
    assert yard.wait(receipt.tasks[0].task)["result"] == 7
    stored = await call("events.get", receipt.key)
    assert (stored.id, stored.event["data"]) == (receipt.id, event["data"])
    page = await call("events.page", source=source, match="thing.#", state="fired", limit=2)
    assert page.items == (stored,)


async def test_many_events_are_published_in_order(call: Call) -> None:
    """More than fit into one request."""
    source = f"/{uuid4().hex}"
    events = [
        {"source": source, "id": str(n), "type": "thing.word.made", "data": {"wanted": False}}
        for n in range(1_001)
    ]
    receipts = (await call("events.publish_many", events)).items
    assert [each.id for each in receipts] == [each["id"] for each in events]
    assert {each.state for each in receipts} == {"unmatched"}


async def test_events_are_replayed_and_what_is_parked_too(call: Call) -> None:
    """Dry first: it tells what the replay then does."""
    source, kind = f"/{uuid4().hex}", f"thing.{uuid4().hex}.made"
    fires = {"source": source, "type": kind, "data": {"wanted": True, "value": 1}}
    fired = await call("events.publish", fires)
    parked = await call("events.publish", {"source": source, "type": "nobody.knows", "data": 1})
    times = ("2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z")
    dry = await call("events.replay", *times, match=kind, dry_run=True)
    done = await call("events.replay", *times, match=kind, limit=10)
    assert (dry.tasks, dry.dry_run) == (done.tasks, True) == ({"quick.echo": 1}, True)
    assert [t.generation for t in (await call("events.get", fired.key)).tasks] == [1, 2]
    [letter] = (await call("events.parked", source=source, reason="unmatched")).items
    assert (letter.key, letter.replays) == (parked.key, 0)
    report = await call("events.replay_parked", source=source, dry_run=True)
    assert (report.count, report.released, report.problems[0].key) == (1, 0, letter.key)
    assert (await call("events.replay_one_parked", letter.key)).still_parked == 1
    [letter] = (await call("events.parked", source=source)).items
    assert letter.replays == 1


def said(yard: Gateway, *words: str, code: int = 0) -> str:
    """What `taskyard webhooks …` prints."""
    env = dict(yard.reach)
    done = CliRunner().invoke(app, ["webhooks", *words], env=env)
    assert done.exit_code == code, done.output
    return done.output


def test_an_operator_sees_to_webhooks_on_the_command_line(yard: Gateway) -> None:
    """From the subscription over a replay to the removal; what is refused is told in words."""
    made = json.loads(said(yard, "add", URL, "task.quick.echo.*", "task.calm.#", "--json"))
    hook = made["id"]
    assert made["events"] == ["task.quick.echo.*", "task.calm.#"]
    assert hook in said(yard, "list")
    assert json.loads(said(yard, "show", hook))["url"] == URL
    rotated = said(yard, "rotate", hook, "--overlap", "2h")
    assert "whsec_" in rotated
    assert made["secret"] not in rotated
    yard.run("quick.echo", {"value": 1})
    page = until(
        lambda: json.loads(said(yard, "deliveries", hook, "--json"))["items"],
        satisfied=lambda items: any(each["fault"] for each in items),
    )
    assert page[0]["event"].startswith("task.quick.echo.")
    assert page[0]["id"] in said(yard, "deliveries", hook, "--state", "pending")
    assert page[0]["id"] not in said(yard, "deliveries", hook, "--state", "delivered")
    assert json.loads(said(yard, "replay", hook, page[0]["id"]))["attempts"] == 0
    tested = json.loads(said(yard, "test", hook, code=1))
    assert (tested["event"], tested["attempts"]) == ("webhook.test", 1)
    assert "the connection failed" in tested["fault"]
    assert f"{hook} is disabled: " in said(yard, "disable", hook)
    assert "is disabled" in said(yard, "replay", hook, page[0]["id"], code=2)
    assert f"{hook} is enabled" in said(yard, "enable", hook)
    assert "is removed" in said(yard, "remove", hook)
    assert "there is no webhook" in said(yard, "show", hook, code=2)
    assert "/events/0" in said(yard, "add", URL, "task..x", code=2)
