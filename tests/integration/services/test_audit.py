"""The audit log: written with what it tells of, never changed unseen."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from quart.typing import TestClientProtocol as HttpClient
from typer.testing import CliRunner

from taskyard.cli import app
from taskyard.core.audit import Action, Anchor, read_anchor
from taskyard.core.principal import DEFAULT_TENANT, Owner, TenantId
from taskyard.core.task import TaskId
from taskyard.services import audit
from taskyard.services.audit import Finding
from taskyard.services.cancel import cancel
from taskyard.storage.pool import OwnPool, Pool, borrowed, open_pool
from tests.application import api

Connection = psycopg.AsyncConnection[Any]
OTHER = TenantId("other")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=8) as opened:
        yield opened


@pytest.fixture
async def http(database_url: str) -> AsyncIterator[HttpClient]:
    async with api(database_url) as client:
        yield client


async def do(pool: Pool, count: int, *, tenant: TenantId = DEFAULT_TENANT) -> None:
    own = OwnPool(pool, Owner(tenant), "key:tk_test")
    for n in range(count):
        async with borrowed(own) as connection:
            await audit.record(connection, Action.TASK_CANCELLED, f"task:{n}", {"größe": n})


async def proof(pool: Pool, *anchors: Anchor) -> list[Finding]:
    async with borrowed(pool) as connection:
        return [finding async for finding in audit.verify(connection, anchors)]


async def tamper(connection: Connection, statement: str) -> None:
    """As somebody would who owns the database."""
    await connection.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
    await connection.execute(statement.encode())
    await connection.execute("ALTER TABLE audit_log ENABLE TRIGGER USER")


async def test_what_was_recorded_can_be_proven(pool: Pool) -> None:
    """Each tenant has a chain of its own, and the hashes of the database are those of Python."""
    await do(pool, 3)
    await do(pool, 1, tenant=OTHER)
    one, two = await proof(pool)
    assert (str(one.head.tenant), one.head.link.seq, one.entries, one.faults) == (
        "default",
        3,
        3,
        (),
    )
    assert (str(two.head.tenant), two.head.link.seq, two.faults) == ("other", 1, ())


TAMPERING = {
    "UPDATE audit_log SET actor = 'nobody' WHERE seq = 2": "entry 2 was changed",
    """UPDATE audit_log SET detail = '{"größe":  1}' WHERE seq = 2""": "entry 2 was changed",
    "UPDATE audit_log SET hash = sha256('x') WHERE seq = 2": "entry 2 was changed",
    "DELETE FROM audit_log WHERE seq = 2": "entry 2 was removed",
    "DELETE FROM audit_log WHERE seq = 1": "entry 1 was removed",
    "UPDATE audit_log SET seq = seq + 1000 WHERE seq IN (3, 4);"
    "UPDATE audit_log SET seq = 1007 - seq WHERE seq > 1000": "entry 3 was changed",
}


async def test_a_change_a_removal_and_another_order_are_found_and_named(
    pool: Pool, connection: Connection
) -> None:
    """Even those of somebody who may switch the triggers off."""
    for number, (statement, fault) in enumerate(TAMPERING.items()):
        tenant = TenantId(f"tenant{number}")
        await do(pool, 4, tenant=tenant)
        for part in statement.split(";"):
            await tamper(connection, f"{part} AND tenant = '{tenant}'")
        found = {finding.head.tenant: finding.faults for finding in await proof(pool)}
        assert fault in found[tenant]


async def test_what_was_cut_off_at_the_end_shows_against_an_anchor(
    pool: Pool, connection: Connection
) -> None:
    """Without one the rest is a sound log; that is why heads are kept elsewhere."""
    await do(pool, 4)
    (before,) = await proof(pool)
    noted = read_anchor(str(before.head))
    await tamper(connection, "DELETE FROM audit_log WHERE seq = 4")
    assert (await proof(pool))[0].faults == ()
    (found,) = await proof(pool, noted)
    assert found.faults == ("the log ends at entry 3; it had 4 when the anchor was noted",)
    await do(pool, 1)
    assert (await proof(pool, noted))[0].faults == (
        "entry 4 is another than when the anchor was noted",
    )
    await tamper(connection, "DELETE FROM audit_log")
    assert (await proof(pool, noted))[0].faults[0].startswith("the log ends at entry 0")


async def test_what_was_archived_is_vouched_for_by_an_anchor(
    pool: Pool, connection: Connection
) -> None:
    """The rest follows from the head that was noted when the older entries were taken out."""
    await do(pool, 2)
    (archived,) = await proof(pool)
    await do(pool, 2)
    await tamper(connection, "DELETE FROM audit_log WHERE seq <= 2")
    assert (await proof(pool))[0].faults == ("entry 1-2 was removed",)
    assert (await proof(pool, archived.head))[0].faults == ()


async def test_nothing_recorded_is_changed(pool: Pool, connection: Connection) -> None:
    """The owner of the table is refused by a trigger, a caller's role by its rights as well."""
    await do(pool, 1)
    for act in ("UPDATE audit_log SET actor = ''", "DELETE FROM audit_log", "TRUNCATE audit_log"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only added to"):
            await connection.execute(act.encode())
        async with borrowed(OwnPool(pool, Owner(DEFAULT_TENANT))) as own:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="permission denied"):
                await own.execute(act.encode())
            await own.rollback()


async def test_what_an_entry_says_of_itself_is_not_believed(pool: Pool) -> None:
    """Number, time and hashes are made where it is stored."""
    async with borrowed(OwnPool(pool, Owner(DEFAULT_TENANT))) as own:
        await own.execute(
            "INSERT INTO audit_log VALUES"
            " ('default', 99, '2000-01-01', 'a', 'b', 'c', '{}', '', '')"
        )
    (found,) = await proof(pool)
    assert (found.head.link.seq, found.faults) == (1, ())


async def test_many_at_once_are_one_chain(pool: Pool) -> None:
    """Nobody takes a number twice, none is left out."""
    await asyncio.gather(*(do(pool, 10) for _ in range(8)))
    (found,) = await proof(pool)
    assert (found.entries, found.faults) == (80, ())


async def test_what_is_undone_is_not_recorded(
    pool: Pool, http: HttpClient, connection: Connection
) -> None:
    """The entry stands and falls with the change: here somebody breaks off between the two."""
    task = await (await http.post("/v1/tasks", json={"type": "a.b"})).get_json()
    await connection.execute("ALTER TABLE audit_log ADD CONSTRAINT no CHECK (false) NOT VALID")
    with pytest.raises(psycopg.errors.CheckViolation):
        await cancel(OwnPool(pool, Owner(DEFAULT_TENANT)), TaskId(task["id"]))
    found = await (await http.get(f"/v1/tasks/{task['id']}")).get_json()
    assert found["state"] == "pending"


async def test_who_did_what_is_told_to_admins(http: HttpClient, pool: Pool) -> None:
    """Each act with its actor, the latest first, by pages, and nothing that was only tried."""
    task = await (await http.post("/v1/tasks", json={"type": "a.b"})).get_json()
    address = f"/v1/tasks/{task['id']}/reprioritise"
    assert (await http.post(address, json={"priority": 8})).status_code == 200
    await http.post(task["links"]["cancel"])
    assert (await http.post(task["links"]["cancel"])).status_code == 409
    await http.post(task["links"]["replay"], json={"priority": 9})
    found = await (await http.get("/v1/audit?limit=1")).get_json()
    (latest,) = found["items"]
    assert (latest["action"], latest["target"]) == ("task.replayed", f"task:{task['id']}")
    assert latest["detail"] == {"changed": ["priority"], "generation": 2}
    rest = await (await http.get(f"/v1/audit?cursor={found['next_cursor']}")).get_json()
    acts = ["task.cancelled", "task.reprioritised"]
    assert [(e["action"], e["actor"]) for e in rest["items"]] == [(act, "tests") for act in acts]
    chosen = await (await http.get("/v1/audit?action=task.cancelled&actor=tests")).get_json()
    assert [e["entry"] for e in chosen["items"]] == [2]


async def test_another_tenants_entries_are_not_seen(http: HttpClient, pool: Pool) -> None:
    """Nor counted: each tenant's numbers begin with 1."""
    await do(pool, 2, tenant=OTHER)
    assert (await (await http.get("/v1/audit")).get_json())["items"] == []
    assert (await http.get("/v1/audit?cursor=_____________________w")).status_code == 200


async def test_every_act_on_a_webhook_leaves_an_entry_without_its_secrets(http: HttpClient) -> None:
    """Made, changed, given another secret, removed."""
    url = "https://example.com/hooks/not-for-the-log"
    made = await http.post("/v1/webhooks", json={"url": url, "events": ["task.#"]})
    hook = (await made.get_json())["links"]["self"]
    await http.patch(hook, json={"url": url + "2", "disabled": True})
    await http.post(hook + "/rotate")
    await http.delete(hook)
    text = await (await http.get("/v1/audit")).get_data(as_text=True)
    actions = [each["action"] for each in json.loads(text)["items"]]
    assert actions == [f"webhook.{done}" for done in ("removed", "rotated", "changed", "made")]
    assert "not-for-the-log" not in text
    assert "whsec_" not in text


async def test_a_replay_of_nothing_leaves_nothing(http: HttpClient) -> None:
    """What changed nothing needs no witness; neither does a dry run."""
    for body in ({"all": True}, {"all": True, "dry_run": True}):
        await http.post("/v1/dead-letters/replay", json=body)
        await http.post("/v1/events/parked/replay", json=body)
    assert (await (await http.get("/v1/audit")).get_json())["items"] == []


async def test_a_task_that_has_ended_is_not_said_to_be_cancelled(pool: Pool) -> None:
    """Refused before anything is recorded."""
    with pytest.raises(Exception, match="there is no task"):
        await cancel(OwnPool(pool, Owner(DEFAULT_TENANT)), TaskId(uuid4()))
    assert await proof(pool) == []


def test_the_command_line_proves_it_and_says_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 0 with a head to be kept, 1 once it was tampered with, 2 for what is no anchor."""
    monkeypatch.setenv("TASKYARD_DATABASE_URL", database_url)
    monkeypatch.setenv("TASKYARD_AMQP_URL", "amqp://u:p@127.0.0.1:1/v")
    monkeypatch.setenv("TASKYARD_KEY_PEPPER", "p" * 32)

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, arguments)
        return done.exit_code, done.output

    assert run("audit", "verify") == (0, "nothing has been recorded yet\n")
    code, key = run("keys", "create", "for the log", "--scope", "read")
    assert code == 0, key
    prefix = key.split("_")[1]
    code, listed = run("audit", "list", "--json")
    entry = json.loads(listed)
    assert (code, entry["action"], entry["target"]) == (0, "key.made", f"key:tk_{prefix}")
    assert entry["detail"] == {"name": "for the log", "scopes": ["read"], "types": ["#"]}
    assert entry["actor"].startswith("taskyard keys, uid ")
    code, proven = run("audit", "verify")
    head = proven.split()[0]
    assert (code, head.partition(":")[2]) == (0, entry["hash"])
    assert run("audit", "verify", "--anchor", head)[0] == 0
    assert run("audit", "verify", "--anchor", "default@9")[0] == 2
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("ALTER TABLE audit_log DISABLE TRIGGER USER")
        connection.execute("UPDATE audit_log SET actor = 'nobody'")
    assert run("audit", "verify") == (1, "default: entry 1 was changed\n")
