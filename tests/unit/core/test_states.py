"""core/states.py: the state machine as a table."""

from itertools import product

import pytest

from taskyard.core.states import CELERY_STATES, TERMINAL, TRANSITIONS, UNSTARTED, State, may_become


def test_every_state_has_its_row() -> None:
    """The table and Celery's view of it know every state."""
    assert set(TRANSITIONS) == set(State) == set(CELERY_STATES)


@pytest.mark.parametrize("state", State)
def test_every_state_can_be_reached_from_a_submission(state: State) -> None:
    """No state is an island: each follows from scheduled or pending in legal steps."""
    reached = {State.SCHEDULED, State.PENDING}
    while more := {b for a in reached for b in TRANSITIONS[a]} - reached:
        reached |= more
    assert state in reached


def test_a_success_is_for_ever() -> None:
    """What succeeded goes nowhere; what ended otherwise can only be replayed."""
    assert TRANSITIONS[State.SUCCEEDED] == frozenset()
    for state in TERMINAL - {State.SUCCEEDED}:
        assert TRANSITIONS[state] == {State.PENDING}


def test_nothing_becomes_what_it_is() -> None:
    """A transition changes the state."""
    assert not any(may_become(state, state) for state in State)


def test_only_a_claim_leads_to_running() -> None:
    """Running follows from pending (a claim that overtook the mark) and queued alone."""
    origins = {a for a, b in product(State, State) if b is State.RUNNING and may_become(a, b)}
    assert origins == {State.PENDING, State.QUEUED}


def test_unstarted_and_terminal_do_not_meet() -> None:
    """Running is neither; every other state is one of both."""
    assert UNSTARTED | TERMINAL | {State.RUNNING} == set(State)
    assert not UNSTARTED & TERMINAL
