"""`taskyard up`: what the stack is made of."""

import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from taskyard import bootstrap
from taskyard.core.errors import Misconfigured
from taskyard.dev.rabbitmq import CONTROL
from taskyard.dev.roles import Role
from taskyard.dev.stack import Stack, say

# Who presses Ctrl-C does not want to wait long; what still runs then is given back.
_SHORT_DRAIN = {"TASKYARD_LONGEST_DRAIN": "4s"}
# What is tried out at home is called at home.
_WEBHOOKS_AT_HOME = {
    "TASKYARD_WEBHOOKS_INSECURE": "true",
    "TASKYARD_WEBHOOKS_NETWORKS": "127.0.0.0/8,::1/128",
}
_STOP_WITHIN = 10.0
_WORKERS_NICE = 10  # where cores are short, who asks the API does not wait for those who calculate

PROGRAM = (sys.executable, "-m", "taskyard")  # how a role is started


def up(*, folder: Path, as_json: bool, port: int | None, command: Sequence[str]) -> int:
    """Run everything on private servers, or on those that the environment names.

    Returns the exit code. Raises Misconfigured before anything starts.
    """
    settings, given = bootstrap.stack_settings()
    if settings.production:
        raise Misconfigured(
            "TASKYARD_MODE is production, and `taskyard up` is for development: it starts private "
            "servers without TLS. Run `taskyard migrate` and `taskyard topology apply --users`, "
            "then each role by itself: `taskyard api`, `dispatcher`, `ingest`, and `worker` for "
            "every pool"
        )
    pepper = settings.key_pepper.decode() or bootstrap.secret_file(
        folder / bootstrap.KEY_PEPPER, lambda: secrets.token_hex(32)
    )
    is_private = "TASKYARD_AMQP_URL" not in given
    admin = str((folder / CONTROL).resolve()) if is_private else settings.amqp_admin
    session_key = ",".join(settings.session_keys) or bootstrap.secret_file(
        folder / bootstrap.SESSION_KEY, lambda: secrets.token_hex(32)
    )
    table = bootstrap.routing(settings)
    me = PROGRAM

    async def prepare(database_url: str, amqp_url: str) -> str:
        real = replace(
            settings, database_url=database_url, amqp_url=amqp_url, key_pepper=pepper.encode(),
            amqp_admin=admin,
        )  # fmt: skip
        await bootstrap.migrate_database(real)
        if real.amqp_users is not None:
            await bootstrap.apply_users(real)
        await bootstrap.apply_topology(real)
        key, new = await bootstrap.first_key(real, folder)
        if new:
            say(f"made an admin key, and put it into {folder / bootstrap.ADMIN_KEY}")
        return key

    # Beside a command its output is what matters; at a terminal people read along.
    quiet = {"TASKYARD_LOG_LEVEL": "warning"} if command else {}
    human = {"TASKYARD_LOG_FORMAT": "human"} if sys.stderr.isatty() and not as_json else {}
    stack = Stack(
        folder=folder,
        environment={
            **bootstrap.child_environment({**_SHORT_DRAIN, **_WEBHOOKS_AT_HOME, **quiet, **human}),
            "TASKYARD_KEY_PEPPER": pepper,
            "TASKYARD_AMQP_ADMIN": admin,
            "TASKYARD_SESSION_KEYS": session_key,
        },
        roles=[
            Role(name="api", argv=[*me, "api"], first_to_stop=True, stop_within=4.0),
            Role(name="dispatcher", argv=[*me, "dispatcher"]),
            Role(name="ingest", argv=[*me, "ingest"], first_to_stop=True),
            *(
                Role(
                    name=f"worker {pool}",
                    argv=[*me, "worker", pool],
                    stop_within=_STOP_WITHIN,
                    nice=_WORKERS_NICE,
                )
                for pool in table.pools
            ),
        ],
        prepare=prepare,
        port=port,
        as_json=as_json,
        command=command,
    )
    return stack.run(
        database_url=given.get("TASKYARD_DATABASE_URL"), amqp_url=given.get("TASKYARD_AMQP_URL")
    )
