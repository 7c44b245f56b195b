"""broker/passwords.py: a file for each user that nobody else can read."""

from pathlib import Path

import pytest

from taskyard.broker import passwords
from taskyard.core.errors import Misconfigured


def test_what_was_kept_is_read_and_what_was_not_is_none(tmp_path: Path) -> None:
    """A newer password replaces the older, and leaves nothing beside it."""
    folder = tmp_path / "not" / "yet"
    assert passwords.read(folder, "t.api") is None
    for password in ("first", "second"):
        passwords.keep(folder, "t.api", password)
        assert passwords.read(folder, "t.api") == password
    assert [(path.name, path.stat().st_mode & 0o777) for path in folder.iterdir()] == [
        ("t.api", 0o600)
    ]


def test_an_editor_may_have_added_a_line_end(tmp_path: Path) -> None:
    """Which is no part of the password."""
    (tmp_path / "u").write_bytes(b"word\r\n")
    assert passwords.read(tmp_path, "u") == "word"


@pytest.mark.parametrize("content", [b"", b" \n", b"\xff\xfe"])
def test_a_file_without_a_password_is_no_password(tmp_path: Path, content: bytes) -> None:
    """An empty one would let everybody in who tries it."""
    (tmp_path / "u").write_bytes(content)
    with pytest.raises(Misconfigured, match=str(tmp_path / "u")):
        passwords.read(tmp_path, "u")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    """Before any user is touched."""
    (tmp_path / "file").touch()
    with pytest.raises(Misconfigured, match="cannot be written"):
        passwords.keep(tmp_path / "file" / "users", "u", "word")


def test_no_two_passwords_are_alike_and_none_needs_quoting() -> None:
    """They become parts of URLs."""
    made = {passwords.made() for _ in range(50)}
    assert len(made) == 50
    assert all(
        len(each) >= 43 and each.replace("-", "").replace("_", "").isalnum() for each in made
    )
