"""Prove the checker: `python -m tests.faults.score [--sound] [NAME …]` prints caught/total.

Each mutant goes through a drill with the faults that expose it, and must be caught by an invariant
that is meant to. With --sound the unharmed product goes through the same drills, and must pass.
"""

import asyncio
import sys
import tempfile
from pathlib import Path

from taskyard.dev.up import PROGRAM
from taskyard.drill.faults import named
from taskyard.drill.mix import read_mix
from taskyard.drill.report import passed
from taskyard.drill.run import Drilled, Plan, drill
from taskyard.routing_files import read_routing
from tests.faults.mutants import MUTANTS, Mutant
from tests.stack import environment

DEPLOYMENT = Path(__file__).parent / "deployment"
SEED = 11
_QUIET_WITHIN = 60.0  # seconds; as in `make faults`


def run(mutant: Mutant, program: tuple[str, ...]) -> Drilled:
    """Do the drill of a mutant with this program."""
    table = read_routing(DEPLOYMENT / "routing")
    plan = Plan(
        seed=SEED,
        tasks=mutant.tasks,
        faults=named(mutant.faults),
        mix=read_mix(DEPLOYMENT / "routing" / "drill.toml", table),
        table=table,
        quiet_within=_QUIET_WITHIN,
    )
    surroundings = environment(
        TASKYARD_ROUTING=str(DEPLOYMENT / "routing"), TASKYARD_WORKERS=str(DEPLOYMENT / "code")
    )
    with tempfile.TemporaryDirectory(prefix="taskyard-mutant-") as folder:
        Path(folder).chmod(0o755)
        return asyncio.run(
            drill(plan, Path(folder), environment=surroundings, program=program, say=lambda _: None)
        )


def caught(name: str) -> bool:
    """Return whether a drill finds this mutant, by an invariant that is meant to."""
    mutant = MUTANTS[name]
    drilled = run(mutant, (sys.executable, "-m", "tests.faults.mutated", name))
    found = {violation.invariant for violation in drilled.violations}
    hit = found & mutant.shown_by
    shown = ", ".join(sorted(found)) or "nothing"
    print(f"{'caught' if hit else 'MISSED'} {name}: {shown}", flush=True)
    return bool(hit)


def unharmed(name: str) -> bool:
    """Return whether the product itself passes the drill that exposes a mutant."""
    drilled = run(MUTANTS[name], PROGRAM)
    if not passed(drilled):
        found = sorted({violation.invariant for violation in drilled.violations})
        print(f"the product itself fails the drill of {name}: {', '.join(found)}", flush=True)
    else:
        print(f"sound  {name}: the product passes its drill", flush=True)
    return passed(drilled)


def main(names: list[str]) -> int:
    """Print the score; return 0 when every mutant was caught."""
    sound = "--sound" in names  # the product too, in every one of these drills
    wanted = [name for name in names if name != "--sound"] or list(MUTANTS)
    failing = [name for name in wanted if sound and not unharmed(name)]
    score = sum(caught(name) for name in wanted)
    print(f"mutants caught: {score}/{len(wanted)}")
    return 0 if score == len(wanted) and not failing else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
