"""core/rules.py: what a rule makes of an event."""

from typing import Any

import pytest

from taskyard.core.events import Event
from taskyard.core.rules import Declined, Failed, Firing, Outcome, holds
from tests.events import event, rules


def outcomes(*given: dict[str, Any], **changes: Any) -> list[Outcome]:
    document = event(**changes)
    one = Event(source="s", id="1", type=document["type"], subject=None, time=None,
                document=document)  # fmt: skip
    return list(rules(*given).consider(one))


def rule(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "match": "upload.#", "task": "image.x", **changes}


def test_every_rule_that_matches_is_considered_in_the_order_of_the_file() -> None:
    """And those that do not match are not even evaluated."""
    given = [rule(name=n, match=m, when=w) for n, m, w in (
        ("one", "#", "`true`"), ("two", "order.*", "abs('x')"),
        ("three", "upload.*.created", "`false`"),
    )]  # fmt: skip
    found = outcomes(*given)
    assert [(type(each), each.rule.name) for each in found] == [
        (Firing, "one"),
        (Declined, "three"),
    ]


def test_arguments_are_computed_and_what_is_null_is_left_out() -> None:
    """So that the task's own default holds."""
    args = {
        "key": "data.key",
        "none": "data.nothing",
        "all": "@.id",
        "list": "[id, type]",
        "n": "`0`",
    }
    [found] = outcomes(rule(args=args))
    assert isinstance(found, Firing)
    assert found.args == {
        "key": "inputs/1.png", "all": "e1", "list": ["e1", "upload.image.created"], "n": 0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "at"),
    [
        ({"when": "abs(id)"}, "when"),
        ({"args": {"x": "id", "y": "length(data.size)"}}, "args.y"),
        ({"dedupe": "sum(id)"}, "dedupe"),
        ({"dedupe": "data.missing"}, "dedupe"),
    ],
)
def test_a_failure_names_the_expression(changes: dict[str, Any], at: str) -> None:
    """A dedupe value that is null would make one task of all events: it fails."""
    [found] = outcomes(rule(**changes))
    assert isinstance(found, Failed)
    assert (found.rule.name, found.at) == ("a", at)
    assert found.problem


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0, True), (0.0, True), (1, True), (True, True), ("a", True), ([0], True), ({"a": 1}, True),
     (False, False), (None, False), ("", False), ([], False), ({}, False)],
)  # fmt: skip
def test_conditions_hold_as_jmespath_says(value: Any, expected: bool) -> None:
    """Zero is true there."""
    assert holds(value) is expected
