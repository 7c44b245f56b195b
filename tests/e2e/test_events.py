"""Events over HTTP and AMQP, as a publisher and an operator see them, with real workers behind."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from taskyard.broker.declare import connected
from tests.stack import Gateway, Json, until

STRUCTURED = {"Content-Type": "application/cloudevents+json"}
BATCH = {"Content-Type": "application/cloudevents-batch+json"}


def event(**changes: Any) -> Json:
    return {
        "specversion": "1.0",
        "id": uuid4().hex,
        "source": "/tests",
        "type": "thing.word.made",
        "data": {"wanted": True, "value": "ü"},
        **changes,
    }


def send(yard: Gateway, document: Any, headers: dict[str, str] = STRUCTURED) -> list[Json]:
    response = yard.http.post("/v1/events", content=json.dumps(document), headers=headers)
    assert response.status_code == 202, response.text
    return list(response.json()["items"])


def test_an_event_over_http_becomes_a_task_that_runs(yard: Gateway) -> None:
    """In all three modes; sent again it makes nothing new and says so."""
    one, two, three = event(), event(), event()
    [first] = send(yard, one)
    assert (first["state"], first["duplicate"], first["id"]) == ("fired", False, one["id"])
    headers = {
        "Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": two["id"],
        "ce-source": "/tests", "ce-type": two["type"], "ce-subject": "%C3%BC",
    }  # fmt: skip
    [second] = send(yard, two["data"], headers)
    again = send(yard, [one, three], BATCH)
    assert [item["duplicate"] for item in again] == [True, False]
    assert again[0]["tasks"] == first["tasks"]
    for receipt in (first, second, again[1]):
        [made] = receipt["tasks"]
        task = yard.wait(made["task"])
        assert (task["result"], task["priority"], task["labels"]) == ("ü", 7, {"rule": "echo"})
    stored = yard.http.get(f"/v1/events/{second['key']}").json()
    assert (stored["subject"], stored["event"]["data"]) == ("ü", two["data"])


def test_an_event_over_amqp_becomes_a_task_that_runs(yard: Gateway) -> None:
    """Published by another library, with the durable exchange that every service knows."""
    given = event(type="thing.number.made", subject=uuid4().hex, data={"value": 41})
    with connected(yard.ready["amqp_url"]) as broker:
        import amqp

        message = amqp.Message(json.dumps(given), content_type="application/cloudevents+json")
        exchange = f"{yard.env['TASKYARD_PREFIX']}.events"
        broker.channel().basic_publish(message, exchange, given["type"])
    query = {"subject": given["subject"]}
    [found] = until(lambda: yard.http.get("/v1/events", params=query).json()["items"])
    assert (found["state"], found["id"]) == ("fired", given["id"])
    assert [yard.wait(made["task"])["result"] for made in found["tasks"]] == [42]


@pytest.mark.parametrize(
    ("body", "headers", "status", "code"),
    [
        ("{", STRUCTURED, 400, "malformed-body"),
        ("{}", {"Content-Type": "application/json"}, 415, "unsupported-media-type"),
        ("x", {"Content-Type": "text/plain"}, 415, "unsupported-media-type"),
        ("{}", STRUCTURED | {"Content-Encoding": "gzip"}, 415, "unsupported-media-type"),
        (json.dumps({"specversion": "1.0"}), STRUCTURED, 422, "invalid-request"),
        (json.dumps(event(time="now")), STRUCTURED, 422, "invalid-request"),
        (json.dumps([event(), {}]), BATCH, 422, "invalid-request"),
        (json.dumps(event()), BATCH, 422, "invalid-request"),
        (json.dumps(event(data="x" * 1_048_576)), STRUCTURED, 413, "payload-too-large"),
        (json.dumps([event()] * 1001), BATCH, 413, "payload-too-large"),
    ],
)
def test_what_is_no_event_is_refused_over_http(
    yard: Gateway, body: str, headers: dict[str, str], status: int, code: str
) -> None:
    """The publisher is there to be told, so nothing is parked."""
    response = yard.http.post("/v1/events", content=body, headers=headers)
    assert (response.status_code, response.json()["code"]) == (status, code)


def test_the_log_is_searched_and_paged(yard: Gateway) -> None:
    """By source, type pattern, subject, state and time, newest first."""
    source = f"/{uuid4().hex}"
    receipts = [
        send(yard, event(source=source, type=f"thing.t{n}.made", subject=str(n % 2)))[0]
        for n in range(5)
    ]
    send(yard, event(source=source, data={"wanted": False}))

    def listed(**query: Any) -> list[str]:
        response = yard.http.get("/v1/events", params={"source": source, **query})
        assert response.status_code == 200, response.text
        return [item["key"] for item in response.json()["items"]]

    keys = [receipt["key"] for receipt in reversed(receipts)]
    assert listed(state="fired") == keys
    assert len(listed(state="unmatched")) == 1
    assert listed(match="thing.t3.*") == [keys[1]]
    assert listed(subject="1") == [keys[1], keys[3]]
    assert listed(received_before="2020-01-01T00:00:00Z") == []
    assert len(listed(received_after="2020-01-01T00:00:00Z")) == 6
    page = yard.http.get("/v1/events", params={"source": source, "limit": 4}).json()
    assert listed(cursor=page["next_cursor"]) == keys[3:]
    assert yard.http.get(f"/v1/events/{uuid4()}").status_code == 404
    assert yard.http.get("/v1/events", params={"state": "lost"}).status_code == 422


def test_what_no_rule_can_use_is_parked_and_listed(yard: Gateway) -> None:
    """Its arguments do not fit, so neither of two rules fires; a replay says why again."""
    source = f"/{uuid4().hex}"
    given = event(source=source, type="thing.number.made", subject="s",
                  data={"wanted": True, "value": "no number"})  # fmt: skip
    [receipt] = send(yard, given)
    assert (receipt["state"], receipt["reason"], receipt["tasks"]) == ("parked", "unfit-task", [])
    [parked] = yard.http.get("/v1/events/parked", params={"source": source}).json()["items"]
    assert "/args/a" in parked["detail"]
    assert parked["event"] == given
    address = f"/v1/events/parked/{parked['key']}/replay"
    report = yard.http.post(address).json()
    assert (report["released"], report["problems"][0]["reason"]) == (0, "unfit-task")
    wish = {"filter": {"source": source}, "dry_run": True}
    many = yard.http.post("/v1/events/parked/replay", json=wish)
    assert (many.status_code, many.json()["still_parked"]) == (200, 1)


def test_events_are_replayed_by_time_and_pattern(yard: Gateway) -> None:
    """The dry run foretells, the replay makes a new task of a new generation."""
    kind = f"thing.{uuid4().hex}.made"
    [receipt] = send(yard, event(type=kind))
    wish = {"after": "2020-01-01T00:00:00Z", "before": "2100-01-01T00:00:00Z", "match": kind}
    dry = yard.http.post("/v1/events/replay", json=wish | {"dry_run": True})
    assert (dry.status_code, dry.json()["tasks"]) == (200, {"quick.echo": 1})
    response = yard.http.post("/v1/events/replay", json=wish)
    assert (response.status_code, response.json()["fired"]) == (202, 1)
    stored = yard.http.get(f"/v1/events/{receipt['key']}").json()
    assert [(made["generation"]) for made in stored["tasks"]] == [1, 2]
    assert yard.wait(stored["tasks"][1]["task"])["state"] == "succeeded"


def said(yard: Gateway, *words: str, code: int = 0) -> str:
    """What a command prints, as an operator of this gateway calls it."""
    env = yard.env | {
        **yard.reach,
        "TASKYARD_DATABASE_URL": yard.ready["database_url"],
        "TASKYARD_AMQP_URL": yard.ready["amqp_url"],
        "COLUMNS": "300",
    }
    command = [sys.executable, "-m", "taskyard", "events", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_an_operator_sees_and_replays_events_on_the_command_line(yard: Gateway) -> None:
    """The log, what is parked, and both again."""
    source = f"/{uuid4().hex}"
    kind = f"thing.{uuid4().hex}.made"
    [fired] = send(yard, event(source=source, type=kind))
    [parked] = send(yard, event(source=source, type="nobody.knows"))
    listed = json.loads(said(yard, "list", "--source", source, "--json"))["items"]
    assert [item["key"] for item in listed] == [parked["key"], fired["key"]]
    assert "unmatched" in said(yard, "parked", "--source", source)
    again = json.loads(said(yard, "replay-parked", parked["key"]))
    assert (again["released"], again["still_parked"]) == (0, 1)
    times = ("--after", "2020-01-01T00:00:00Z", "--before", "2100-01-01T00:00:00Z")
    report = json.loads(said(yard, "replay", *times, "--match", kind, "--dry-run"))
    assert report["tasks"] == {"quick.echo": 1}
    assert "/filter" in said(yard, "replay-parked", code=2)


@pytest.mark.slow
def test_rules_are_tried_out_and_rehearsed_without_firing(yard: Gateway, tmp_path: Path) -> None:
    """`test` shows rules, arguments and whether they fit; `rehearse` what a draft would change."""
    kind = f"thing.{uuid4().hex}.made"
    file, draft = tmp_path / "event.json", tmp_path / "draft.toml"
    file.write_text(json.dumps([event(type=kind), event(type="thing.x.made", data={})]))
    shown = said(yard, "test", str(file))
    assert "rule 'echo' fires: quick.echo {'value': 'ü'}" in shown
    assert "rule 'echo' declines" in shown
    misfit = event(type="thing.number.made", subject="s", data={"value": "x"})
    file.write_text(json.dumps(misfit))
    assert "unfit-task" in said(yard, "test", str(file), code=1)
    file.write_text("{")
    assert "not-json" in said(yard, "test", str(file), code=2)
    # Given two recorded events of a type, of which a draft wants three tasks each
    for _ in range(2):
        send(yard, event(type=kind))
    rule = '[[rule]]\nname = "{}"\nmatch = "{}"\ntask = "calm.add"\n'
    rule += 'args = {{ a = "`1`", b = "`2`" }}\n'
    draft.write_text("".join(rule.format(f"r{n}", kind) for n in range(3)))
    before = yard.http.get("/v1/events", params={"match": kind}).json()
    # When it is rehearsed
    shown = said(yard, "rehearse", "--rules", str(draft), "--since", "1h")
    # Then both are told, and nothing has happened
    [line] = [line for line in shown.splitlines() if "calm.add" in line and "│" in line]
    cells = [cell.strip() for cell in line.split("│")[1:-1]]
    assert (cells[2], cells[5]) == ("6", "6")
    assert any("quick.echo" in line and "│" in line for line in shown.splitlines())
    assert yard.http.get("/v1/events", params={"match": kind}).json() == before
    draft.write_text(rule.format("r", "a..b"))
    assert "has an empty word" in said(yard, "rehearse", "--rules", str(draft), code=2)


def test_the_asyncapi_document_is_served(yard: Gateway) -> None:
    """With the names of this deployment."""
    found = yard.http.get("/asyncapi.json").json()
    exchange = found["channels"]["events"]["bindings"]["amqp"]["exchange"]
    assert exchange["name"] == f"{yard.env['TASKYARD_PREFIX']}.events"
    assert "thing.*.made" in found["channels"]["events"]["description"]
