"""core/flow.py: where it jams, in words."""

from dataclasses import replace
from typing import Any

import pytest

from taskyard.core.flow import Jam, PoolFlow, Rates, YardFlow

CALM = PoolFlow(name="calm", workers=1, slots=2, window=4, rates=Rates(accepted=1, ended=1))


def waits(count: int, **more: Any) -> PoolFlow:
    return replace(CALM, waiting={4: count}, **more)


@pytest.mark.parametrize(
    ("pool", "jam"),
    [
        (CALM, None),
        (replace(CALM, workers=0, slots=0), None),
        (waits(1, workers=0, slots=0), Jam.NO_WORKER),
        (waits(9, paused=True, workers=0), Jam.PAUSED),
        (replace(CALM, paused=True), Jam.PAUSED),
        (waits(9, running=2, oldest=5.0), Jam.BUSY),
        (waits(9, running=2, oldest=4.9), None),
        (waits(9, running=1, oldest=60.0), None),
    ],
)
def test_a_pool_jams_when_what_is_due_cannot_begin(pool: PoolFlow, jam: Jam | None) -> None:
    """Full slots alone are no jam, nor are workers that have nothing to do."""
    assert pool.jam == jam


def test_the_headline_names_the_gravest_first() -> None:
    """What holds everything up hides what holds up one pool."""
    pools = (
        waits(1200, running=2, oldest=60.0),
        replace(CALM, name="b", paused=True, held={9: 1}),
        replace(waits(2, workers=0), name="c"),
    )
    yard = YardFlow(pools=pools, broker_up=True, silent=1.0)
    assert yard.headline() == (
        "c has no worker, 2 wait. b is paused, 1 waits. calm is behind: all 2 slots are busy, "
        "1,200 wait."
    )
    assert "broker" in replace(yard, broker_up=False).headline()
    for silent in (None, 10.0):
        assert "No dispatcher" in replace(yard, broker_up=False, silent=silent).headline()
    assert replace(yard, pools=(CALM,)).headline() == "Everything flows."


def test_the_rates_of_a_yard_are_those_of_its_pools() -> None:
    """Added up."""
    yard = YardFlow(pools=(CALM, CALM), broker_up=True, silent=0.0)
    assert yard.rates == Rates(accepted=2, ended=2)
