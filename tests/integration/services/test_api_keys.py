"""services/keys.py: keys are made, recognised and ended."""

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from secrets import token_bytes

import pytest

from taskyard import bootstrap
from taskyard.core.errors import InvalidRequest, InvalidSettings, Unauthenticated
from taskyard.core.principal import DEFAULT_TENANT, Principal, Scope, TenantId
from taskyard.services import keys
from taskyard.services.keys import ApiKeys, KeyWish, make_key
from taskyard.settings import Settings, load
from taskyard.storage import api_keys
from taskyard.storage.pool import AsyncConnection, Pool, open_pool

PEPPER = b"p" * 32
WISH = KeyWish(
    tenant=TenantId("acme"),
    name="billing",
    scopes=frozenset({Scope.READ, Scope.SUBMIT}),
    patterns=("report.*",),
    created_by="tests",
)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="tests", size=1) as opened:
        yield opened


@pytest.fixture
def known(pool: Pool) -> ApiKeys:
    return ApiKeys(pool, pepper=PEPPER)


async def made(connection: AsyncConnection, wish: KeyWish = WISH) -> tuple[str, api_keys.ApiKey]:
    return await make_key(connection, wish, chance=token_bytes(38), pepper=PEPPER)


async def test_who_shows_a_key_is_who_it_was_made_for(
    connection: AsyncConnection, known: ApiKeys
) -> None:
    """Tenant, scopes and task types are the key's; its tenant is known from then on."""
    shown, stored = await made(connection)
    assert await known.principal_of(shown) == Principal(
        tenant=TenantId("acme"),
        name=f"key:tk_{stored.prefix}",
        scopes=WISH.scopes,
        patterns=("report.*",),
    )
    [key] = await api_keys.list_all(connection, TenantId("acme"))
    assert key.last_used_at is not None
    rows = await (await connection.execute("SELECT name FROM tenants ORDER BY name")).fetchall()
    assert rows == [("acme",), ("default",)]


async def test_the_secret_is_not_in_the_database(connection: AsyncConnection) -> None:
    """Nor is anything that recognises it without the pepper."""
    shown, _ = await made(connection)
    secret = shown.rpartition("_")[2]
    [(text, digest)] = await (
        await connection.execute("SELECT api_keys::text, digest FROM api_keys")
    ).fetchall()
    assert secret not in text
    assert digest != keys._digest(secret, b"")


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda key: key[:-1] + ("0" if key[-1] != "0" else "1"),
        lambda key: key.replace(key[3], "0" if key[3] != "0" else "1", 1),
        lambda key: key.upper(),
        lambda key: key + "0",
        lambda key: key[:-64],
        lambda _: "",
        lambda _: "tk_",
        lambda key: key + "\0",
        lambda _: "tk_" + "é" * 12 + "_" + "0" * 64,
    ],
)
async def test_what_is_not_the_key_is_not_let_in(
    connection: AsyncConnection, known: ApiKeys, spoilt: "type[str]"
) -> None:
    """One character is enough, in the secret or before it."""
    shown, _ = await made(connection)
    with pytest.raises(Unauthenticated):
        await known.principal_of(spoilt(shown))
    await known.principal_of(shown)


async def test_another_pepper_knows_no_key(connection: AsyncConnection, pool: Pool) -> None:
    """A copy of the database alone lets nobody in."""
    shown, _ = await made(connection)
    with pytest.raises(Unauthenticated):
        await ApiKeys(pool, pepper=b"q" * 32).principal_of(shown)


async def test_a_key_ends_when_it_is_revoked_or_expires(
    connection: AsyncConnection, known: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At once, but for what a process believes for two seconds."""
    shown, stored = await made(connection)
    await known.principal_of(shown)
    assert await api_keys.revoke(connection, stored.prefix) is not None
    assert await api_keys.revoke(connection, stored.prefix) is None
    await known.principal_of(shown)
    now = keys.time.monotonic()
    monkeypatch.setattr(keys.time, "monotonic", lambda: now + 2.1)
    with pytest.raises(Unauthenticated, match="revoked"):
        await known.principal_of(shown)
    brief, _ = await made(connection, replace(WISH, lives=timedelta(microseconds=1)))
    with pytest.raises(Unauthenticated, match="expired"):
        await known.principal_of(brief)


async def test_who_is_known_without_asking_is_known_for_as_long_as_that_is_believed(
    connection: AsyncConnection, known: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The right secret, and only after somebody was asked not long ago."""
    shown, _ = await made(connection)
    assert known.known(shown) is None
    asked = await known.principal_of(shown)
    assert known.known(shown) == asked
    last = "0" if shown[-1] != "0" else "1"
    assert known.known(shown[:-1] + last) is None
    assert known.known("no key") is None
    later = time.monotonic() + 2.0
    with monkeypatch.context() as patched:
        patched.setattr(time, "monotonic", lambda: later)
        assert known.known(shown) is None


async def test_a_key_that_soon_expires_is_not_believed_longer(
    connection: AsyncConnection, known: ApiKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last moment bounds what is remembered."""
    shown, stored = await made(connection, replace(WISH, lives=timedelta(minutes=1)))
    await connection.execute("UPDATE api_keys SET expires_at = now() + interval '1 second'")
    await known.principal_of(shown)
    await connection.execute("UPDATE api_keys SET expires_at = now()")
    now = keys.time.monotonic()
    monkeypatch.setattr(keys.time, "monotonic", lambda: now + 1.1)
    with pytest.raises(Unauthenticated):
        await known.principal_of(shown)
    assert stored.expires_at is not None


async def test_strangers_fill_no_memory(known: ApiKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who tries many keys pushes out what was remembered, and no more."""
    monkeypatch.setattr(keys, "_MOST_BELIEVED", 5)
    for number in range(20):
        with pytest.raises(Unauthenticated):
            await known.principal_of(f"tk_{number:012x}_{'0' * 64}")
    assert len(known._believed) == 5


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"tenant": TenantId("Ac me")}, "tenant"),
        ({"tenant": TenantId("#rules")}, "tenant"),
        ({"name": ""}, "name"),
        ({"name": "x\0"}, "name"),
        ({"scopes": frozenset()}, "scopes"),
        ({"patterns": ("a..*b",)}, "types"),
        ({"patterns": ()}, "types"),
    ],
)
async def test_a_wish_that_makes_no_sense_is_refused(
    connection: AsyncConnection, change: dict[str, object], where: str
) -> None:
    """In words, and nothing is stored."""
    with pytest.raises(InvalidRequest) as caught:
        await made(connection, replace(WISH, **change))  # type: ignore[arg-type]
    assert [fault.where for fault in caught.value.faults] == [where]
    assert await api_keys.list_all(connection, None) == []


def settings(database_url: str) -> Settings:
    return replace(
        load(
            {"TASKYARD_DATABASE_URL": database_url, "TASKYARD_AMQP_URL": "amqp://u:p@127.0.0.1/v"}
        ),
        key_pepper=PEPPER,
    )


async def test_the_first_key_is_made_once_and_kept_for_us_alone(
    database_url: str, known: ApiKeys, tmp_path: Path
) -> None:
    """A second start finds it; one on another database makes another."""
    given = settings(database_url)
    key, new = await bootstrap.first_key(given, tmp_path)
    file = tmp_path / bootstrap.ADMIN_KEY
    assert (new, file.read_text().strip(), file.stat().st_mode & 0o777) == (True, key, 0o600)
    assert await bootstrap.first_key(given, tmp_path) == (key, False)
    assert (await known.principal_of(key)).scopes == {Scope.ADMIN}
    file.write_text("tk_of_another_yard\n")
    other, new = await bootstrap.first_key(given, tmp_path)
    assert new
    assert (await known.principal_of(other)).tenant == DEFAULT_TENANT


async def test_a_rotated_key_is_followed_by_one_like_it(
    connection: AsyncConnection, database_url: str, known: ApiKeys
) -> None:
    """Both are valid during the overlap; the old one has an end."""
    given = settings(database_url)
    shown, stored = await made(connection)
    rotated = await bootstrap.rotate_key(given, stored.prefix, timedelta(hours=1))
    assert rotated is not None
    one, other = await known.principal_of(shown), await known.principal_of(rotated[0])
    assert (one.tenant, one.scopes, one.patterns) == (other.tenant, other.scopes, other.patterns)
    by_prefix = {each.prefix: each for each in await api_keys.list_all(connection, None)}
    assert by_prefix[stored.prefix].expires_at is not None
    assert by_prefix[rotated[1].prefix].expires_at is None
    assert await bootstrap.rotate_key(given, "no such key", timedelta(0)) is None


async def test_production_makes_no_key_without_a_pepper(
    connection: AsyncConnection, database_url: str
) -> None:
    """Else a copy of the database would do to recognise it."""
    given = replace(settings(database_url), mode="production", key_pepper=b"")
    with pytest.raises(InvalidSettings) as caught:
        await bootstrap.create_key(given, WISH)
    assert caught.value.faults[0].where == "TASKYARD_KEY_PEPPER"
    assert await api_keys.list_all(connection, None) == []


async def test_a_rotation_makes_no_key_live_longer(
    connection: AsyncConnection, database_url: str
) -> None:
    """One for 90 days is followed by one for 90 days; what has ended is followed by none."""
    given = settings(database_url)
    _, stored = await made(connection, replace(WISH, lives=timedelta(days=90)))
    rotated = await bootstrap.rotate_key(given, stored.prefix, timedelta(0))
    assert rotated is not None
    follower = rotated[1]
    assert follower.expires_at is not None
    assert follower.expires_at - follower.created_at == timedelta(days=90)
    assert await bootstrap.rotate_key(given, stored.prefix, timedelta(0)) is None
