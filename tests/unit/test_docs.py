"""What is written down is true."""

from pathlib import Path

import typer.main

import taskyard
from taskyard.cli import app

ROOT = Path(__file__).parents[2]


def test_every_command_is_in_the_readme() -> None:
    """The table of commands names them all."""
    readme = (ROOT / "README.md").read_text()
    group = typer.main.get_command(app)
    assert [name for name in group.commands if f"`taskyard {name}" not in readme] == []  # type: ignore[attr-defined]


def test_every_make_target_explains_itself() -> None:
    """`make help` lists what there is."""
    lines = (ROOT / "Makefile").read_text().splitlines()
    declared = next(line for line in lines if line.startswith(".PHONY:")).split()[1:]
    explained = {line.split(":")[0] for line in lines if "##" in line and not line.startswith("\t")}
    assert set(declared) == explained


def test_the_public_names_are_those_that_can_be_had() -> None:
    """`__all__` is sorted and whole."""
    assert taskyard.__all__ == sorted(taskyard.__all__)
    assert all(getattr(taskyard, name) for name in taskyard.__all__)


def test_decisions_are_numbered_without_a_gap() -> None:
    """docs/adr/NNNN-….md, each with a status."""
    found = sorted((ROOT / "docs" / "adr").glob("*.md"))
    assert [int(path.name[:4]) for path in found] == list(range(1, len(found) + 1))
    assert all("\nStatus: " in path.read_text() for path in found)
