"""What the tests of private servers share."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the user Postgres runs as can reach."""
    with tempfile.TemporaryDirectory(prefix="taskyard-dev-") as name:
        Path(name).chmod(0o755)
        yield Path(name).resolve()
