"""services/idempotency.py: which requests are the same."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard import strict_json
from taskyard.api.views import BatchSubmission
from taskyard.services.idempotency import request_hash
from taskyard.services.submit import Submission

ORDER = '{"type":"a.b","args":{"x":1,"y":{"p":[1,2],"q":"ü"}},"labels":{"k":"v","l":"w"}}'


def hashed(text: str) -> str:
    """The hash of a body, as the API decodes it."""
    return request_hash(msgspec.convert(strict_json.decode(text.encode()), Submission)).hex()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ORDER, '{"labels":{"l":"w","k":"v"}, "args":{"y":{"q":"\\u00fc","p":[1,2]},"x":1},'
                ' "type":"a.b"}'),
        ('{"type":"a"}', '{"type":"a","args":{},"labels":{},"priority":null,"delay":null}'),
        ('{"type":"a","run_at":"2030-01-01T12:00:00Z"}',
         '{"type":"a","run_at":"2030-01-01T14:00:00+02:00"}'),
        ('{"type":"a","args":{"x":100.0}}', '{"type":"a","args":{"x":1e2}}'),
    ],
)  # fmt: skip
def test_the_same_request_in_another_spelling_is_the_same(one: str, other: str) -> None:
    """Order of members, what is left out, white space, escapes, offsets."""
    assert hashed(one) == hashed(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ('{"type":"a","args":{"x":1}}', '{"type":"a","args":{"x":1.0}}'),
        ('{"type":"a","args":{"x":1}}', '{"type":"a","args":{"x":true}}'),
        ('{"type":"a","args":{"x":"1"}}', '{"type":"a","args":{"x":1}}'),
        ('{"type":"a","args":{"x":9007199254740993}}',
         '{"type":"a","args":{"x":9007199254740992}}'),
        ('{"type":"a","args":{"x":[1,2]}}', '{"type":"a","args":{"x":[2,1]}}'),
        ('{"type":"a","args":{"x":null}}', '{"type":"a"}'),
        ('{"type":"a","priority":0}', '{"type":"a"}'),
        ('{"type":"a","delay":"60s"}', '{"type":"a","delay":"1m"}'),
        ('{"type":"a","delay":"60s"}', '{"type":"a","expires_in":"60s"}'),
        ('{"type":"a"}', '{"type":"b"}'),
        ('{"type":"a","labels":{"x":"y"}}', '{"type":"a","args":{"x":"y"}}'),
    ],
)  # fmt: skip
def test_another_request_is_another(one: str, other: str) -> None:
    """Whatever a task or its dispatch could tell apart."""
    assert hashed(one) != hashed(other)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=5)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=10,
)  # fmt: skip


@given(st.dictionaries(st.text(max_size=5), _JSON))
def test_no_order_of_members_at_any_depth_matters(args: dict[str, object]) -> None:
    """Also of those whose keys are not ASCII."""
    assert request_hash(Submission(type="a", args=args)) == request_hash(
        Submission(type="a", args=_reversed(args))
    )


def _reversed(value: object) -> object:
    if isinstance(value, dict):
        return {key: _reversed(value[key]) for key in reversed(value)}
    return [_reversed(item) for item in value] if isinstance(value, list) else value


def test_the_hash_of_an_item_is_that_of_the_same_request_alone() -> None:
    """An item's own key is not part of what it asks for."""
    item = BatchSubmission(type="a", args={"x": 1}, idempotency_key="k")
    assert request_hash(item) == request_hash(Submission(type="a", args={"x": 1}))


def test_the_hash_stays_what_it_was() -> None:
    """Keys live for weeks, over upgrades: another form would turn repeats into refusals."""
    known = "2e8b22419a01ddf5bbf7321abaaf93d05dda1f90bbf4d0d8da5dac7d075b6eb5"
    assert hashed(ORDER) == known
