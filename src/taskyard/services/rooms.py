"""Rooms: how many wake-ups more the broker may hold of each pool, as far as this process knows.

It is asked after publishing, never before: an empty system is not slowed down by it. In between
each process counts down for itself, so that several together may go beyond by a window each.
"""

import time

from taskyard.storage import windows
from taskyard.storage.pool import Pool, borrowed

_UNKNOWN = 16  # wake-ups: the room of a pool that nobody has looked at yet
_LOOK_EVERY = 0.05  # seconds between two looks at a pool without room
_TRUSTED = 0.1  # seconds in which a dispatcher that had work is believed to look again by itself


class _Room:
    """What is known of one pool. `left` is -1 while tasks wait for room."""

    def __init__(self) -> None:
        self.left, self.most = _UNKNOWN, _UNKNOWN
        self.seen_at = 0.0
        self.asked = False


class Rooms:
    """The rooms of the pools that this process stores tasks for."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._rooms: dict[str, _Room] = {}

    def take(self, pool: str) -> bool:
        """Take room for one wake-up of a pool; return False when there is none."""
        room = self._rooms.get(pool) or self._rooms.setdefault(pool, _Room())
        room.asked = True
        if room.left <= 0:
            return False
        room.left -= 1
        return True

    def is_filled(self, pool: str) -> bool:
        """Whether tasks of a pool wait for room, so that a dispatcher looks at it all the time."""
        room = self._rooms.get(pool)
        return room is not None and room.left < 0 and _age(room) < _TRUSTED

    async def look(self) -> None:
        """Look at the pools of which half the room was taken. Raises StorageUnavailable."""
        asked = [name for name, room in self._rooms.items() if room.asked and _runs_out(room)]
        if not asked:
            return
        async with borrowed(self._pool) as connection:
            found = await windows.rooms(connection, asked, unknown=_UNKNOWN)
        for name, left in found.items():
            room = self._rooms[name]
            room.left, room.most, room.seen_at, room.asked = left, left, time.monotonic(), False


def _age(room: _Room) -> float:
    return time.monotonic() - room.seen_at


def _runs_out(room: _Room) -> bool:
    return room.left * 2 <= room.most and (room.left > 0 or _age(room) >= _LOOK_EVERY)
