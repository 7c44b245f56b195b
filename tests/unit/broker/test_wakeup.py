"""broker/wakeup.py: what a message says, and what is none."""

from typing import Any
from uuid import UUID, uuid4

import celery
import pytest
from celery.worker.request import Request
from hypothesis import given
from hypothesis import strategies as st

from taskyard.broker import wakeup
from taskyard.core.task import TaskId
from taskyard.core.wakeup import WakeUp

GOOD = {"task": "a.b", "id": str(uuid4()), "lang": "py"}
SOUND = (GOOD, wakeup.CONTENT_TYPE, wakeup.CONTENT_ENCODING, wakeup.BODY)

# Text with lone surrogates, too: a header may hold any bytes.
TEXT = st.text(st.characters(exclude_categories=()), max_size=40)
JUNK = st.recursive(
    st.none() | st.integers() | st.floats() | TEXT | st.binary(max_size=12) | st.booleans(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
HEADERS = JUNK | st.fixed_dictionaries(
    {}, optional={"task": JUNK | st.just("a.b"), "id": JUNK | st.uuids().map(str), "eta": JUNK}
)
WAKEUPS = st.builds(
    WakeUp,
    id=st.uuids().map(TaskId),
    type=st.text(st.characters(codec="utf-8"), min_size=1, max_size=255),
    priority=st.integers(0, 9),
)


@given(WAKEUPS)
def test_an_envelope_is_a_wake_up_and_holds_no_user_data(woken: WakeUp) -> None:
    """Id, type and priority, nothing else; and the worker takes it for what it is."""
    sealed = wakeup.envelope(woken)
    assert (sealed.routing_key, sealed.priority) == (woken.type, woken.priority)
    task_id = str(woken.id)
    headers = {"lang": "py", "task": woken.type, "id": task_id, "root_id": task_id}
    assert (sealed.headers, sealed.correlation_id) == (headers, task_id)
    assert wakeup.fault(headers, *SOUND[1:]) is None


@pytest.mark.parametrize(
    ("headers", "content_type", "encoding", "body", "why"),
    [
        (None, "application/json", "utf-8", wakeup.BODY, "no headers"),
        ([("task", "a.b")], "application/json", "utf-8", wakeup.BODY, "no headers"),
        ({}, "application/json", "utf-8", wakeup.BODY, "`task`"),
        ({**GOOD, "task": ""}, "application/json", "utf-8", wakeup.BODY, "`task`"),
        ({**GOOD, "task": b"a.b"}, "application/json", "utf-8", wakeup.BODY, "`task`"),
        ({**GOOD, "task": "x" * 256}, "application/json", "utf-8", wakeup.BODY, "`task`"),
        ({"task": "a.b"}, "application/json", "utf-8", wakeup.BODY, "`id`"),
        ({**GOOD, "id": "no-uuid"}, "application/json", "utf-8", wakeup.BODY, "`id`"),
        ({**GOOD, "id": 5}, "application/json", "utf-8", wakeup.BODY, "`id`"),
        ({**GOOD, "id": uuid4().hex}, "application/json", "utf-8", wakeup.BODY, "`id`"),
        ({**GOOD, "id": "٣" * 32}, "application/json", "utf-8", wakeup.BODY, "`id`"),
        (GOOD, "application/x-python-serialize", "binary", wakeup.BODY, "application/json"),
        (GOOD, "application/json", "latin-1", wakeup.BODY, "utf-8"),
        (GOOD, None, None, wakeup.BODY, "application/json"),
        (GOOD, "application/json", "utf-8", b"", "body"),
        (GOOD, "application/json", "utf-8", b"[]", "body"),
        (GOOD, "application/json", "utf-8", b'[["x"], {}, {}]', "body"),
        (GOOD, "application/json", "utf-8", b"\xff", "body"),
        (GOOD, "application/json", "utf-8", None, "body"),
    ],
)
def test_what_is_no_wake_up_has_a_fault_in_words(
    headers: object, content_type: object, encoding: object, body: object, why: str
) -> None:
    """The sentence goes into the log, and says which part is at fault."""
    assert why in (wakeup.fault(headers, content_type, encoding, body) or "")


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, bytes.decode])
def test_a_body_may_come_in_any_wrapping(kind: Any) -> None:
    """Transports hand out bytes, views of them, or text."""
    assert wakeup.fault(*SOUND[:3], kind(wakeup.BODY)) is None


@given(HEADERS, JUNK | st.just(SOUND[1]), JUNK | st.just(SOUND[2]), JUNK | st.just(SOUND[3]))
def test_no_junk_makes_it_raise(headers: Any, content_type: Any, encoding: Any, body: Any) -> None:
    """Whatever arrives, the worker lives; and what passes has an id and a type to claim with."""
    if wakeup.fault(headers, content_type, encoding, body) is None:
        assert str(UUID(headers["id"])) == headers["id"]
        assert 0 < len(headers["task"]) <= 255


@pytest.mark.parametrize("place", range(4))
@given(junk=JUNK)
def test_one_bad_part_is_enough(place: int, junk: Any) -> None:
    """Junk in a single place is found, whatever it is."""
    arguments = [*SOUND[:place], junk, *SOUND[place + 1 :]]
    assert wakeup.fault(*arguments) is not None


def test_celery_reads_no_arguments_and_no_options_from_it() -> None:
    """Through kombu's decoder and Celery's own request: id and name, nothing to wait for."""
    app = celery.Celery("reader", set_as_current=False)

    @app.task(name="a.b")  # type: ignore[untyped-decorator]
    def sleeper() -> None: ...

    sealed = wakeup.envelope(WakeUp(id=TaskId(uuid4()), type="a.b", priority=7))
    with app.connection_for_read("memory://") as connection:
        queue = connection.SimpleQueue("wakeups")
        queue.producer.publish(
            wakeup.BODY,
            headers=sealed.headers,
            content_type=wakeup.CONTENT_TYPE,
            content_encoding=wakeup.CONTENT_ENCODING,
            correlation_id=sealed.correlation_id,
            priority=sealed.priority,
        )
        message = queue.get(block=False)
        assert message.decode() == [[], {}, {}]
        request = Request(message, app=app, task=sleeper)
        assert (request.name, request.id) == ("a.b", sealed.correlation_id)
        assert request.root_id == request.correlation_id == request.id
        assert (request.args, request.kwargs) == ([], {})
        assert (request.eta, request.expires, request.time_limits) == (None, None, (None, None))
        queue.close()
