"""What may go wrong.

ClientError
├── TaskyardProblem   the server refused, and said why
├── Unreachable       no answer, for as long as the client had patience
└── Timeout           the task has not ended in time; also a TimeoutError
"""

from taskyard.client.documents import Fault, Problem, Task


class ClientError(Exception):
    """A request did not come to what was asked for."""


class TaskyardProblem(ClientError):
    """The server refused: what its problem document (RFC 9457) says.

    `code` is stable. An answer that Taskyard never gives, such as a proxy's page, has the code
    `unintelligible`.
    """

    def __init__(self, problem: Problem) -> None:
        faults = "".join(f"\n  {each.pointer}: {each.detail}" for each in problem.errors)
        super().__init__(f"{problem.detail or problem.title}{faults}")
        self.problem = problem

    @property
    def code(self) -> str:
        """The stable code, such as `task-not-found`."""
        return self.problem.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Every faulty field."""
        return self.problem.errors


class Unreachable(ClientError):
    """The server does not answer. What was asked may have been done all the same."""


class Timeout(ClientError, TimeoutError):
    """The task has not ended in time: it is still there, as it was when last seen."""

    def __init__(self, task: Task, seconds: float) -> None:
        super().__init__(f"the task {task.id} is still {task.state} after {seconds:g} s")
        self.task = task
