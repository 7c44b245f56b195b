"""The client against a running gateway: every operation, as the documentation shows it."""

import asyncio
import os
import subprocess
import sys
from contextlib import aclosing
from itertools import islice
from pathlib import Path
from uuid import uuid4

import pytest

from taskyard.client import AsyncClient, Change, Client, Progress, TaskChange, TaskyardProblem
from tests.stack import Gateway, environment


def test_a_task_is_submitted_and_read_in_every_way(yard: Gateway) -> None:
    """What the client returns is what the API holds, typed."""
    label = uuid4().hex
    with Client(yard.url, key=yard.key) as client:
        accepted = client.submit("calm.add", {"a": 1, "b": 2}, priority=7, labels={"run": label})
        assert (accepted.type, accepted.pool, accepted.priority) == ("calm.add", "calm", 7)
        task = client.wait(accepted.id, within=20)
        assert (task.succeeded, task.ended, task.result) == (True, True, 3)
        assert task.finished_at is not None
        assert task.finished_at >= task.created_at
        assert client.get(task.id) == task
        assert [each.id for each in client.list(label=f"run:{label}")] == [task.id]
        assert client.page(type="calm.add", state="succeeded", limit=1).items[0].type == "calm.add"
        states = [change.state for change in client.history(task.id).items]
        assert (states[0], states[-1]) == ("pending", "succeeded")
        assert [each.outcome for each in client.attempts(task.id).items] == ["succeeded"]


def test_a_task_that_fails_is_returned_and_replayed(yard: Gateway) -> None:
    """It raises nothing; the dead letters know of it; with other arguments it runs again."""
    label = uuid4().hex
    with Client(yard.url, key=yard.key) as client:
        options = {"message": "no", "permanent": True}
        task = client.submit_and_wait("quick.fail", options, labels={"run": label}, within=20)
        assert (task.state, task.succeeded) == ("failed", False)
        assert task.error is not None
        assert task.error.code == "permanent-error"
        found = client.dead_letters(label=f"run:{label}", code="permanent-error")
        assert [each.id for each in found.items] == [task.id]
        groups = client.dead_letter_groups(label=f"run:{label}")
        assert (groups.total, groups.items[0].sample) == (1, task.id)
        wanted = {"labels": {"run": label}}
        assert client.replay_dead_letters(wanted, dry_run=True).count == 1
        assert client.replay(task.id, args={"message": "again"}).generation == 2
        assert client.wait(task.id, within=20).args == {"message": "again"}


def test_cancel_gives_a_receipt_or_says_that_it_is_too_late(yard: Gateway) -> None:
    """What has not started is prevented; what has ended is a problem with a code."""
    with Client(yard.url, key=yard.key) as client:
        accepted = client.submit("quick.echo", delay="1h")
        receipt = client.cancel(accepted.id)
        assert (receipt.receipt, receipt.task.state) == ("prevented", "cancelled")
        with pytest.raises(TaskyardProblem) as refused:
            client.cancel(accepted.id)
        assert (refused.value.code, refused.value.status) == ("too-late", 409)


def test_a_refusal_names_every_fault(yard: Gateway) -> None:
    """Where, and what is wrong there."""
    with Client(yard.url, key=yard.key) as client:
        with pytest.raises(TaskyardProblem) as refused:
            client.submit("calm.add", {"a": "x"}, priority=4)
        assert refused.value.code == "invalid-arguments"
        assert {fault.pointer for fault in refused.value.faults} >= {"/args/a"}
        done = client.submit_batch([{"type": "calm.add", "args": {"a": 1, "b": 1}}, {"type": "x"}])
        assert (done.accepted, done.rejected) == (1, 1)
        assert done.items[1].error is not None
        assert done.items[1].error.code == "unknown-task-type"


def test_the_yard_is_shown(yard: Gateway) -> None:
    """Task types with their schema, routes, pools."""
    with Client(yard.url, key=yard.key) as client:
        assert "calm.add" in {each.type for each in client.task_types().items}
        assert client.task_type("calm.add").schema["required"] == ["a", "b"]
        assert client.explain("calm.add").pool == "calm"
        assert {pool.name for pool in client.pools().items} == {"quick", "calm"}
        assert client.pool("calm").execution == "threads"


def test_a_task_is_watched_to_its_end(yard: Gateway, tmp_path: Path) -> None:
    """Every change in order, the progress between; behind the last id there is no more."""
    fifo = tmp_path / "end"
    os.mkfifo(fifo)
    with Client(yard.url, key=yard.key) as client:
        task = client.submit("quick.wait", {"path": str(fifo)})
        told = []
        for news in client.watch(task.id):
            told.append(news.data)
            if news.data == Progress(fraction=0.5, message="waiting"):
                fifo.write_text("done")
        changes = [each for each in told if isinstance(each, Change)]
        assert tuple(changes) == client.history(task.id).items
        assert changes[-1].state == "succeeded"
        assert told.index(Progress(fraction=0.5, message="waiting")) < len(told) - 1
        assert list(client.watch(task.id, after=news.id)) == []
        assert client.log(task.id).items == ()


async def test_a_stream_of_all_tasks_tells_what_is_wanted(yard: Gateway) -> None:
    """From now on, or from any place where one was before; both clients hear the same."""
    run = uuid4().hex
    wanted = {"type": "calm.*", "state": ["succeeded", "failed"], "label": f"run:{run}"}
    wishes = [
        {"type": "calm.add", "args": {"a": 1, "b": n}, "labels": {"run": run}} for n in (1, 2)
    ]
    async with AsyncClient(yard.url, key=yard.key) as client, asyncio.timeout(30):
        async with aclosing(client.stream()) as stream:
            # It begins once its first event is asked for, and hears of what happens after that.
            first = asyncio.ensure_future(anext(stream))
            while not first.done():
                before = await client.submit("quick.echo")
                await asyncio.wait([first], timeout=0.5)
            place = (await first).id
        done = await client.submit_batch(wishes)
        async with aclosing(client.stream(after=place, **wanted)) as stream:
            heard = [(await anext(stream)).data for _ in wishes]
    ids = {item.id for item in done.items}
    assert {each.task for each in heard if isinstance(each, TaskChange)} == ids
    assert before.id not in ids
    with Client(yard.url, key=yard.key) as sync:
        again = [news.data for news in islice(sync.stream(after=place, **wanted), len(wishes))]
    assert again == heard


async def test_many_wait_on_one_async_client(yard: Gateway) -> None:
    """Fifty tasks at once over one pool of connections."""
    async with AsyncClient(yard.url, key=yard.key) as client, asyncio.timeout(60):
        async with asyncio.TaskGroup() as group:
            sums = [
                group.create_task(client.submit_and_wait("calm.add", {"a": n, "b": n}, within=50))
                for n in range(50)
            ]
        assert [each.result().result for each in sums] == [2 * n for n in range(50)]
        listed = [task async for task in client.list(type="calm.add", page_size=20)]
        assert len({task.id for task in listed}) == len(listed) >= 50


def test_the_command_line_waits_and_keeps_ids_whole(yard: Gateway, tmp_path: Path) -> None:
    """However narrow the terminal."""
    env = environment(**yard.reach, NO_COLOR="1", COLUMNS="60")

    def run(*words: str) -> str:
        command = [sys.executable, "-m", "taskyard", *words]
        done = subprocess.run(
            command, env=env, check=True, capture_output=True, text=True, timeout=60
        )
        return done.stdout

    label = f"run:{tmp_path.name}-{uuid4().hex[:8]}"
    with Client(yard.url, key=yard.key) as client:
        key, _, value = label.partition(":")
        task = client.submit("quick.echo", labels={key: value})
        assert '"state": "succeeded"' in run("tasks", "submit", "quick.echo", "--wait")
        client.wait(task.id, within=20)
        assert task.id in run("tasks", "list", "--label", label)
