"""broker/wakeup.py: what a message says, and what is none."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.broker import wakeup
from taskyard.core.task import TaskId, WakeUp

GOOD = {"task": "a.b", "id": str(uuid4()), "lang": "py"}
JUNK = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.binary(max_size=5) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
)


def test_an_envelope_is_a_wake_up_and_holds_no_user_data() -> None:
    """Id, type and priority, nothing else."""
    task_id = TaskId(uuid4())
    sealed = wakeup.envelope(WakeUp(id=task_id, type="a.b", priority=7))
    assert (sealed.routing_key, sealed.priority) == ("a.b", 7)
    headers = {"lang": "py", "task": "a.b", "id": str(task_id), "root_id": str(task_id)}
    assert sealed.headers == headers
    arguments = (sealed.headers, wakeup.CONTENT_TYPE, wakeup.CONTENT_ENCODING, wakeup.BODY)
    assert wakeup.fault(*arguments) is None


@pytest.mark.parametrize(
    ("headers", "content_type", "encoding", "body"),
    [
        (None, "application/json", "utf-8", wakeup.BODY),
        ({}, "application/json", "utf-8", wakeup.BODY),
        ({**GOOD, "id": "no-uuid"}, "application/json", "utf-8", wakeup.BODY),
        ({**GOOD, "id": 5}, "application/json", "utf-8", wakeup.BODY),
        ({**GOOD, "task": ""}, "application/json", "utf-8", wakeup.BODY),
        ({**GOOD, "task": "x" * 300}, "application/json", "utf-8", wakeup.BODY),
        (GOOD, "application/x-python-serialize", "binary", wakeup.BODY),
        (GOOD, None, None, wakeup.BODY),
        (GOOD, "application/json", "utf-8", b"[]"),
        (GOOD, "application/json", "utf-8", b'[["x"], {}, {}]'),
        (GOOD, "application/json", "utf-8", b"\xff"),
    ],
)
def test_what_is_no_wake_up_has_a_fault_in_words(
    headers: object, content_type: object, encoding: object, body: object
) -> None:
    """The sentence goes into the log."""
    assert wakeup.fault(headers, content_type, encoding, body)


@given(JUNK, JUNK, JUNK, JUNK)
def test_no_junk_makes_it_raise(a: object, b: object, c: object, d: object) -> None:
    """Whatever arrives, the worker lives."""
    wakeup.fault(a, b, c, d)
    wakeup.fault(GOOD, b, c, d)
