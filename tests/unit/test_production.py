"""production.py: everything that production mode refuses, all of it at once, in words."""

from pathlib import Path

import pytest

from taskyard.core.errors import InvalidSettings
from taskyard.settings import load

ROOT = Path(__file__).parents[2]
GOOD = {
    "TASKYARD_MODE": "production",
    "TASKYARD_DATABASE_URL": "postgresql://gateway:hunter2-long@db.test/d?sslmode=verify-full",
    "TASKYARD_AMQP_URL": "amqps://gateway:hunter2-long@mq.test/v",
    "TASKYARD_API_HOST": "0.0.0.0",
    "TASKYARD_BEHIND_PROXY": "true",
    "TASKYARD_ROUTING": str(ROOT / "routing"),
    "TASKYARD_WORKERS": str(ROOT),
}


def faults(**more: str) -> list[str]:
    try:
        load(GOOD | {f"TASKYARD_{name.upper()}": value for name, value in more.items()})
    except InvalidSettings as error:
        return [str(fault) for fault in error.faults]
    return []


def test_a_deployment_in_order_is_accepted() -> None:
    """Encrypted and verified both ways, behind a proxy."""
    assert faults() == []


def test_everything_is_said_at_once_and_only_in_production() -> None:
    """Eight things to mend need one start, not eight; and no password is shown."""
    unsafe = {
        "database_url": "postgresql://taskyard:taskyard@db.test/d",
        "amqp_url": "amqp://guest:hunter2@mq.test/v",
        "amqp_admin": "http://admin:hunter2@mq.test:15672",
        "behind_proxy": "false",
        "webhooks_insecure": "true",
    }
    found = faults(**unsafe)
    assert [fault.split(":")[0].removeprefix("TASKYARD_") for fault in found] == [
        "DATABASE_URL",
        "DATABASE_URL",
        "AMQP_URL",
        "AMQP_URL",
        "AMQP_ADMIN",
        "API_HOST",
        "WEBHOOKS_INSECURE",
    ]
    assert "hunter2" not in " ".join(found)
    assert faults(**unsafe, mode="development") == []


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("database_url", "postgresql://u:long-one@db.test/d?sslmode=require", "sslmode=require"),
        ("database_url", "postgresql://u:long-one@localhost/d?host=db.test", "may be read"),
        ("database_url", "postgresql://u:long-one@localhost:1,db.test:2/d", "may be read"),
        ("database_url", "postgresql://localhost/d?user=u&password=Postgres", "would guess"),
        ("amqp_url", "amqp://u:long-one@mq.test/v", "plain text"),
        ("amqp_url", "amqps://u:long-one@mq.test/v?no_verify_ssl=1", "pose as the broker"),
        ("amqp_url", "amqps://mq.test/v", "guest"),
        ("amqp_url", "amqps://guest:long-one@localhost/v", "guest"),
        ("amqp_url", "amqps://shop:Shop@mq.test/v", "would guess"),
        ("amqp_url", "amqps://shop:ch%61ngeme@mq.test/v", "would guess"),
    ],
)
def test_what_looks_safe_and_is_not_is_refused(name: str, value: str, said: str) -> None:
    """Encryption that verifies nobody, another host in a parameter, a default user or password."""
    [found] = faults(**{name: value})
    assert found.startswith(f"TASKYARD_{name.upper()}: ")
    assert said in found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("database_url", "postgresql://u:long-one@127.0.0.1/d"),
        ("database_url", "postgresql://u:long-one@[::1]:5/d"),
        ("database_url", "postgresql://db.test/d?host=/run/postgresql"),
        ("database_url", "postgresql://u@db.test/d?sslmode=verify-full"),
        ("amqp_url", "amqp://u:long-one@localhost:5672/v"),
        ("behind_proxy", "true"),
        ("api_host", "127.0.0.1"),
    ],
)
def test_what_stays_on_this_machine_may_be_plain(name: str, value: str) -> None:
    """A proxy beside us adds TLS; a certificate may stand for a password."""
    more = {"behind_proxy": "false", "api_host": "::1", name: value}
    assert faults(**more) == []


def test_the_user_in_the_url_does_not_matter_when_each_role_has_its_own(tmp_path: Path) -> None:
    """Then nobody logs in as guest."""
    assert faults(amqp_url="amqps://mq.test/v", amqp_users=str(tmp_path)) == []
