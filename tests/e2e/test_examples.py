"""examples/: what a stranger tries first works, and says why when it does not."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import aio_pika

from taskyard.dev.processes import free_port
from tests.stack import Gateway, environment

EXAMPLES = Path(__file__).parents[2] / "examples"
Json = dict[str, Any]


def submit(yard: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [EXAMPLES / "submit.sh", *words],
        env=environment(**yard.reach),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_curl_submits_and_waits(yard: Gateway) -> None:
    """It prints the ended task."""
    done = submit(yard, "quick.echo", '{"value": {"a \\"b\\"": [1, null]}}')
    assert (done.returncode, done.stderr) == (0, "")
    task: Json = json.loads(done.stdout)
    assert (task["state"], task["result"]) == ("succeeded", {'a "b"': [1, None]})


def test_curl_says_what_went_wrong(yard: Gateway) -> None:
    """A task that failed, a task that was refused, a call without a type: three exit codes."""
    failed = submit(yard, "quick.divide")
    assert failed.returncode == 1
    assert json.loads(failed.stdout)["error"]["code"] == "permanent-error"
    refused = submit(yard, "no.such.type")
    assert refused.returncode == 1
    assert '"code":"unknown-task-type"' in refused.stderr
    assert submit(yard).returncode == 2


def publish(*names: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, EXAMPLES / "publish_events.py", *names],
        env=environment(**settings),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_a_service_publishes_cloud_events(yard: Gateway) -> None:
    """Binary mode, persistent, routed by the event's type to the gateway's exchange."""
    amqp_url, prefix = yard.ready["amqp_url"], yard.env["TASKYARD_PREFIX"]
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        listener = await channel.declare_queue(exclusive=True)
        await listener.bind(f"{prefix}.events", "upload.image.*")
        settings = {"TASKYARD_AMQP_URL": amqp_url, "TASKYARD_PREFIX": prefix}
        done = publish("coffee.png", "airports.csv", "chelsea.png", **settings)
        assert (done.returncode, done.stderr) == (0, "")
        assert len(done.stdout.splitlines()) == 3
        heard = [await listener.get(timeout=10), await listener.get(timeout=10)]
    coffee, chelsea = heard
    assert coffee is not None
    assert chelsea is not None
    assert coffee.headers["cloudEvents:type"] == coffee.routing_key == "upload.image.created"
    assert coffee.headers["cloudEvents:specversion"] == "1.0"
    assert coffee.headers["cloudEvents:id"] != chelsea.headers["cloudEvents:id"]
    assert coffee.delivery_mode == aio_pika.DeliveryMode.PERSISTENT
    assert coffee.content_type == "application/json"
    assert json.loads(coffee.body) == {
        "key": "inputs/coffee.png",
        "size": (EXAMPLES / "files" / "coffee.png").stat().st_size,
        "content_type": "image/png",
    }


def test_a_service_hears_that_its_event_was_not_taken(yard: Gateway) -> None:
    """No such exchange, no broker, no such file, no address: said in a line, never in silence."""
    amqp_url = yard.ready["amqp_url"]
    for name, settings in (
        ("coffee.png", {"TASKYARD_AMQP_URL": amqp_url, "TASKYARD_PREFIX": "nobody"}),
        ("coffee.png", {"TASKYARD_AMQP_URL": f"amqp://127.0.0.1:{free_port()}/"}),
        ("gone.png", {"TASKYARD_AMQP_URL": amqp_url}),
    ):
        done = publish(name, **settings)
        assert done.returncode == 1, done
        assert done.stderr.splitlines()[-1].startswith("not published: ")
        assert "Traceback" not in done.stderr
    assert publish("coffee.png").returncode == 2
