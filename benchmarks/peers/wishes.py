"""What the FastAPI peers take: Pydantic checks it, as FastAPI's users do."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Args(BaseModel):
    """The arguments of the task that does nothing."""

    model_config = ConfigDict(extra="forbid", strict=True)

    n: int
    data: str = ""


class Wish(BaseModel):
    """One task."""

    type: Literal["bench.noop"]
    args: Args


class Wishes(BaseModel):
    """Many tasks."""

    tasks: list[Wish]


class Accepted(BaseModel):
    """The answer to one task."""

    id: str
    state: str = "pending"


class AllAccepted(BaseModel):
    """The answer to many."""

    accepted: int
    rejected: int = 0
    items: list[Accepted]


class Shown(BaseModel):
    """A task as it is now."""

    id: str
    state: str
    result: dict[str, int | str] | None = None
