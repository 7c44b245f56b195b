"""storage/sealing.py: closed for one place, opened there and nowhere else."""

import json
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import DataError

from taskyard.core.errors import EncryptionKeyMissing, SealBroken
from taskyard.core.sealed import MARK, EncryptionKeys, Place, key_of
from taskyard.storage.sealing import NO_KEYS, KeyRing

ONE, TWO = b"1" * 32, b"2" * 32
OLD = KeyRing(EncryptionKeys(active="k1", secrets={"k1": ONE}))
ROTATED = KeyRing(EncryptionKeys(active="k2", secrets={"k2": TWO, "k1": ONE}))
YOUNG = KeyRing(EncryptionKeys(active="k2", secrets={"k2": TWO}))
LEAVING = KeyRing(EncryptionKeys(secrets={"k1": ONE}))
PLACE = Place("default", uuid4(), "args")
RINGS = pytest.mark.parametrize("ring", [NO_KEYS, OLD, ROTATED], ids=["none", "old", "rotated"])

words = st.text(st.characters(codec="utf-8", exclude_characters="\0"))
members = st.one_of(words, st.sampled_from([MARK, "value", "code", "message"]))
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**53), 2**53), words, st.just("1.k1.AAAA")
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(members, inner, max_size=3),
    max_leaves=8,
)


def stored(ring: KeyRing, value: Any, place: Place = PLACE) -> Any:
    """What comes back from a jsonb column."""
    return json.loads(ring.seal(msgspec.json.encode(value).decode(), place))


@given(value=values)
@RINGS
def test_what_was_sealed_opens_as_it_was(ring: KeyRing, value: Any) -> None:
    """Whatever a caller sends, also what looks like a sealed value, with keys and without."""
    assert ring.open(stored(ring, value), PLACE) == value


@given(text=words | st.builds('{{"$sealed":{}'.format, words))
@RINGS
def test_text_that_was_sealed_opens_as_it_was(ring: KeyRing, text: str) -> None:
    """Text columns hold the same form."""
    assert ring.open_text(ring.seal_text(text, PLACE), PLACE) == text


@given(data=st.binary() | st.builds(b'{"$sealed":'.__add__, st.binary()))
@RINGS
def test_bytes_that_were_sealed_open_as_they_were(ring: KeyRing, data: bytes) -> None:
    """What could not be read as an event is kept as it arrived."""
    assert ring.open_bytes(ring.seal_bytes(data, PLACE), PLACE) == data


@pytest.mark.parametrize(
    "value", [{MARK: "1.k1.AAAA"}, {MARK: False, "value": 1}, {"a": {MARK: "1.k1.AAAA"}}]
)
def test_what_a_caller_sends_is_never_taken_for_a_sealed_value(value: Any) -> None:
    """It is wrapped where it is stored plain, so later keys do not make it unreadable."""
    plain = stored(NO_KEYS, value)
    assert key_of(plain) is None
    assert ROTATED.open(plain, PLACE) == value


def test_rows_of_before_stay_readable() -> None:
    """Plain ones and those of an older key, side by side with those of the active one."""
    for ring in (NO_KEYS, OLD, ROTATED):
        assert ROTATED.open(stored(ring, {"x": 1}), PLACE) == {"x": 1}
    assert LEAVING.open(stored(OLD, {"x": 1}), PLACE) == {"x": 1}
    assert stored(LEAVING, {"x": 1}) == {"x": 1}


@pytest.mark.parametrize(
    "elsewhere",
    [
        PLACE._replace(tenant="other"),
        PLACE._replace(id=uuid4()),
        PLACE._replace(field="result"),
    ],
)
def test_a_value_that_was_moved_does_not_open(elsewhere: Place) -> None:
    """Not for another tenant, not for another task, not as another field."""
    with pytest.raises(SealBroken, match="belongs elsewhere"):
        OLD.open(stored(OLD, {"x": 1}), elsewhere)


@pytest.mark.parametrize("change", ["flip", "cut", "garbage", "version", "number"])
def test_a_value_that_was_changed_does_not_open(change: str) -> None:
    """One letter is enough."""
    mark = stored(OLD, {"x": 1})[MARK]
    last = "A" if mark[-8] != "A" else "B"
    changed: Any = {
        "flip": mark[:-8] + last + mark[-7:],
        "cut": mark[:20],
        "garbage": "1.k1.\u20ac",
        "version": "2" + mark[1:],
        "number": 7,
    }[change]
    with pytest.raises(SealBroken):
        OLD.open({MARK: changed}, PLACE)


def test_a_missing_key_is_named() -> None:
    """The sentence is what an operator needs: which key, for what, and where it should stand."""
    with pytest.raises(EncryptionKeyMissing) as caught:
        YOUNG.open(stored(OLD, {"x": 1}), PLACE)
    for part in ("'k1'", "args", str(PLACE.id), "TASKYARD_ENCRYPTION_KEYS"):
        assert part in caught.value.detail
    with pytest.raises(EncryptionKeyMissing):
        NO_KEYS.open(stored(OLD, {"x": 1}), PLACE)


def test_nothing_sealed_is_alike() -> None:
    """Who reads the database does not see that two values are the same, nor what they hold."""
    texts = {OLD.seal('{"x":"canary"}', PLACE) for _ in range(100)}
    assert len(texts) == 100
    assert not any("canary" in text for text in texts)


@RINGS
def test_members_beside_stay_plain_and_come_back(ring: KeyRing) -> None:
    """Dead letters are searched by the code of their error."""
    error = json.loads(ring.seal('{"message":"no"}', PLACE, beside='"code":"task-error"'))
    assert error["code"] == "task-error"
    assert ring.open(error, PLACE) == {"code": "task-error", "message": "no"}


def test_what_is_only_told_says_why_it_cannot_be_read() -> None:
    """An error whose key is gone keeps its code, and no stream ends because of it."""
    error = json.loads(OLD.seal('{"message":"no"}', PLACE, beside='"code":"task-error"'))
    told = YOUNG.told(error, PLACE)
    assert told["code"] == "task-error"
    assert "'k1'" in told["message"]
    assert "'k1'" in YOUNG.told_text(OLD.seal_text("words", PLACE), PLACE)


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        (r'"a\u0000b"', False),
        (r'"\\\u0000"', False),
        (r'"\\u0000"', True),
        (r'{"\u0000":1}', False),
        ('"plain"', True),
    ],
)
def test_what_postgres_would_refuse_is_refused_sealed_as_well(text: str, stored: bool) -> None:
    """Else it could never be stored plain again, and callers would hear another answer."""
    if stored:
        assert json.loads(OLD.plain(OLD.seal(text, PLACE), PLACE)) == json.loads(text)
    else:
        with pytest.raises(DataError):
            OLD.seal(text, PLACE)
