"""What every error is, and the families they belong to."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong at one place: a JSON Pointer (RFC 6901) or a file and key, and a sentence."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" if self.where else self.problem


class TaskyardError(Exception):
    """Something Taskyard can name went wrong."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, *, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults


class Refused(TaskyardError):
    """The request cannot be carried out as it stands. Nothing was stored and nothing will run."""

    code = "refused"
    title = "The request was refused"


class Unavailable(TaskyardError):
    """A part Taskyard needs does not answer now. Try again after `retry_after` seconds."""

    code = "unavailable"
    title = "Taskyard is not available at the moment"
    retry_after: int = 1


class Misconfigured(TaskyardError):
    """The deployment's own configuration is at fault; every fault is listed with its place."""

    code = "misconfigured"
    title = "The configuration is at fault"
