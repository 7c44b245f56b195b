"""Run `taskyard …` as a mutant: `python -m tests.faults.mutated NAME up --json …`.

The roles that `up` starts are started the same way, so each is patched before it begins. A process
that multiprocessing spawns imports this module again, and is patched again.
"""

import sys

from taskyard.dev import up
from tests.faults.mutants import MUTANTS

if __name__ in {"__main__", "__mp_main__"}:
    MUTANTS[sys.argv[1]].patch()
    up.PROGRAM = (sys.executable, "-m", "tests.faults.mutated", sys.argv[1])  # type: ignore[assignment]

if __name__ == "__main__":
    from taskyard.cli import app

    del sys.argv[1]
    app(prog_name="taskyard")
