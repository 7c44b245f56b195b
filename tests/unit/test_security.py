"""docs/security.md: every threat has a control, and a test that is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "security.md").read_text()
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> list[list[str]]:
    table = TEXT.partition("| asset | attack | control | test |")[2].partition("\n\n")[0]
    return [line.strip("| ").split(" | ") for line in table.splitlines()[2:]]


def test_every_test_that_is_named_exists() -> None:
    """A control whose test was renamed or removed would only be claimed."""
    named = NAMED.findall(TEXT)
    missing = [
        f"{file}::{name}"
        for file, name in named
        if not (ROOT / file).is_file() or f"def {name}(" not in (ROOT / file).read_text()
    ]
    assert missing == []


def test_every_threat_names_a_test() -> None:
    """Asset, attack, control, and at least one test."""
    assert len(rows()) > 20
    assert [row for row in rows() if len(row) != 4 or not NAMED.search(row[3])] == []
