"""What a drill submits, and which faults it draws."""

import random
from pathlib import Path

import pytest

from taskyard.core.errors import Misconfigured
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.states import State
from taskyard.drill.faults import FAULTS, draw
from taskyard.drill.mix import read_mix
from taskyard.routing_files import read_routing

TABLE = RoutingTable(pools={"p": Pool(name="p", tasks=("a.*",), modules=("m",))}, defaults={})


def written(folder: Path, text: str) -> Path:
    path = folder / "drill.toml"
    path.write_text(text)
    return path


def test_a_mix_is_drawn_by_weight_and_seed(tmp_path: Path) -> None:
    """The same seed draws the same types, and a weight of 3 comes about three times as often."""
    # Given
    mix = read_mix(written(tmp_path, '["a.b"]\nweight = 3\nends = ["failed"]\n["a.c"]\n'), TABLE)
    # When
    drawn = [mix.choose(random.Random(seed))[0] for seed in range(1000)]
    # Then
    assert drawn == [mix.choose(random.Random(seed))[0] for seed in range(1000)]
    assert 650 < drawn.count("a.b") < 850
    assert mix.ends == {"a.b": frozenset({State.FAILED})}


def test_every_fault_of_a_mix_is_said(tmp_path: Path) -> None:
    """A type without a pool, a weight of nothing, an end that is none, an unknown key."""
    text = '["x"]\n["a.b"]\nweight = 0\nends = ["running"]\n["a.c"]\nwieght = 2\n'
    with pytest.raises(Misconfigured) as raised:
        read_mix(written(tmp_path, text), TABLE)
    said = "\n".join(map(str, raised.value.faults))
    assert "x: is routed to no pool" in said
    assert "a.b: has a weight that is not above 0" in said
    assert "a.b: cannot end as running" in said
    assert "a.c: " in said
    assert "wieght" in said


def test_a_missing_mix_is_explained(tmp_path: Path) -> None:
    """Who has no mix learns what one looks like."""
    with pytest.raises(Misconfigured, match="for each task type an entry"):
        read_mix(tmp_path / "drill.toml", TABLE)


def test_faults_are_drawn_without_a_second_before_all_have_come() -> None:
    """Sixty draws hold every fault, in an order that the seed decides."""
    count = 2 * len(FAULTS)
    drawn = [fault.name for fault in draw(count, random.Random(1))]
    assert sorted(drawn[: len(FAULTS)]) == sorted(fault.name for fault in FAULTS)
    assert drawn == [fault.name for fault in draw(count, random.Random(1))]
    assert drawn != [fault.name for fault in draw(count, random.Random(2))]


def test_only_short_faults_can_be_asked_for() -> None:
    """A short run leaves out what lasts long."""
    assert all(fault.lasts <= 1 for fault in draw(50, random.Random(1), longest=1))


@pytest.mark.parametrize("folder", ["routing", "tests/faults/deployment/routing"])
def test_the_mixes_of_this_repository_fit_their_routing_tables(folder: str) -> None:
    """Every task type that is submitted reaches a pool."""
    routing = Path(__file__).parents[3] / folder
    assert read_mix(routing / "drill.toml", read_routing(routing)).portions
