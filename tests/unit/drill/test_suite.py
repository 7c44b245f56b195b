"""How drills are planned and where figures are written."""

from pathlib import Path

import pytest

from taskyard.core.errors import Misconfigured
from taskyard.drill.suite import Wanted, plan, write_between

DEPLOYMENT = Path(__file__).parents[2] / "faults" / "deployment"


@pytest.fixture(autouse=True)
def deployment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKYARD_ROUTING", str(DEPLOYMENT / "routing"))
    monkeypatch.setenv("TASKYARD_WORKERS", str(DEPLOYMENT / "code"))


def test_tasks_and_faults_are_shared_among_the_seeds() -> None:
    """Nothing is left out, and the same words plan the same drills."""
    wanted = Wanted(tasks=100, seeds=(1, 2, 3), faults=40)
    plans = list(plan(wanted))
    assert sum(each.tasks for each in plans) == 100
    assert sum(len(each.faults) for each in plans) == 40
    assert [each.faults for each in plans] == [each.faults for each in plan(wanted)]


def test_an_unknown_fault_is_named_with_those_there_are() -> None:
    """A misspelt fault is said before anything starts."""
    with pytest.raises(Misconfigured) as raised:
        list(plan(Wanted(tasks=1, seeds=(1,), faults=1, only=("kill-wroker",))))
    assert "kill-worker" in str(raised.value.faults[0])


def test_figures_replace_what_stood_between_the_marks(tmp_path: Path) -> None:
    """The page around them stays as it was."""
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- figures -->\nold\n<!-- end of figures -->\nz\n")
    write_between(page, "new")
    assert page.read_text() == "a\n<!-- figures -->\n\nnew\n<!-- end of figures -->\nz\n"
