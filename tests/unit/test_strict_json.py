"""strict_json.py: JSON without its traps."""

import json
import math
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.core.errors import InvalidRequest, MalformedBody
from taskyard.strict_json import decode, decode_lines

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
SCALAR = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | TEXT
    | st.floats(allow_nan=False, allow_infinity=False)
)  # fmt: skip
VALUE = st.recursive(
    SCALAR, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)
)


@given(VALUE, st.booleans())
def test_sound_json_is_read_as_it_is(value: object, ascii_only: bool) -> None:
    """Escaped or not, what went in comes out."""
    assert decode(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_else(body: bytes) -> None:
    """Every body has a value or one of two errors."""
    with suppress(MalformedBody, InvalidRequest):
        decode(body)


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b'{"a": NaN}', "/a"),
        (b'{"a": [1, -Infinity]}', "/a/1"),
        (b'{"a": 1, "b": 2, "a": 3}', "/a"),
        (b'{"x": {"k/~": {"d": 1, "d": 2}}}', "/x/k~1~0/d"),
        (b'{"a": "\\u0000"}', "/a"),
        (b'{"a": {"b": "\\ud800"}}', "/a/b"),
        (b'{"a": 9223372036854775808}', "/a"),
        (b'{"a": 1e400}', "/a"),
        (b'{"a": ' + b"9" * 5000 + b"}", "/a"),
    ],
)
def test_a_trap_is_pointed_at(body: bytes, pointer: str) -> None:
    """The fault has a JSON Pointer to the value."""
    with pytest.raises(InvalidRequest) as caught:
        decode(body)
    assert [fault.where for fault in caught.value.faults] == [pointer]


@pytest.mark.parametrize("depth", [33, 200, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    """However deep, the same clean error."""
    with pytest.raises(InvalidRequest):
        decode(b"[" * depth + b"]" * depth)
    with pytest.raises((InvalidRequest, MalformedBody)):
        decode(b"[NaN," + b"[" * depth)
    assert decode(b"[" * 32 + b"]" * 32)


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"{", b"\xef\xbb\xbf{}", b'{"a": "\xff"}', b"{'a': 1}", b"[1, {NaN"]
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    """Not JSON, not UTF-8, or nothing at all."""
    with pytest.raises(MalformedBody):
        decode(body)


def test_a_bad_line_spoils_no_other() -> None:
    """NDJSON gives a value or an error for each line that is not blank."""
    first, second, third = decode_lines(b'{"a": 1}\n\n{bad\n[NaN]\n')
    assert first == {"a": 1}
    assert isinstance(second, MalformedBody)
    assert isinstance(third, InvalidRequest)


def test_large_floats_stay_finite() -> None:
    """A double that can be held is kept."""
    assert math.isfinite(decode(b"[1.7976931348623157e308]")[0])
