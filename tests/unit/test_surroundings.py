"""bootstrap/surroundings.py: what a stack takes from its environment, and what its roles get."""

from pathlib import Path

import pytest

from taskyard.bootstrap import child_environment, stack_settings

URL = "postgresql://u:p@127.0.0.1/d"


@pytest.fixture(autouse=True)
def nothing_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "AMQP_URL", "KEY_PEPPER", "ENCRYPTION_KEYS"):
        monkeypatch.delenv(f"TASKYARD_{name}", raising=False)
        monkeypatch.delenv(f"TASKYARD_{name}_FILE", raising=False)


def test_a_stack_needs_no_url() -> None:
    """What is not given it starts itself."""
    _, given = stack_settings()
    assert given == {}


def test_a_stack_takes_a_url_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its roles get it as it is: a file besides would be a fault."""
    (tmp_path / "url").write_text(f"{URL}\n")
    monkeypatch.setenv("TASKYARD_DATABASE_URL_FILE", str(tmp_path / "url"))
    monkeypatch.setenv("TASKYARD_ENCRYPTION_KEYS_FILE", "/run/secrets/keys")
    monkeypatch.setenv("TASKYARD_LOG_LEVEL", "error")
    environment = child_environment({"TASKYARD_LOG_LEVEL": "info", "TASKYARD_PREFIX": "p"})
    assert "TASKYARD_DATABASE_URL_FILE" not in environment
    assert environment["TASKYARD_ENCRYPTION_KEYS_FILE"] == "/run/secrets/keys"
    assert (environment["TASKYARD_LOG_LEVEL"], environment["TASKYARD_PREFIX"]) == ("error", "p")
    monkeypatch.delenv("TASKYARD_ENCRYPTION_KEYS_FILE")
    settings, given = stack_settings()
    assert given == {"TASKYARD_DATABASE_URL": URL}
    assert settings.database_url == URL
