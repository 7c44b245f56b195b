"""ui.words and ui.tree: what pages say."""

import pytest

from taskyard.ui.tree import Node, tree_of
from taskyard.ui.words import first_line, show_seconds


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (-1, "0 ms"), (0.0123, "12 ms"), (0.0996, "0.1 s"), (3.14, "3.1 s"), (59.96, "1 min"),
        (75, "1 min 15 s"), (3599.9, "1 h"), (7260, "2 h 1 min"), (200_000, "2 d 7 h"),
    ],
)  # fmt: skip
def test_a_duration_has_two_units_at_most(seconds: float, shown: str) -> None:
    """And none that is rounded up to a whole one of the next."""
    assert show_seconds(seconds) == shown


def test_an_error_is_one_line() -> None:
    """Its code and how its message begins; there may be neither."""
    assert first_line({"code": "E", "message": "one\ntwo"}) == "E: one"
    assert first_line({"code": "E"}) == "E"
    assert first_line(None) == ""


def count(node: Node) -> int:
    return 1 + sum(map(count, node.children))


def test_a_tree_is_the_value() -> None:
    """Kinds, keys and texts, in order."""
    tree = tree_of({"a": [1, None, "x"], "b": {}, "c": True})
    assert (tree.kind, tree.text, tree.open) == ("object", "3 members", True)
    array, empty, word = tree.children
    assert [(each.key, each.kind, each.text) for each in array.children] == [
        ("0", "number", "1"), ("1", "word", "null"), ("2", "string", "x"),
    ]  # fmt: skip
    assert (empty.text, word.text) == ("{}", "true")


def test_a_tree_is_bounded_whatever_was_sent() -> None:
    """In nodes, in children, in depth and in letters, and it says what it leaves out."""
    wide = tree_of([[n] * 100 for n in range(1_000)])
    assert count(wide) <= 2_001
    assert wide.left_out == 1_000 - len(wide.children)
    deep: list[object] = []
    for _ in range(200):
        deep = [deep]
    assert count(tree_of(deep)) <= 40
    text = tree_of("x" * 6_000)
    assert (len(text.text), text.left_out) == (5_000, 1_000)
