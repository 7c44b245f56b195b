"""Dead letters and retention over HTTP and on the command line, with real workers behind."""

import json
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest

from tests.stack import Gateway, environment, until


def dead_letters(yard: Gateway, **filters: Any) -> list[dict[str, Any]]:
    """The dead letters that match, over all pages."""
    items, cursor = [], None
    while True:
        more = {"cursor": cursor} if cursor else {}
        response = yard.http.get("/v1/dead-letters", params={**filters, **more})
        assert response.status_code == 200, response.text
        page = response.json()
        items += page["items"]
        if (cursor := page["next_cursor"]) is None:
            return items


def mark() -> dict[str, str]:
    """A label that no other test has."""
    return {"mark": uuid4().hex}


def by(labels: dict[str, str]) -> str:
    return f"mark:{labels['mark']}"


def failed(yard: Gateway, labels: dict[str, str], message: str = "no") -> str:
    """A task that has failed for good."""
    args = {"message": message, "permanent": True}
    return str(yard.run("quick.fail", args, labels=labels)["id"])


def test_a_failed_task_is_listed_replayed_and_tells_of_every_attempt(yard: Gateway) -> None:
    """From the dead letter over other arguments to the end of the second generation."""
    labels = mark()
    task_id = yard.run("quick.fail", {"message": "first"}, labels=labels)["id"]
    [letter] = dead_letters(yard, label=by(labels))
    assert (letter["id"], letter["error"]["message"]) == (task_id, "ValueError: first")
    wish = {"args": {"message": "second"}}
    response = yard.http.post(f"/v1/tasks/{task_id}/replay", json=wish)
    assert response.status_code == 202
    assert response.json()["generation"] == 2
    assert yard.http.get(response.headers["Location"]).json()["id"] == task_id
    until(lambda: yard.get(task_id)["state"] == "failed")
    attempts = yard.http.get(f"/v1/tasks/{task_id}/attempts").json()["items"]
    shown = [(each["number"], each["generation"], each["outcome"]) for each in attempts]
    assert shown == [(1, 1, "retrying"), (2, 1, "failed"), (3, 2, "retrying"), (4, 2, "failed")]
    messages = [each["error"]["message"] for each in attempts]
    assert messages == ["ValueError: first"] * 2 + ["ValueError: second"] * 2
    assert all("Traceback" in each["error"]["traceback"] for each in attempts)
    assert all(each["worker"] and each["started_at"] <= each["ended_at"] for each in attempts)
    events = yard.events(task_id)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    [replayed] = [event for event in events if event["reason"] == "replayed"]
    assert replayed["generation"] == 2
    assert replayed["detail"]["args_before"] == {"message": "first"}


def test_a_replay_that_succeeds_is_a_dead_letter_no_more(yard: Gateway) -> None:
    """A task that was cancelled before it started runs once it is replayed, without a body."""
    task = yard.submit("quick.echo", {"value": 7}, delay="1h")
    yard.http.post(f"/v1/tasks/{task['id']}/cancel")
    assert yard.http.post(f"/v1/tasks/{task['id']}/replay").status_code == 202
    ended = yard.wait(task["id"], "succeeded")
    assert (ended["result"], ended["generation"], ended["attempt"]) == (7, 2, 1)


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"args": {"message": 1}}, 422, "invalid-arguments"),
        ({"args": [1]}, 422, "invalid-request"),
        ({"priority": 10}, 422, "invalid-request"),
        ({"state": "pending"}, 422, "invalid-request"),
    ],
)
def test_a_bad_replay_is_refused_in_words(yard: Gateway, body: Any, status: int, code: str) -> None:
    """Like a bad submission, and the task stays as it was."""
    task_id = failed(yard, mark())
    response = yard.http.post(f"/v1/tasks/{task_id}/replay", json=body)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert yard.get(task_id)["state"] == "failed"


def test_what_succeeded_is_not_replayed(yard: Gateway) -> None:
    """Its result never changes."""
    task = yard.run("quick.echo", {"value": 1})
    response = yard.http.post(f"/v1/tasks/{task['id']}/replay")
    assert (response.status_code, response.json()["code"]) == (409, "not-replayable")
    assert "submit a new task" in response.json()["detail"]
    assert yard.get(task["id"]) == task


def test_the_same_fault_is_one_group_and_replayed_by_filter(yard: Gateway) -> None:
    """Groups, then a dry run, then the replay; pages of one hold each dead letter once."""
    labels = mark()
    ids = {failed(yard, labels, f"row {n} of 'file {n}.csv' is bad") for n in range(3)}
    assert {each["id"] for each in dead_letters(yard, label=by(labels), limit=1)} == ids
    groups = yard.http.get("/v1/dead-letters/groups", params={"label": by(labels)}).json()
    assert groups["total"] == 3
    [group] = groups["items"]
    assert (group["count"], group["message"]) == (3, 'row # of "…" is bad')
    assert group["sample"] in ids
    assert group["first_seen"] <= group["last_seen"]
    body = {"filter": {"labels": labels}, "rate": 50}
    planned = yard.http.post("/v1/dead-letters/replay", json={**body, "dry_run": True})
    assert (planned.status_code, planned.json()["count"]) == (200, 3)
    assert planned.json()["groups"] == [group]
    assert planned.json()["spread"] == "60ms"
    assert {yard.get(each)["generation"] for each in ids} == {1}
    done = yard.http.post("/v1/dead-letters/replay", json=body)
    assert (done.status_code, done.json()["count"]) == (202, 3)
    for each in ids:
        until(lambda each=each: yard.get(each)["state"] == "failed")  # type: ignore[misc]
        assert yard.get(each)["generation"] == 2


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/filter"),
        ({"filter": {}}, "/filter"),
        ({"filter": {"type": "x"}, "rate": 0}, "/rate"),
        ({"filter": {"state": "cancelled"}}, "/filter/state"),
        ({"filter": {"finished_after": "2026-01-01T00:00:00"}}, "/filter/finished_after"),
        ({"filter": {"kind": "x"}}, "/filter/kind"),
    ],
)
def test_a_replay_of_many_must_say_what_is_meant(yard: Gateway, body: Any, pointer: str) -> None:
    """Nothing is replayed by mistake."""
    response = yard.http.post("/v1/dead-letters/replay", json=body)
    assert response.status_code == 422
    assert [error["pointer"] for error in response.json()["errors"]] == [pointer]


@pytest.mark.parametrize("path", ["/v1/dead-letters", "/v1/dead-letters/groups"])
def test_faulty_filters_are_refused_together(yard: Gateway, path: str) -> None:
    """Each with its name."""
    params = {"state": "cancelled", "finished_after": "yesterday", "limit": "0", "colour": "red"}
    response = yard.http.get(path, params=params)
    assert response.status_code == 422
    assert [e["pointer"] for e in response.json()["errors"]] == [f"?{name}" for name in params]


def test_after_its_retention_a_task_is_gone(yard: Gateway) -> None:
    """410 wherever it is asked for; what is kept longer is still there."""
    kept = yard.run("quick.echo", {"value": "kept"})
    task_id = yard.run("quick.brief")["id"]
    assert len(yard.events(task_id)) >= 3
    path = f"/v1/tasks/{task_id}"
    until(lambda: yard.http.get(path).status_code == 410, within=40)
    for response in (
        yard.http.get(path),
        yard.http.get(f"{path}/events"),
        yard.http.get(f"{path}/attempts"),
        yard.http.post(f"{path}/replay"),
        yard.http.post(f"{path}/cancel"),
    ):
        assert (response.status_code, response.json()["code"]) == (410, "task-gone")
    assert yard.get(kept["id"])["result"] == "kept"


def test_the_command_line_replays(yard: Gateway) -> None:
    """Groups, a dry run, a replay of many, a replay of one, its attempts."""
    labels = mark()
    task_id = failed(yard, labels, "by hand")
    where = ["--label", by(labels)]
    assert json.loads(said(yard, "dead-letters", "list", *where, "--json"))["items"][0]["id"] == (
        task_id
    )
    assert "by hand" in said(yard, "dead-letters", "groups", *where)
    assert "1 would be replayed" in said(yard, "dead-letters", "replay", *where, "--dry-run")
    assert "1 replayed over 100ms" in said(yard, "dead-letters", "replay", *where, "--rate", "10")
    until(lambda: yard.get(task_id)["state"] == "failed")
    assert json.loads(said(yard, "replay", task_id))["generation"] == 3
    until(lambda: yard.get(task_id)["state"] == "failed")
    attempts = json.loads(said(yard, "attempts", task_id, "--json"))["items"]
    assert [each["generation"] for each in attempts] == [1, 2, 3]


def said(yard: Gateway, *words: str) -> str:
    """What a command prints."""
    done = subprocess.run(
        [sys.executable, "-m", "taskyard", *words],
        env=environment(**yard.reach, COLUMNS="200"),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
