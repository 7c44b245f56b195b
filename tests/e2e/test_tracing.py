"""One trace of a task over all processes that have a part in it, as a collector gets it."""

import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from taskyard.dev.processes import free_port
from tests.collector import Collector, Span, collecting
from tests.e2e.conftest import place
from tests.stack import HERE, Gateway, Json, gateway, until

TYPES = ("quick.traced", "quick.traced_async", "calm.traced", "loop.traced")

LOOP = """
[loop]
tasks = ["loop.*"]
modules = ["tinytasks.loop"]
execution = "asyncio"
concurrency = 20
"""


@dataclass(frozen=True)
class Traced:
    yard: Gateway
    collector: Collector

    def tree(self, trace: str, *names: str) -> dict[str, Span]:
        """The spans of a trace by name, once those named are among them."""
        found = until(
            lambda: {span.name: span for span in self.collector.of(trace)},
            satisfied=lambda spans: spans.keys() >= set(names),
        )
        assert found.keys() == set(names)
        return found


@pytest.fixture(scope="module")
def routing(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The routing of the tests' deployment, with a pool of coroutines."""
    folder = tmp_path_factory.mktemp("deployment") / "routing"
    shutil.copytree(HERE / "deployment" / "routing", folder)
    with (folder / "pools.toml").open("a") as pools:
        pools.write(LOOP)
    return str(folder)


@pytest.fixture(scope="module")
def traced(server_url: str, amqp_url: str, routing: str) -> Iterator[Traced]:
    """A stack whose processes send their spans to us."""
    with collecting() as collector:
        settings = place(server_url, amqp_url) | {"TASKYARD_ROUTING": routing}
        secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
        with gateway(
            TASKYARD_OTLP_ENDPOINT=collector.url, TASKYARD_NOTIFY_SECRET=secret,
            TASKYARD_TRACE_URL="http://127.0.0.1:1/trace/{trace_id}", TASKYARD_LOG_FORMAT="json",
            **settings,
        ) as yard:  # fmt: skip
            yield Traced(yard, collector)


def caller() -> tuple[str, str, dict[str, str]]:
    """A caller's trace, its span, and what it sends along."""
    trace, span = secrets.token_hex(16), secrets.token_hex(8)
    return trace, span, {"traceparent": f"00-{trace}-{span}-01", "tracestate": "them=1"}


def submit(traced: Traced, body: Json, headers: dict[str, str]) -> Json:
    response = traced.yard.http.post("/v1/tasks", json=body, headers=headers)
    assert response.status_code == 202, response.text
    return dict(response.json())


@pytest.mark.parametrize("task_type", TYPES)
def test_one_trace_goes_from_the_call_to_the_webhook(traced: Traced, task_type: str) -> None:
    """Over API, broker, worker and dispatcher, in each kind of execution; in order of time."""
    trace, span, headers = caller()
    hook = f"{traced.collector.url}/{task_type}"
    made = submit(traced, {"type": task_type, "notify_url": hook}, headers)
    ended = traced.yard.wait(made["id"], "succeeded")
    assert ended["trace_id"] == trace
    call, run, told = "POST /v1/tasks", f"run {task_type}", f"webhook task.{task_type}.succeeded"
    tree = traced.tree(
        trace, call, "commit", f"publish {task_type}", "wait", "claim", run, "own part", "finish",
        told,
    )  # fmt: skip
    assert tree[call].parent == span
    assert {each.state for each in tree.values()} == {"them=1"}
    for name in ("commit", f"publish {task_type}", "wait", "claim", run, told):
        assert tree[name].parent == tree[call].id, name
    assert tree["own part"].parent == tree["finish"].parent == tree[run].id == ended["result"]
    assert tree[run].about["taskyard.state"] == "succeeded"
    assert tree[run].about["taskyard.task.id"] == made["id"]
    assert tree[call].service == "taskyard-api"
    assert tree[run].service == f"taskyard-worker-{task_type.partition('.')[0]}"
    assert tree[told].service == "taskyard-dispatcher"
    order = [tree[name].start for name in (call, "commit", "claim", run, "finish", told)]
    assert order == sorted(order)
    assert tree["wait"].end <= tree["claim"].start
    heard = next(h for h in traced.collector.headers if h.get("traceparent", "")[3:35] == trace)
    assert heard["traceparent"] == f"00-{trace}-{tree[told].id}-01"
    assert heard["tracestate"] == "them=1"


def test_each_attempt_is_a_run_of_its_own(traced: Traced) -> None:
    """What failed says why by its code; what was said in the error is not in the trace."""
    trace, _, headers = caller()
    body = {"type": "quick.fail", "args": {"message": "a secret"}}
    traced.yard.wait(submit(traced, body, headers)["id"], "failed")
    runs = until(
        lambda: [s for s in traced.collector.of(trace) if s.name == "run quick.fail"],
        satisfied=lambda found: len(found) == 2,
    )
    assert [each.about["taskyard.state"] for each in runs] == ["retrying", "failed"]
    assert [each.about["taskyard.attempt"] for each in runs] == [1, 2]
    assert {each.fault for each in runs} == {"task-error"}
    assert "a secret" not in repr(traced.collector.of(trace))


@pytest.mark.parametrize(
    "sent",
    [
        {"traceparent": "00-00000000000000000000000000000000-b7ad6b7169203331-01"},
        {"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331"},
        {"traceparent": "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
        {"traceparent": "hello", "tracestate": "them=1"},
        {},
    ],
)
def test_what_is_no_trace_context_begins_a_trace(traced: Traced, sent: dict[str, str]) -> None:
    """As W3C Trace Context, section 4.3, has it: the task is accepted all the same."""
    made = submit(traced, {"type": "quick.echo"}, sent)
    trace = traced.yard.wait(made["id"], "succeeded")["trace_id"]
    assert trace is not None
    assert trace != "0af7651916cd43dd8448eb211c80319c"
    tree = traced.tree(
        trace, "POST /v1/tasks", "commit", "publish quick.echo", "wait", "claim", "run quick.echo",
        "finish",
    )  # fmt: skip
    assert tree["POST /v1/tasks"].parent == ""


def test_what_a_caller_does_not_sample_is_not_sent(traced: Traced) -> None:
    """But its context goes on: the task knows its trace."""
    trace, span, _ = caller()
    made = submit(traced, {"type": "quick.echo"}, {"traceparent": f"00-{trace}-{span}-00"})
    assert traced.yard.wait(made["id"], "succeeded")["trace_id"] == trace
    other, _, headers = caller()
    traced.yard.wait(submit(traced, {"type": "quick.echo"}, headers)["id"])
    until(lambda: any(s.name == "finish" for s in traced.collector.of(other)))
    assert traced.collector.of(trace) == []


def test_a_batch_is_one_trace(traced: Traced) -> None:
    """Its tasks were stored in one commit, which is told once."""
    trace, _, headers = caller()
    tasks = [{"type": "quick.echo"}, {"type": "calm.add", "args": {"a": 1, "b": 2}}]
    answer = traced.yard.http.post("/v1/tasks/batch", json={"tasks": tasks}, headers=headers)
    for item in answer.json()["items"]:
        assert traced.yard.wait(item["id"])["trace_id"] == trace
    until(lambda: sum(s.name == "finish" for s in traced.collector.of(trace)) == 2)
    names = [each.name for each in traced.collector.of(trace)]
    assert names.count("commit") == 1
    assert {"run quick.echo", "run calm.add"} <= set(names)


def test_an_event_carries_its_own_trace(traced: Traced) -> None:
    """By CloudEvents' extension Distributed Tracing, which tells of its origin, not of the call."""
    trace, span, headers = caller()
    event = {
        "specversion": "1.0", "id": trace, "source": "/tests", "type": "thing.word.made",
        "data": {"wanted": True, "value": 1}, **headers,
    }  # fmt: skip
    response = traced.yard.http.post(
        "/v1/events",
        content=json.dumps(event),
        headers={"Content-Type": "application/cloudevents+json"},
    )
    [receipt] = response.json()["items"]
    task = traced.yard.wait(receipt["tasks"][0]["task"])
    assert task["trace_id"] == trace
    tree = traced.tree(
        trace, "event thing.word.made", "commit", "publish quick.echo", "wait", "claim",
        "run quick.echo", "finish",
    )  # fmt: skip
    assert tree["event thing.word.made"].parent == span
    assert tree["run quick.echo"].parent == tree["event thing.word.made"].id


def test_lines_of_the_log_name_the_trace(traced: Traced) -> None:
    """One line for each end of an attempt, with what a search begins with, in ECS."""
    trace, _, headers = caller()
    made = submit(traced, {"type": "quick.echo", "args": {"value": "hidden"}}, headers)
    traced.yard.wait(made["id"], "succeeded")
    run = until(lambda: [s for s in traced.collector.of(trace) if s.name == "run quick.echo"])[0]
    lines = [
        json.loads(line.partition(" | ")[2])
        for line in traced.yard.log.read_text().splitlines()
        if made["id"] in line
    ]
    [line] = [each for each in lines if each.get("event.action") == "task-succeeded"]
    assert (line["trace.id"], line["span.id"]) == (trace, run.id)
    assert line["event.outcome"] == "success"
    assert line["event.duration"] > 0
    assert (line["taskyard.task_type"], line["taskyard.attempt"]) == ("quick.echo", 1)
    assert line["taskyard.pool"] == "quick"
    assert "hidden" not in json.dumps(lines)


def test_coroutines_that_run_at_once_do_not_mix_their_spans(traced: Traced) -> None:
    """Each finds its own run as the current span, though all of them share a thread."""
    trace, _, headers = caller()
    tasks = {"tasks": [{"type": "loop.traced"}] * 20}
    answer = traced.yard.http.post("/v1/tasks/batch", json=tasks, headers=headers).json()
    found = {item["id"]: traced.yard.wait(item["id"], "succeeded") for item in answer["items"]}
    runs = until(
        lambda: [s for s in traced.collector.of(trace) if s.name == "run loop.traced"],
        satisfied=lambda spans: len(spans) == len(found),
    )
    assert {s.about["taskyard.task.id"]: s.id for s in runs} == {
        task_id: task["result"] for task_id, task in found.items()
    }


def test_a_collector_that_is_away_stops_nobody(traced: Traced) -> None:
    """Tasks run as ever, and a worker that has spans to send still ends when it is told to."""
    nowhere = {"TASKYARD_OTLP_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    with replace(traced.yard, env=traced.yard.env | nowhere).worker("quick"):
        for _ in range(4):
            assert traced.yard.run("quick.echo")["state"] == "succeeded"
