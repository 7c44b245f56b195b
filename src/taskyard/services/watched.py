"""A task with readers: what is new of it, in order, and who is told."""

from dataclasses import dataclass, field
from typing import Any

from taskyard.core.states import TERMINAL
from taskyard.services.readers import Reader
from taskyard.storage.streams import Event, Known, Look, News
from taskyard.storage.task_logs import LogLine

ENDED = "the task has ended"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an attempt says it is."""

    fraction: float
    message: str


Item = Event | LogLine | Progress


@dataclass(slots=True)
class Watched:
    """A task with readers, and how far all of them have been told."""

    known: Known
    progress: dict[str, Any] | None
    readers: set[Reader[Item]] = field(default_factory=set)


def is_behind(known: Known, look: Look) -> bool:
    """Return whether a look shows more than is known."""
    return look.seq > known.seq or look.line > known.line


def tell(watched: Watched, look: Look, news: News) -> None:
    """Tell all readers of a task what is new, and end them with it."""
    progress = look.progress if look.progress != watched.progress else None
    watched.progress = look.progress
    for item in in_order(news, progress):
        for reader in watched.readers:
            reader.offer(item)
    watched.known = Known(
        max([watched.known.seq, *(event.seq for event in news.events)]),
        max([watched.known.line, *(line.number for line in news.lines)]),
    )
    if look.ended and watched.known.seq >= look.seq:
        end_readers(watched, ENDED)


def end_readers(watched: Watched, why: str) -> None:
    """Let nothing more come to any reader of a task."""
    for reader in watched.readers:
        reader.end(why)


def in_order(news: News, progress: dict[str, Any] | None) -> list[Item]:
    """Return what is new in the order of time; the progress stands before the end."""
    dated: list[Event | LogLine] = sorted([*news.lines, *news.events], key=lambda item: item.at)
    items: list[Item] = [*dated]
    if progress:
        last = items[-1] if items else None
        ended = isinstance(last, Event) and last.state in TERMINAL
        items.insert(len(items) - ended, Progress(**progress))
    return items
