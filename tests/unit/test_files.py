"""files.py: names that cannot leave their store."""

from pathlib import Path

import pytest

from taskyard.files import FileRefused, NoSuchFile, NotConfined, Stores


@pytest.fixture
def stores(tmp_path: Path) -> Stores:
    (tmp_path / "secret").write_text("secret")
    return Stores({"inputs": str(tmp_path / "inputs"), "memory": "memory:///"})


@pytest.mark.parametrize("store", ["inputs", "memory"])
def test_what_is_written_is_read_back(stores: Stores, store: str) -> None:
    """The name returned is the name to read; a second write replaces the first."""
    name = stores.write(f"{store}/a/b.txt", b"one")
    stores.write(name, b"two")
    assert stores.read(name) == b"two"
    assert stores.exists(name)
    assert not stores.exists(f"{store}/none")


@pytest.mark.parametrize(
    "name",
    [
        "", "inputs", "inputs/", "nope/x", "/etc/passwd", "inputs/../secret",
        "inputs/a/../../secret",
        "inputs//x", "inputs/./x", "inputs/a\\b", "inputs/a\0b", "file:///etc/passwd",
        "http://127.0.0.1/x", "inputs/../inputs/x",
    ],
)  # fmt: skip
def test_a_name_that_leaves_its_store_is_refused(stores: Stores, name: str) -> None:
    """For reading and for writing alike."""
    with pytest.raises(NotConfined):
        stores.read(name)
    with pytest.raises(NotConfined):
        stores.write(name, b"")


def test_a_link_out_of_the_store_is_refused(stores: Stores, tmp_path: Path) -> None:
    """A link inside the folder does not open what lies outside."""
    (tmp_path / "inputs" / "link").symlink_to(tmp_path / "secret")
    (tmp_path / "inputs" / "folder").symlink_to(tmp_path)
    for name in ("inputs/link", "inputs/folder/secret"):
        with pytest.raises(NotConfined):
            stores.read(name)


def test_a_missing_file_is_named(stores: Stores) -> None:
    """The error is permanent: no retry makes a file appear."""
    with pytest.raises(NoSuchFile, match="inputs/none") as caught:
        stores.read("inputs/none")
    assert caught.value.permanent
    assert isinstance(caught.value, FileRefused)
