"""A client of the REST interface. It knows HTTP only.

with Client("http://127.0.0.1:8000") as client:
    task = client.submit("image.thumbnail", {"source": "inputs/photo.jpg"})
    print(client.wait(task["id"])["result"])
"""

import time
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

import httpx

ENDED = frozenset({"succeeded", "failed", "cancelled", "expired", "quarantined"})

Json = dict[str, Any]

_WAITS = (0.2, 1.0)  # seconds before a submission is sent a second and a third time


class TaskyardProblem(Exception):
    """The server refused: the members of its problem document (RFC 9457)."""

    def __init__(self, problem: Json) -> None:
        faults = "".join(f"\n  {e['pointer']}: {e['detail']}" for e in problem.get("errors", ()))
        super().__init__(f"{problem.get('detail') or problem.get('title')}{faults}")
        self.code: str = problem.get("code", "unknown")
        self.status: int = problem.get("status", 0)
        self.errors: list[Json] = problem.get("errors", [])


class Unreachable(Exception):
    """The server does not answer."""


class Client:
    """Talks to one server. Use it in a `with` statement."""

    def __init__(self, url: str, *, timeout: float = 30.0) -> None:
        self._http = httpx.Client(base_url=url, timeout=timeout)
        self._url = url

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._http.close()

    def submit(
        self,
        task_type: str,
        args: Mapping[str, Any] | None = None,
        *,
        idempotency_key: str | None = None,
        **options: Any,
    ) -> Json:
        """Submit a task: options are priority, delay, run_at, expires_in, deadline and labels.

        It is sent up to three times while the server does not answer or is not available, with the
        same idempotency key: a random one unless one is given.
        """
        given = {name: value for name, value in options.items() if value is not None}
        body = {"type": task_type, "args": args or {}, **given}
        return self._submit("/v1/tasks", body, idempotency_key)

    def submit_batch(
        self, tasks: Sequence[Mapping[str, Any]], *, idempotency_key: str | None = None
    ) -> Json:
        """Submit up to 10,000 tasks; each has an outcome of its own, in order.

        It is sent again as `submit` is; the key is that of the whole batch.
        """
        return self._submit("/v1/tasks/batch", {"tasks": list(tasks)}, idempotency_key)

    def get(self, task_id: str) -> Json:
        """Return a task."""
        return self._send("GET", f"/v1/tasks/{task_id}")

    def page(self, **filters: Any) -> Json:
        """Return one page of tasks: filters are type, state, pool, label, limit, cursor …."""
        given = {name: value for name, value in filters.items() if value is not None}
        return self._send("GET", "/v1/tasks", params=given)

    def list(self, **filters: Any) -> Iterator[Json]:
        """Yield tasks over all pages, newest first."""
        cursor: str | None = None
        while True:
            page = self.page(**filters, cursor=cursor)
            yield from page["items"]
            if (cursor := page["next_cursor"]) is None:
                return

    def cancel(self, task_id: str) -> Json:
        """Cancel a task; return the receipt (`prevented` or `interrupted`) and the task.

        Raises TaskyardProblem with code `too-late` when it has ended.
        """
        return self._send("POST", f"/v1/tasks/{task_id}/cancel")

    def replay(self, task_id: str, **changes: Any) -> Json:
        """Let a task that ended badly run again: changes are args and priority."""
        given = {name: value for name, value in changes.items() if value is not None}
        return self._send("POST", f"/v1/tasks/{task_id}/replay", given)

    def attempts(self, task_id: str) -> Json:
        """Return every attempt of a task, in order."""
        return self._send("GET", f"/v1/tasks/{task_id}/attempts")

    def dead_letters(self, **filters: Any) -> Json:
        """Return one page of dead letters: filters are type, pool, state, code, label …."""
        given = {name: value for name, value in filters.items() if value is not None}
        return self._send("GET", "/v1/dead-letters", params=given)

    def dead_letter_groups(self, **filters: Any) -> Json:
        """Return dead letters grouped by what went wrong, the largest group first."""
        given = {name: value for name, value in filters.items() if value is not None}
        return self._send("GET", "/v1/dead-letters/groups", params=given)

    def replay_dead_letters(self, which: Mapping[str, Any], **options: Any) -> Json:
        """Replay many dead letters: options are all, dry_run, rate (tasks a second) and limit."""
        given = {name: value for name, value in options.items() if value is not None}
        return self._send("POST", "/v1/dead-letters/replay", {"filter": dict(which), **given})

    def task_types(self) -> Json:
        """Return the task types, each with its JSON Schema."""
        return self._send("GET", "/v1/task-types")

    def pools(self) -> Json:
        """Return the pools: what waits, who consumes, what runs."""
        return self._send("GET", "/v1/pools")

    def explain(self, task_type: str) -> Json:
        """Return where a task type goes and why."""
        return self._send("POST", "/v1/routes/explain", {"type": task_type})

    def wait(self, task_id: str, *, timeout: float = 300.0) -> Json:
        """Return the task once it has ended. Raises TimeoutError."""
        deadline = time.monotonic() + timeout
        interval = 0.02
        while (task := self.get(task_id))["state"] not in ENDED:
            if time.monotonic() + interval > deadline:
                raise TimeoutError(f"the task is still {task['state']} after {timeout:g} s")
            time.sleep(interval)  # between two polls, longer each time
            interval = min(interval * 1.5, 1.0)
        return task

    def _submit(self, path: str, body: Json, key: str | None) -> Json:
        headers = {"Idempotency-Key": _quoted(key or str(uuid4()))}
        for wait in _WAITS:
            try:
                return self._send("POST", path, body, headers=headers)
            except Unreachable:
                pass
            except TaskyardProblem as problem:
                if problem.status != 503:
                    raise
            time.sleep(wait)
        return self._send("POST", path, body, headers=headers)

    def _send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        params: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        try:
            response = self._http.request(method, path, json=body, params=params, headers=headers)
        except httpx.TransportError as error:
            raise Unreachable(f"{self._url} does not answer: {error}") from error
        found: Json = response.json()
        if response.is_error:
            raise TaskyardProblem(found)
        return found


def _quoted(key: str) -> str:
    """Return a string as Structured Fields write it (RFC 9651, section 4.1.6)."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
