"""core/idempotency.py: what is a key, in a header and in a body."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.client.requests import quoted
from taskyard.core.idempotency import LONGEST_BATCH_KEY, IdempotencyKey, read_header, read_key
from taskyard.core.principal import TenantId

OURS = TenantId("ours")


@pytest.mark.parametrize(
    ("value", "key"),
    [
        ('"order-1042"', "order-1042"),
        ("order-1042", "order-1042"),
        ('"a \\"b\\" \\\\c"', 'a "b" \\c'),
        ("a,b; c=1", "a,b; c=1"),
        ("~", "~"),
        ("x" * 255, "x" * 255),
        ('"' + "x" * 255 + '"', "x" * 255),
    ],
)
def test_a_header_is_a_string_in_quotes_or_bare(value: str, key: str) -> None:
    """Both spellings are the same key."""
    assert read_header(value, tenant=OURS) == IdempotencyKey(key, OURS)


@pytest.mark.parametrize(
    "value",
    ["", '""', '"', '"a', '"a"b', '"a";p=1', '"a", "a"', '"\\a"', "ü", '"ü"', "a\tb", "\x7f",
     "a\n", "x" * 256, '"' + "x" * 256 + '"'],
)  # fmt: skip
def test_anything_else_is_refused(value: str) -> None:
    """Empty, half quoted, two strings, strange escapes, not ASCII, too long."""
    with pytest.raises(ValueError, match=r"must be 1 to 255|not one string in quotes"):
        read_header(value, tenant=OURS)


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=255))
def test_what_the_client_writes_is_read_back(text: str) -> None:
    """Quotes and backslashes are escaped."""
    assert read_header(quoted(text), tenant=OURS) == read_key(text, tenant=OURS)


def test_the_key_of_the_last_item_of_a_batch_is_a_key() -> None:
    """So that one item can be sent again alone."""
    longest = IdempotencyKey("x" * LONGEST_BATCH_KEY, OURS)
    derived = longest.of_item(9_999)
    assert read_key(derived.text, tenant=OURS) == derived
    with pytest.raises(ValueError, match="1 to 250"):
        read_header("x" * (LONGEST_BATCH_KEY + 1), tenant=OURS, longest=LONGEST_BATCH_KEY)
