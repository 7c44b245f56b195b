"""settings.py: read once, checked whole."""

import base64
from dataclasses import fields
from pathlib import Path

import pytest

from taskyard.core.errors import InvalidSettings, Misconfigured
from taskyard.core.sealed import EncryptionKeys
from taskyard.dev.up import up
from taskyard.redaction import redactor
from taskyard.settings import SETTINGS, Settings, load

ROOT = Path(__file__).parents[2]
KEY = "s" * 32
GOOD = {
    "TASKYARD_DATABASE_URL": "postgresql://u:p@localhost/d",
    "TASKYARD_AMQP_URL": "amqp://u:p@localhost/v",
    "TASKYARD_ROUTING": str(ROOT / "routing"),
    "TASKYARD_WORKERS": str(ROOT),
}


def test_the_table_and_the_object_name_the_same_settings() -> None:
    """A setting that is read is kept, and the reverse."""
    assert [field.name for field in fields(Settings)] == list(SETTINGS)


def test_defaults_are_sensible() -> None:
    """Two URLs are enough."""
    settings = load(GOOD)
    assert (settings.api_host, settings.api_port, settings.prefix) == (
        "127.0.0.1",
        8000,
        "taskyard",
    )
    assert set(settings.stores) == {"inputs", "outputs"}


def test_every_fault_comes_at_once_and_no_secret_is_shown() -> None:
    """The sentence names the variable; a password in a bad URL stays out of it."""
    with pytest.raises(InvalidSettings) as caught:
        load(
            {
                **GOOD,
                "TASKYARD_DATABASE_URL": "mysql://u:hunter2@h/d",
                "TASKYARD_API_PORT": "0",
                "TASKYARD_ROUTING": "/nowhere",
                "TASKYARD_LOG_LEVEL": "loud",
                "TASKYARD_STORES": "inputs",
                "TASKYARD_PREFIX": "a b",
                "TASKYARD_ISSUERS": "/nowhere.toml",
            }
        )
    shown = "\n".join(map(str, caught.value.faults))
    for name in ("DATABASE_URL", "API_PORT", "ROUTING", "LOG_LEVEL", "STORES", "PREFIX", "ISSUERS"):
        assert f"TASKYARD_{name}" in shown
    assert "hunter2" not in shown


def test_a_missing_url_is_explained() -> None:
    """The fault says what the setting is for."""
    with pytest.raises(InvalidSettings) as caught:
        load({})
    assert "Postgres" in str(caught.value.faults[0])


def test_what_webhooks_may_do_is_checked_and_never_shown() -> None:
    """Keys and secrets are named by number, not by value."""
    given = {
        **GOOD,
        "TASKYARD_WEBHOOKS_INSECURE": "yes",
        "TASKYARD_WEBHOOKS_NETWORKS": "10.0.0.0/8, 10.1.2.3/8",
        "TASKYARD_ENCRYPTION_KEYS": f"k1:{'A' * 43}=,k2:hunter2",
        "TASKYARD_NOTIFY_SECRET": "whsec_hunter2",
        "TASKYARD_LIFECYCLE_EVENTS": "task.#,image.*",
    }
    with pytest.raises(InvalidSettings) as caught:
        load(given)
    shown = "\n".join(map(str, caught.value.faults))
    assert len(caught.value.faults) == 5
    assert "as number 2" in shown
    assert "hunter2" not in shown


def test_how_a_deployment_is_watched_is_checked() -> None:
    """Addresses to listen at and to send to, and a URL with room for the id of a trace."""
    wrong = {
        "TASKYARD_METRICS_LISTEN": "9100",
        "TASKYARD_OTLP_ENDPOINT": "127.0.0.1:4318",
        "TASKYARD_TRACE_URL": "https://traces.example.com/",
    }
    with pytest.raises(InvalidSettings) as caught:
        load({**GOOD, **wrong})
    assert {fault.where for fault in caught.value.faults} == wrong.keys()
    for text, address in {
        "127.0.0.1:9100": ("127.0.0.1", 9100), "[::1]:9100": ("::1", 9100), "": None,
    }.items():  # fmt: skip
        assert load({**GOOD, "TASKYARD_METRICS_LISTEN": text}).metrics_listen == address


def test_webhooks_are_closed_by_default() -> None:
    """Neither plain http nor a private network, and all changes are published."""
    settings = load(GOOD)
    assert (settings.webhooks_insecure, settings.webhooks_networks) == (False, ())
    assert (settings.encryption_keys, settings.notify_secret) == (EncryptionKeys(), None)
    assert settings.lifecycle_events == ("task.#",)
    more = {
        "TASKYARD_WEBHOOKS_NETWORKS": "127.0.0.0/8, ::1/128",
        "TASKYARD_ENCRYPTION_KEYS": f"k1:{'A' * 43}=",
        "TASKYARD_NOTIFY_SECRET": "whsec_" + "A" * 32,
        "TASKYARD_LIFECYCLE_EVENTS": "",
    }
    settings = load({**GOOD, **more})
    assert [str(each) for each in settings.webhooks_networks] == ["127.0.0.0/8", "::1/128"]
    assert settings.lifecycle_events == ()
    assert "AAAA" not in repr(settings)


def test_who_may_be_let_in_is_checked_and_never_shown() -> None:
    """Session keys have a length, and browsers find us at an address without a path."""
    for text in ("tasks.example", "https://h/path", "ftp://h", "https://u:p@h", "https://[", "h:x"):
        with pytest.raises(InvalidSettings) as caught:
            load({**GOOD, "TASKYARD_PUBLIC_URL": text, "TASKYARD_SESSION_KEYS": f"{KEY},hunter2"})
        shown = "\n".join(map(str, caught.value.faults))
        assert len(caught.value.faults) == 2
        assert "has key 2" in shown
        assert "hunter2" not in shown
    more = {"TASKYARD_PUBLIC_URL": "https://h:8443/", "TASKYARD_SESSION_KEYS": f"{KEY} , {KEY}"}
    settings = load({**GOOD, **more})
    assert (settings.public_url, settings.session_keys) == ("https://h:8443", (KEY, KEY))
    assert KEY not in repr(settings)


def test_every_setting_is_documented() -> None:
    """docs/operations.md names each of them."""
    text = (ROOT / "docs" / "operations.md").read_text()
    assert [name for name in SETTINGS if f"TASKYARD_{name.upper()}" not in text] == []


def test_a_deployment_is_in_development_unless_it_says_production() -> None:
    """There is no third mode, and a word that is nearly right does not pass for development."""
    assert not load(GOOD).production
    assert load({**GOOD, "TASKYARD_MODE": "production"}).production
    with pytest.raises(InvalidSettings):
        load({**GOOD, "TASKYARD_MODE": "Production"})


def test_private_servers_are_not_started_in_production(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`taskyard up` is refused with what to run instead."""
    for name, value in {**GOOD, "TASKYARD_MODE": "production"}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Misconfigured, match=r"taskyard api.*worker"):
        up(folder=tmp_path / "state", as_json=True, port=None, command=[])
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("value", ["", "ftp://admin:hunter2@h", "https://"])
def test_who_makes_the_users_is_a_command_or_a_url(value: str) -> None:
    """What is neither is refused before anything is asked, and not shown."""
    with pytest.raises(InvalidSettings) as caught:
        load({**GOOD, "TASKYARD_AMQP_ADMIN": value})
    assert "TASKYARD_AMQP_ADMIN: is neither" in str(caught.value.faults[0])
    assert "hunter2" not in str(caught.value.faults[0])
    assert load(GOOD).amqp_admin == "rabbitmqctl"


SECRETS = [name for name, setting in SETTINGS.items() if setting.secret]
CANARY = "hunter2-hunter2-hunter2-hunter2"
TEXTS = {
    "database_url": f"postgresql://u:{CANARY}@localhost/d",
    "amqp_url": f"amqp://u:{CANARY}@localhost/v",
    "encryption_keys": "k1:" + base64.b64encode(CANARY.encode().ljust(32)).decode(),
    "notify_secret": "whsec_" + base64.b64encode(CANARY.encode()).decode(),
    "key_pepper": CANARY * 2,
    "session_keys": CANARY * 2,
    "amqp_admin": f"https://admin:{CANARY}@localhost",
}


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_may_stand_in_a_file(name: str, tmp_path: Path) -> None:
    """Means the same as in the environment; the line break that editors leave is none."""
    variable = f"TASKYARD_{name.upper()}"
    (tmp_path / "secret").write_text(f"{TEXTS[name]}\n")
    given = {k: v for k, v in GOOD.items() if k != variable}
    from_file = load({**given, f"{variable}_FILE": str(tmp_path / "secret")})
    assert from_file == load({**given, variable: TEXTS[name]})


@pytest.mark.parametrize("name", SECRETS)
def test_no_secret_is_seen_in_the_settings_or_in_a_log(name: str) -> None:
    """Neither as it was given, nor as it is used."""
    settings = load({**GOOD, f"TASKYARD_{name.upper()}": TEXTS[name]})
    text = f"{getattr(settings, name)} {TEXTS[name]}"
    for seen in (repr(settings), redactor(settings.secrets)(text)):
        assert CANARY not in seen
        assert TEXTS[name].partition(":")[2] not in seen or ":" not in TEXTS[name]


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        ({"TASKYARD_AMQP_URL_FILE": "/run/secrets/amqp"}, "both set"),
        ({"TASKYARD_NOTIFY_SECRET_FILE": "/nowhere/at all"}, "cannot be read: No such file"),
        ({"TASKYARD_LOG_LEVEL_FILE": "/run/secrets/level"}, "is no secret"),
    ],
)
def test_a_file_that_cannot_be_meant_is_a_fault(given: dict[str, str], fault: str) -> None:
    """Which of two is meant cannot be known, nor what is in a file that is not there."""
    with pytest.raises(InvalidSettings) as caught:
        load({**GOOD, **given})
    (found,) = caught.value.faults
    assert found.where == next(iter(given))
    assert fault in found.problem


def test_a_faulty_secret_in_a_file_is_not_shown(tmp_path: Path) -> None:
    """The fault names the variable that is meant, not what the file holds."""
    (tmp_path / "secret").write_text("k1:hunter2")
    with pytest.raises(InvalidSettings) as caught:
        load({**GOOD, "TASKYARD_ENCRYPTION_KEYS_FILE": str(tmp_path / "secret")})
    assert "hunter2" not in str(caught.value.faults[0])
