"""The client of a drill: submits concurrently, repeats what it may, and logs what it was told."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from taskyard.drill.history import WAIT, Entry, Kind
from taskyard.drill.mix import Mix

LABEL = "drill"  # the label that holds a submission's number

_CONCURRENCY = 12
_KEYED = 0.7  # the share of submissions with an Idempotency-Key
_TIMEOUT = 20.0
_REPEATS_FOR = 90.0
_AFTER_TROUBLE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one request came to."""

    kind: Kind
    status: int | None = None
    task_id: str | None = None
    again: bool = False  # a refusal that may be repeated
    said: str | None = None


class Generator:
    """Submits the tasks of one seed. Opened by `open_generator`."""

    def __init__(self, http: httpx.AsyncClient, *, mix: Mix, seed: int) -> None:
        self._http = http
        self._mix = mix
        self._seed = seed
        self._next = 0
        self._heard = asyncio.Event()
        self.entries: list[Entry] = []
        self.answered = 0  # how many answers there were so far, of whatever kind

    async def reach(self, answered: int) -> None:
        """Return once there were so many answers."""
        while self.answered < answered:
            self._heard.clear()
            await self._heard.wait()

    async def submit(self, count: int) -> None:
        """Submit so many tasks, some at a time; return once each has its outcome."""
        numbers = iter(range(self._next, self._next + count))
        self._next += count

        async def client() -> None:
            for number in numbers:
                await self._submit_one(number)

        async with asyncio.TaskGroup() as clients:
            for _ in range(_CONCURRENCY):
                clients.create_task(client())

    async def _submit_one(self, number: int) -> None:
        """Ask until the outcome is definite; without a key only once, since it may not be said."""
        chance = random.Random(f"{self._seed}:{number}")  # noqa: S311 - a drill is repeatable
        task_type, portion = self._mix.choose(chance)
        key = f"drill-{self._seed}-{number}" if chance.random() < _KEYED else None
        body = {
            "type": task_type,
            "args": portion.args,
            "labels": {LABEL: f"{self._seed}-{number}"},
            **portion.options,
        }
        deadline = time.monotonic() + _REPEATS_FOR
        while True:
            self._log(number, task_type, key, Answer(kind=Kind.INVOKE))
            answer = await self._ask(body, key)
            self._log(number, task_type, key, answer)
            if answer.kind is Kind.OK:
                return
            await asyncio.sleep(_AFTER_TROUBLE)  # as a polite client does
            definite = answer.kind is Kind.FAIL and not answer.again
            if key is None or definite or time.monotonic() > deadline:
                return

    async def _ask(self, body: dict[str, Any], key: str | None) -> Answer:
        headers = {} if key is None else {"Idempotency-Key": key}
        try:
            response = await self._http.post("/v1/tasks", json=body, headers=headers)
            told = response.json()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            return Answer(kind=Kind.FAIL, again=True)  # it was never sent
        except (httpx.TransportError, ValueError):
            return Answer(kind=Kind.UNKNOWN)
        return judge(response.status_code, told)

    def _log(self, number: int, task_type: str, key: str | None, answer: Answer) -> None:
        if answer.kind is not Kind.INVOKE:
            self.answered += 1
            self._heard.set()
        self.entries.append(
            Entry(
                number=number,
                kind=answer.kind,
                type=task_type,
                at=time.monotonic(),
                key=key,
                status=answer.status,
                task_id=answer.task_id,
                said=answer.said,
            )
        )


def judge(status: int, told: dict[str, Any]) -> Answer:
    """Return what an answer of the API means: only 202, 4xx and most 503 are definite."""
    if status == 202:
        return Answer(kind=Kind.OK, status=status, task_id=told.get("id"))
    said = told.get("detail")
    if status == 503 and told.get("code") != "outcome-unknown":
        return Answer(kind=Kind.FAIL, status=status, again=True, said=said)
    if status < 500:
        return Answer(kind=Kind.FAIL, status=status, again=status in WAIT, said=said)
    return Answer(kind=Kind.UNKNOWN, status=status)


@asynccontextmanager
async def open_generator(url: str, *, mix: Mix, seed: int) -> AsyncIterator[Generator]:
    """Open the client of one seed."""
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT) as http:
        yield Generator(http, mix=mix, seed=seed)
