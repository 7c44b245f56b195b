"""What is written down is true."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

import taskyard
from taskyard.cli import app

ROOT = Path(__file__).parents[2]


def test_every_command_is_in_the_readme() -> None:
    """The table of commands names them all, each in a row of its group, and no others."""
    commands = set(_commands(typer.main.get_command(app)))
    groups = {name.split()[0] for name in commands if " " in name}
    rows = re.findall(r"^\| (`taskyard .*?) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert {name for row in rows for name in _named(row, groups)} == commands


def _commands(group: Any, above: str = "") -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from _commands(command, f"{above}{name} ")
        else:
            yield above + name


def _named(cell: str, groups: set[str]) -> Iterator[str]:
    """Yield what a cell such as "`taskyard topology plan`, `apply NAME`" names."""
    above = ""
    for span in re.findall("`([^`]+)`", cell):
        first, second, third, *_ = (*span.split(), "", "")
        if first == "taskyard":
            above = f"{second} " if second in groups else ""
            yield above + (third if above else second)
        else:
            yield above + first


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
