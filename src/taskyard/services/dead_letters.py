"""Dead letters: which ones are meant."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from taskyard.core.states import State
from taskyard.storage import dead_letters
from taskyard.storage.dead_letters import Criteria

Instant = Annotated[datetime, Meta(tz=True)]


class DeadLetterFilter(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Which dead letters are meant; what is not given does not matter."""

    type: str | None = None
    pool: str | None = None
    state: Literal["failed", "expired", "quarantined"] | None = None
    code: str | None = None
    labels: dict[str, str] = {}
    finished_after: Instant | None = None
    finished_before: Instant | None = None

    def criteria(self) -> Criteria:
        """Return the same for the database."""
        return Criteria(
            type=self.type,
            pool=self.pool,
            state=State(self.state) if self.state else None,
            code=self.code,
            labels=dead_letters.labels_text(self.labels),
            finished_after=self.finished_after,
            finished_before=self.finished_before,
        )
