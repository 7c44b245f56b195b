"""Follow: read the history of all tasks in its order, from any position on, without a gap.

A position is given out when a change is written and seen when its transaction commits, so a later
one may be seen first. A follower stops before a missing position until its transaction has ended;
a missing one whose transaction was undone, or whose task was removed, is passed over then.
"""

from taskyard.storage import changes
from taskyard.storage.changes import Change
from taskyard.storage.pool import AsyncConnection

# Whatever a long transaction of somebody else holds up: a change this old was committed long ago,
# and so was everything before it. A statement of ours may take 30 s.
_SETTLED_AFTER = 60.0


class Follower:
    """Where one reader of the history stands. `after` is the position it has read up to."""

    def __init__(self, after: int) -> None:
        self.after = after
        self._gap: tuple[int, int] | None = None  # where it waits, and for which transactions

    async def read(self, connection: AsyncConnection, *, limit: int) -> list[Change]:
        """Return the next changes, at most so many; none when there are none yet."""
        # Asked before the rows: what ends in between is seen in the next round, not passed over.
        horizon = await changes.horizon(connection)
        found: list[Change] = []
        for change in await changes.changes_after(connection, self.after, limit=limit):
            missing = self.after + 1
            if change.position != missing and not self._is_settled(change, missing, horizon):
                break
            self.after = change.position
            found.append(change)
        return found

    def _is_settled(self, change: Change, missing: int, horizon: changes.Horizon) -> bool:
        """Whether nobody can write any more what is missing before a change."""
        if change.age > _SETTLED_AFTER:
            return True
        if self._gap is None or self._gap[0] != missing:
            self._gap = (missing, horizon.begun)
            return False
        return horizon.ended >= self._gap[1]
