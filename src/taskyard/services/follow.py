"""Follow: read the history of all tasks in its order, from any position on, without a gap.

A position is given out when a change is written and seen when its transaction commits, so a later
one may be seen first. A follower stops before a missing position until whoever might write it has
ended; a missing one whose transaction was undone, or whose task was removed, is passed over then.
"""

from taskyard.storage import changes
from taskyard.storage.changes import Change
from taskyard.storage.pool import AsyncConnection

# Whatever a long transaction of somebody else holds up: a change this old was committed long ago,
# and so was everything before it. A statement of ours may take 25 s.
_SETTLED_AFTER = 60.0


class Watermark:
    """The position up to which nothing can be written any more. It begins at 0."""

    def __init__(self) -> None:
        self.position = 0
        self._newest = 0
        self._awaited: frozenset[str] | None = None

    async def rise(self, connection: AsyncConnection) -> None:
        """Move on to what was the newest position, if whoever wrote then has ended.

        What is read after this is complete up to the watermark.
        """
        if self._awaited is None:
            return
        if self._awaited.isdisjoint(await changes.writers(connection)):
            self.position, self._awaited = self._newest, None

    async def aim(self, connection: AsyncConnection) -> None:
        """Await all who write now, unless earlier ones are awaited already."""
        if self._awaited is None:
            self._newest = await changes.newest_position(connection)
            # Asked after: whoever was given a lower position is among them, or has ended.
            self._awaited = await changes.writers(connection)


class Follower:
    """Where one reader of the history stands. `after` is the position it has read up to."""

    def __init__(self, after: int) -> None:
        self.after = after
        self._watermark = Watermark()

    async def read(self, connection: AsyncConnection, *, limit: int) -> list[Change]:
        """Return the next changes, at most so many; none when there are none yet."""
        await self._watermark.rise(connection)
        found: list[Change] = []
        for change in await changes.changes_after(connection, self.after, limit=limit):
            if change.position != self.after + 1 and not self._is_settled(change):
                await self._watermark.aim(connection)
                break
            self.after = change.position
            found.append(change)
        return found

    def _is_settled(self, change: Change) -> bool:
        """Whether nobody can write any more what is missing before a change."""
        return change.position <= self._watermark.position or change.age > _SETTLED_AFTER
