"""A deployment in production mode: TLS everywhere, and a user of the broker for every role."""

import asyncio
import json
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aio_pika
import httpx
import pytest
from aiormq.exceptions import ChannelAccessRefused

from taskyard.broker import passwords
from taskyard.connections import as_user
from taskyard.dev.processes import free_port
from tests.events import event, structured
from tests.stack import HERE, NotifySocket, deployment, environment, until
from tests.tls import behind_tls

ROLES = (("api",), ("dispatcher",), ("ingest",), ("worker", "calm"))


@dataclass(frozen=True)
class Production:
    """What a test needs of the running roles."""

    env: dict[str, str]
    http: httpx.Client
    users: Path
    ca: Path

    @property
    def prefix(self) -> str:
        return self.env["TASKYARD_PREFIX"]

    def taskyard(self, *words: str) -> str:
        """Run a command that must succeed."""
        return _taskyard(self.env, *words)


def _taskyard(env: dict[str, str], *words: str) -> str:
    command = [sys.executable, "-m", "taskyard", *words]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@contextmanager
def roles(env: dict[str, str]) -> Iterator[None]:
    """Run every role until the test is over; each must end well."""
    with ExitStack() as stack:
        waiting = []
        for role in ROLES:
            notify = stack.enter_context(NotifySocket())
            process = subprocess.Popen(
                [sys.executable, "-m", "taskyard", *role],
                env=env | {"NOTIFY_SOCKET": notify.address},
                stderr=subprocess.DEVNULL,
            )
            stack.callback(_end, process)
            waiting.append(notify)
        for notify in waiting:
            notify.wait(60)
        yield


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert process.wait(30) == 0


@pytest.fixture
def production(
    database_url: str, amqps_url: str, management_url: str, tls_folder: Path, prefix: str,
    tmp_path: Path,
) -> Iterator[Production]:  # fmt: skip
    """The roles, each started by itself as an operator would, with nothing but settings."""
    routing, users, ca = tmp_path / "routing", tmp_path / "users", tls_folder / "ca.pem"
    shutil.copytree(HERE / "deployment" / "routing", routing)
    with (routing / "events.toml").open("a") as rules:
        rules.write(f'\n[publishers.{prefix}-shop]\ntypes = ["thing.#"]\n')
    server = (str(tls_folder / "localhost.pem"), str(tls_folder / "localhost.key"))
    port = free_port()
    with behind_tls(database_url, server) as database:
        env = environment(
            **deployment()
            | {
                "TASKYARD_MODE": "production",
                "TASKYARD_PREFIX": prefix,
                "TASKYARD_ROUTING": str(routing),
                "TASKYARD_STORES": f"files={tmp_path}/files",
                "TASKYARD_DATABASE_URL": database,
                "TASKYARD_DATABASE_TLS_CA": str(ca),
                "TASKYARD_AMQP_URL": "amqps://" + amqps_url.partition("@")[2],
                "TASKYARD_AMQP_TLS_CA": str(ca),
                "TASKYARD_AMQP_USERS": str(users),
                "TASKYARD_AMQP_ADMIN": management_url,
                "TASKYARD_API_HOST": "0.0.0.0",
                "TASKYARD_API_PORT": str(port),
                "TASKYARD_API_TLS_CERTIFICATE": server[0],
                "TASKYARD_API_TLS_KEY": server[1],
                "TASKYARD_KEY_PEPPER": "p" * 32,
            }
        )
        _taskyard(env, "topology", "apply", "--users")
        key = _taskyard(env, "keys", "create", "tests", "--scope", "admin").split()[-1]
        with (
            roles(env),
            httpx.Client(
                base_url=f"https://localhost:{port}",
                verify=ssl.create_default_context(cafile=ca),
                headers={"Authorization": f"Bearer {key}"},
                timeout=30,
            ) as http,
        ):
            yield Production(env, http, users, ca)


@pytest.mark.slow
def test_every_role_works_with_the_least_rights_and_nothing_in_plain_text(
    production: Production,
) -> None:
    """A task over HTTPS and an event over AMQPS are run; who says too much is refused."""
    # Given roles that are no guests in the broker, and a topology as it should be
    assert production.taskyard("topology", "plan", "--users").startswith("the broker is as")
    # When a task is submitted
    made = production.http.post("/v1/tasks", json={"type": "calm.add", "args": {"a": 1, "b": 2}})
    assert made.status_code == 202, made.text
    # Then it was published, claimed and finished
    done = until(
        lambda: production.http.get(f"/v1/tasks/{made.json()['id']}").json(),
        satisfied=lambda task: task.get("state") == "succeeded",
    )
    assert done["result"] == 3
    pools = production.http.get("/v1/pools").json()["items"]
    assert {pool["name"]: pool["consumers"] for pool in pools}["calm"] == 1
    # And an event of the publisher's own type makes a task, one of another type is refused
    asyncio.run(publish(production, "thing.number.made"))
    until(
        lambda: production.http.get("/v1/tasks?type=calm.add&state=succeeded").json()["items"],
        satisfied=lambda tasks: len(tasks) == 2,
    )
    with pytest.raises(ChannelAccessRefused, match="access to topic"):
        asyncio.run(publish(production, "payment.received"))
    # And the API speaks no plain text, nor TLS that is too old
    probe = production.http.base_url.join("/livez")
    with pytest.raises(httpx.TransportError):
        httpx.get(probe.copy_with(scheme="http"))
    with pytest.raises(httpx.ConnectError, match=r"(?i)alert"):
        httpx.get(probe, verify=_outdated(production.ca))


def _outdated(ca: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    return context


async def publish(production: Production, event_type: str) -> None:
    """Publish an event as the shop, as a service with nothing but its password would."""
    user = f"{production.prefix}-shop"
    url = as_user(
        production.env["TASKYARD_AMQP_URL"], user, passwords.read(production.users, user) or ""
    )
    document: dict[str, Any] = event(type=event_type, subject="s", data={"value": 4})
    async with await aio_pika.connect(f"{url}?cafile={production.ca}") as connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange(f"{production.prefix}.events", ensure=False)
        await exchange.publish(structured(document, user_id=user), event_type, timeout=10)


def test_production_says_all_that_it_refuses_before_it_opens_anything() -> None:
    """On stderr, a line for each, exit code 2, and no password."""
    env = environment(
        **deployment(),
        TASKYARD_MODE="production",
        TASKYARD_DATABASE_URL="postgresql://u:hunter2@db.test/d",
        TASKYARD_AMQP_URL="amqp://guest:hunter2@mq.test/v",
    )
    done = subprocess.run(
        [sys.executable, "-m", "taskyard", "worker", "calm"],
        env=env, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.count("TASKYARD_AMQP_URL: ") == 2
    assert done.stderr.count("TASKYARD_DATABASE_URL: ") == 1
    assert "hunter2" not in json.dumps(done.stderr)
