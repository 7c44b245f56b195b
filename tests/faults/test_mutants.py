"""Mutants differ from the product: a patch that no longer bites is found before a long run."""

import subprocess
import sys

import pytest

from taskyard.drill.checks import CHECKS
from taskyard.drill.faults import NAMES
from tests.faults.mutants import MUTANTS

_PATCHED = """
import sys
from tests.faults.mutants import MUTANTS
MUTANTS[sys.argv[1]].patch()
import taskyard.storage.attempts, taskyard.storage.tasks
"""


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_can_still_be_made(name: str) -> None:
    """What it patches is there, and SQL that it rewrites still reads so."""
    made = subprocess.run(
        [sys.executable, "-c", _PATCHED, name], capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr


def test_mutants_name_faults_and_invariants_that_exist() -> None:
    """A misspelt fault or invariant could never catch anything."""
    assert {fault for mutant in MUTANTS.values() for fault in mutant.faults} <= set(NAMES)
    assert {shown for mutant in MUTANTS.values() for shown in mutant.shown_by} <= set(CHECKS)
