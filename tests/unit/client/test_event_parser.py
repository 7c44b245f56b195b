"""client/event_parser.py: server-sent events, as the standard has them."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taskyard.client import event_parser
from taskyard.client.event_parser import Event, EventParser

STREAM = (
    "\ufeffretry: 1500\n\n"
    "event: change\r\nid: 1\r\ndata: {\"a\":\r\ndata: \"\u2028ü\"}\r\n\r\n"
    ": still here\n"
    "event: progress\rdata:{}\r\r"
    "id: 7\0\nid: 2\nunknown: x\ndata\n\n"
    "event: nothing\n\n"
    "data:  two\n\n"
    "id: 9\ndata: cut o"
).encode()  # fmt: skip
EVENTS = [
    Event("change", '{"a":\n"\u2028ü"}', "1"),
    Event("", "still here", "1"),
    Event("progress", "{}", "1"),
    Event("message", "", "2"),
    Event("message", " two", "2"),
]


@given(st.lists(st.integers(0, len(STREAM)), max_size=40).map(sorted))
def test_events_are_the_same_however_the_bytes_arrive(cuts: list[int]) -> None:
    """All three line ends, cut anywhere, also within CRLF and within a letter."""
    parser = EventParser()
    edges = [0, *cuts, len(STREAM)]
    chunks = [STREAM[a:b] for a, b in pairwise(edges)]
    assert [event for chunk in chunks for event in parser.feed(chunk)] == EVENTS
    assert (parser.last_id, parser.retry) == ("2", 1.5)


def test_the_id_of_half_an_event_does_not_count() -> None:
    """After a break it must come again, whole."""
    parser = EventParser(last_id="4")
    assert list(parser.feed(b"id: 5\ndata: half\n")) == []
    assert parser.last_id == "4"
    assert list(parser.feed(b"\n")) == [Event("message", "half", "5")]
    assert parser.last_id == "5"


def test_a_line_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it fills the memory."""
    monkeypatch.setattr(event_parser, "MOST_BYTES", 100)
    parser = EventParser()
    assert list(parser.feed(b"data: " + b"x" * 94)) == []
    with pytest.raises(ValueError, match="more than 100 bytes"):
        list(parser.feed(b"x"))
