"""core/topics.py against a matcher so simple that it cannot be wrong."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.core import topics

WORD = st.sampled_from(["a", "b", ""])
KEY = st.lists(WORD, max_size=5).map(".".join)
SOUND = st.lists(st.sampled_from(["a", "b", "*", "#"]), min_size=1, max_size=5).map(".".join)
PATTERN = st.lists(st.sampled_from(["a", "b", "", "*", "#"]), max_size=5).map(".".join)


def naive(pattern: tuple[str, ...], key: tuple[str, ...]) -> bool:
    if not pattern:
        return not key
    if pattern[0] == "#":
        return any(naive(pattern[1:], key[i:]) for i in range(len(key) + 1))
    return bool(key) and pattern[0] in ("*", key[0]) and naive(pattern[1:], key[1:])


@given(PATTERN, KEY)
def test_matches_as_amqp_defines_it(pattern: str, key: str) -> None:
    """Any pattern and key agree with the definition written down word for word."""
    assert topics.matches(pattern, key) == naive(topics.words(pattern), topics.words(key))


@pytest.mark.parametrize(
    ("pattern", "key", "expected"),
    [
        ("image.*", "image.thumbnail", True),
        ("image.*", "image", False),
        ("image.#", "image", True),
        ("#.created", "upload.photo.created", True),
        ("*.*", ".", True),
        ("*", "", False),
        ("#", "", True),
    ],
)
def test_known_cases(pattern: str, key: str, expected: bool) -> None:
    """Cases one meets."""
    assert topics.matches(pattern, key) is expected


@given(SOUND, SOUND)
def test_a_common_key_is_matched_by_both(one: str, other: str) -> None:
    """Where two patterns are said to share a key, both match it."""
    key = topics.common_key(one, other)
    if key is not None:
        assert topics.matches(one, key)
        assert topics.matches(other, key)


@given(SOUND, SOUND, KEY)
def test_no_common_key_means_no_key_at_all(one: str, other: str, key: str) -> None:
    """A key that both match is never overlooked."""
    if topics.matches(one, key) and topics.matches(other, key):
        assert topics.common_key(one, other) is not None


@pytest.mark.parametrize(
    ("pattern", "part"),
    [("", "empty"), ("a..b", "empty word"), ("a.b*", "whole words"), ("x" * 300, "255 bytes")],
)
def test_a_bad_pattern_is_told_in_words(pattern: str, part: str) -> None:
    """The sentence says what is wrong."""
    assert part in (topics.problem(pattern) or "")


@given(SOUND)
def test_a_good_pattern_has_no_problem(pattern: str) -> None:
    """Words and wildcards between dots are all there is to it."""
    assert topics.problem(pattern) is None


@given(SOUND, st.lists(st.sampled_from(["a", "b", "a+b"]), min_size=1, max_size=5).map(".".join))
def test_the_database_matches_as_the_broker_does(pattern: str, key: str) -> None:
    """The expression says of a key with a dot behind it what the pattern says of the key."""
    found = re.search(topics.as_regex(pattern), f"{key}.") is not None
    assert found == topics.matches(pattern, key)


@pytest.mark.parametrize("word", ["a.b", "+", "[", "]", "^", "\\", "$", "(|)", "ü", "a-b", "{1}"])
def test_no_word_of_a_pattern_is_taken_for_an_expression(word: str) -> None:
    """Whatever characters it has, it matches itself and nothing else."""
    assert re.search(topics.as_regex(word), f"{word}.")
    assert not re.search(topics.as_regex(word), "other.")
