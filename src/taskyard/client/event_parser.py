"""Server-sent events (HTML Living Standard, section 9.2.6): from bytes to events."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MOST_BYTES = 16 * 1024 * 1024  # of one line

# A CR at the very end may be half of a CRLF, so it ends a line only once more has come.
_LINE_END = re.compile(rb"\r\n|\n|\r(?!\Z)")


@dataclass(frozen=True, slots=True)
class Event:
    """One event as it came; a heartbeat, which is a comment, has no kind."""

    kind: str
    data: str
    id: str


@dataclass(slots=True)
class EventParser:
    """Cuts bytes into events, however they arrive."""

    last_id: str = ""  # of the last event that came whole
    retry: float | None = None  # seconds to wait before connecting again, as the server asks
    _rest: bytes = b""
    _kind: str = ""
    _id: str | None = None
    _data: list[str] = field(default_factory=list)

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """Yield the events that end in this chunk. Raises ValueError for one without an end."""
        self._rest += chunk
        *lines, self._rest = _LINE_END.split(self._rest)
        if len(self._rest) > MOST_BYTES:
            raise ValueError(f"a line of the stream has more than {MOST_BYTES} bytes")
        for line in lines:
            if event := self._take(line.decode("utf-8", "replace").removeprefix("\ufeff")):
                yield event

    def _take(self, line: str) -> Event | None:
        if not line:
            return self._end()
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "":
                return Event("", value, self.last_id)
            case "event":
                self._kind = value
            case "data":
                self._data.append(value)
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self.retry = int(value) / 1000
        return None

    def _end(self) -> Event | None:
        """An id counts from here on: half an event must come again, whole."""
        kind, data = self._kind or "message", "\n".join(self._data)
        if self._id is not None:
            self.last_id = self._id
        empty = not self._data
        self._kind, self._id, self._data = "", None, []
        return None if empty else Event(kind, data, self.last_id)
