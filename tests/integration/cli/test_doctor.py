"""`taskyard doctor` on real servers: what is wrong is found, and what to do about it said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import Result
from typer.testing import CliRunner

from taskyard.broker.declare import connected
from taskyard.cli import app
from taskyard.dev.processes import free_port
from tests.encryption import ENCRYPTION_KEYS
from tests.stack import deployment

Run = Callable[..., Result]


@pytest.fixture
def run(
    database_url: str, amqp_url: str, management_url: str, tls_folder: Path, prefix: str
) -> Run:
    """Run a command on the test's servers."""
    env = deployment() | {
        "TASKYARD_DATABASE_URL": database_url,
        "TASKYARD_AMQP_URL": amqp_url,
        "TASKYARD_PREFIX": prefix,
        "TASKYARD_AMQP_ADMIN": management_url,
        "TASKYARD_STORES": "",
        "TASKYARD_KEY_PEPPER": "p" * 32,
        "SSL_CERT_FILE": str(tls_folder / "ca.pem"),
    }
    return lambda *words, **more: CliRunner().invoke(app, [*words], env=env | more)


def examined(run: Run, **more: str) -> tuple[int, dict[str, dict[str, Any]]]:
    """The exit code, and the findings by their checks; of several the last."""
    done = run("doctor", "--json", **more)
    told = json.loads(done.stdout)
    assert told["exit_code"] == done.exit_code
    return done.exit_code, {each["check"]: each for each in told["findings"]}


def verdict(findings: dict[str, dict[str, Any]], check: str) -> tuple[str, str]:
    return findings[check]["verdict"], findings[check]["found"]


def test_a_fresh_deployment_is_told_what_is_missing(run: Run, database_url: str) -> None:
    """First its queues, then its dispatcher and workers; in the end nothing is a fault."""
    code, found = examined(run)
    assert code == 2
    for check in ("postgres", "postgres version", "postgres durability", "schema", "pepper",
                  "clock of postgres", "clock of broker", "broker", "broker version",
                  "broker alarms", "key ring", "secret files"):  # fmt: skip
        assert found[check]["verdict"] == "ok", found[check]
    assert found["topology"]["verdict"] == "fault"
    assert "topology apply" in found["topology"]["advice"]
    assert verdict(found, "pool quick") == ("fault", "its queue is not in the broker")
    # When what it says is done
    assert run("topology", "apply").exit_code == 0
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("UPDATE measured SET at = now()")
        for name, pool in (("quick.echo", "quick"), ("calm.add", "calm")):
            connection.execute(
                "INSERT INTO task_types (type, pool, schema) VALUES (%s, %s, '{}')", (name, pool)
            )
    code, found = examined(run)
    # Then
    assert code == 1
    assert {each["check"] for each in found.values() if each["verdict"] != "ok"} == {
        "pool quick", "pool calm",
    }  # fmt: skip
    assert "start `taskyard worker quick`" in found["pool quick"]["advice"]


def test_drift_of_the_topology_is_found(run: Run, amqp_url: str, prefix: str) -> None:
    """A queue that somebody deleted."""
    assert run("topology", "apply").exit_code == 0
    with connected(amqp_url) as broker:
        broker.channel().queue_delete(f"{prefix}.pool.calm")
    code, found = examined(run)
    assert code == 2
    assert f"{prefix}.pool.calm" in found["topology"]["found"]
    assert verdict(found, "pool quick")[0] == "warning"


def test_servers_that_do_not_answer_are_faults_and_the_rest_is_examined(run: Run) -> None:
    """Each with what it said; no stack trace."""
    nowhere = f"127.0.0.1:{free_port()}"
    code, found = examined(run, TASKYARD_DATABASE_URL=f"postgresql://u:p@{nowhere}/d")
    assert (code, verdict(found, "postgres")[0], verdict(found, "broker")[0]) == (2, "fault", "ok")
    code, found = examined(run, TASKYARD_AMQP_URL=f"amqp://u:p@{nowhere}/v")
    assert (code, verdict(found, "postgres")[0], verdict(found, "broker")[0]) == (2, "ok", "fault")
    code, found = examined(run, TASKYARD_AMQP_ADMIN="no-such-command")
    assert verdict(found, "broker alarms")[0] == "warning"


def test_alarms_are_asked_of_rabbitmqctl_too(run: Run, rabbitmqctl: str) -> None:
    """Where there is no management API; the clock comes with them."""
    _, found = examined(run, TASKYARD_AMQP_ADMIN=rabbitmqctl)
    assert verdict(found, "broker alarms") == ("ok", "none")
    assert found["clock of broker"]["verdict"] == "ok"


def test_a_schema_that_is_behind_or_ahead_is_found(run: Run, database_url: str) -> None:
    """And what is behind it is not asked."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("INSERT INTO schema_migrations VALUES (9999, 'later')")
        _, ahead = examined(run)
        connection.execute("DELETE FROM schema_migrations WHERE version IN (9999, 20)")
        _, behind = examined(run)
    assert verdict(ahead, "schema")[0] == "warning"
    assert "9999" in ahead["schema"]["found"]
    assert verdict(behind, "schema")[0] == "fault"
    assert "0020" in behind["schema"]["found"]
    assert "dispatcher" in ahead
    assert "dispatcher" not in behind


def test_keys_and_files_that_are_not_as_they_should_be_are_found(
    run: Run, database_url: str, tmp_path: Path
) -> None:
    """A key that the ring lacks; a file that others may read; no pepper."""
    from taskyard.core.sealed import Place, parse_keys
    from taskyard.storage.sealing import KeyRing
    from tests.submissions import new

    task = new(None)
    ring = KeyRing(parse_keys(ENCRYPTION_KEYS))
    sealed = ring.seal("{}", Place(task.tenant, task.id, "args"))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO tasks (id, tenant, type, pool, priority, state, max_attempts, due_at,"
            " publish_at, args) VALUES (%s, %s, 'a.b', 'p', 4, 'pending', 3, now(), now(), %s)",
            (task.id, task.tenant, sealed),
        )
    tmp_path.chmod(0o755)
    secret = tmp_path / "pepper"
    secret.write_text("")
    secret.chmod(0o640)
    _, found = examined(run, TASKYARD_SESSION_KEYS_FILE=str(secret), TASKYARD_KEY_PEPPER="")
    assert verdict(found, "key ring")[0] == "fault"
    assert verdict(found, "pepper")[0] == "warning"
    assert verdict(found, "secret files")[0] == "fault"
    assert str(secret) in found["secret files"]["found"]
    secret.chmod(0o600)
    _, found = examined(
        run, TASKYARD_SESSION_KEYS_FILE=str(secret), TASKYARD_ENCRYPTION_KEYS=ENCRYPTION_KEYS
    )
    assert (verdict(found, "secret files")[0], verdict(found, "key ring")[0]) == ("ok", "ok")


def test_it_says_all_in_words(run: Run, amqp_url: str) -> None:
    """A line for each check, what to do below it, and no password."""
    done = run("doctor")
    assert done.exit_code == 2
    assert "✓ postgres: answers\n" in done.stdout
    assert "✗ topology: + " in done.stdout
    assert "\n    see `taskyard topology plan`" in done.stdout
    assert amqp_url.split("@", maxsplit=1)[0].rsplit(":", 1)[1] not in done.stdout
