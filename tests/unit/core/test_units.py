"""core/units.py: durations and sizes."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.core import units


@given(st.integers(1, 3650 * 86_400_000).map(lambda ms: timedelta(milliseconds=ms)))
def test_what_is_shown_is_read_back(span: timedelta) -> None:
    """show_duration and duration are each other's inverse."""
    assert units.duration(units.show_duration(span)) == span


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "5 s", "0s", "1e3s", "99999999d", "٣s", "5S"]
)
def test_anything_else_is_refused_in_words(text: str) -> None:
    """The sentence names the text."""
    with pytest.raises(ValueError, match="is "):
        units.duration(text)


def test_no_time_at_all_may_be_allowed() -> None:
    """A delay of 0s is a delay."""
    assert units.duration("0s", zero=True) == timedelta(0)


@pytest.mark.parametrize(("text", "expected"), [("512B", 512), ("256KiB", 262144), ("1MiB", 2**20)])
def test_sizes(text: str, expected: int) -> None:
    """Binary units, written out."""
    assert units.size(text) == expected


@pytest.mark.parametrize("text", ["", "0B", "5", "1MB", "1.5MiB", "-1B"])
def test_bad_sizes(text: str) -> None:
    """Anything else is refused."""
    with pytest.raises(ValueError, match="write a size"):
        units.size(text)
