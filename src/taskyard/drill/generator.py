"""The client of a drill: submits concurrently, repeats what it may, and logs what it was told."""

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from taskyard.drill.history import WAIT, Entry, Kind
from taskyard.drill.mix import Mix

LABEL = "drill"  # the label that holds a submission's number

_CONCURRENCY = 12
_BATCH_EVERY, _BATCH_SIZE = 25, 10  # numbers
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
    items: tuple[dict[str, Any], ...] = ()  # of a batch


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One submission."""

    number: int
    type: str
    key: str | None
    body: dict[str, Any]


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
                if number % _BATCH_EVERY == 0:
                    batch = [number, *itertools.islice(numbers, _BATCH_SIZE - 1)]
                    await self._submit_batch([self._wish(each) for each in batch])
                else:
                    await self._submit_one(self._wish(number))

        async with asyncio.TaskGroup() as clients:
            for _ in range(_CONCURRENCY):
                clients.create_task(client())

    def _wish(self, number: int) -> Wish:
        """Return the submission of a number: the same for a seed, however often it is asked."""
        chance = random.Random(f"{self._seed}:{number}")  # noqa: S311 - a drill is repeatable
        task_type, portion = self._mix.choose(chance)
        return Wish(
            number=number,
            type=task_type,
            key=f"drill-{self._seed}-{number}" if chance.random() < _KEYED else None,
            body={
                "type": task_type,
                "args": portion.args,
                "labels": {LABEL: f"{self._seed}-{number}"},
                **portion.options,
            },
        )

    async def _submit_one(self, wish: Wish) -> None:
        """Ask until the outcome is definite; without a key only once, since it may not be said."""
        deadline = time.monotonic() + _REPEATS_FOR
        headers = {} if wish.key is None else {"Idempotency-Key": wish.key}
        while True:
            self._log(wish, Answer(kind=Kind.INVOKE))
            answer = await self._ask("/v1/tasks", wish.body, headers)
            self._log(wish, answer)
            if answer.kind is Kind.OK:
                return
            await asyncio.sleep(_AFTER_TROUBLE)  # as a polite client does
            if not _may_repeat(wish, answer) or time.monotonic() > deadline:
                return

    async def _submit_batch(self, wishes: Sequence[Wish]) -> None:
        """Ask for many at once; what is not definite then is asked for one by one."""
        for wish in wishes:
            self._log(wish, Answer(kind=Kind.INVOKE))
        items = [
            wish.body if wish.key is None else wish.body | {"idempotency_key": wish.key}
            for wish in wishes
        ]
        whole = await self._ask("/v1/tasks/batch", {"tasks": items}, {})
        answers = [_of_item(item) for item in whole.items] or [whole] * len(wishes)
        for wish, answer in zip(wishes, answers, strict=True):
            self._log(wish, answer)
        for wish, answer in zip(wishes, answers, strict=True):
            if answer.kind is not Kind.OK and _may_repeat(wish, answer):
                await self._submit_one(wish)

    async def _ask(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Answer:
        try:
            response = await self._http.post(path, json=body, headers=headers)
            told = response.json()
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout):
            return Answer(kind=Kind.FAIL, again=True)  # it was never sent
        except (httpx.TransportError, ValueError):
            return Answer(kind=Kind.UNKNOWN)
        return judge(response.status_code, told)

    def _log(self, wish: Wish, answer: Answer) -> None:
        if answer.kind is not Kind.INVOKE:
            self.answered += 1
            self._heard.set()
        self.entries.append(
            Entry(
                number=wish.number,
                kind=answer.kind,
                type=wish.type,
                at=time.monotonic(),
                key=wish.key,
                status=answer.status,
                task_id=answer.task_id,
                said=answer.said,
            )
        )


def judge(status: int, told: dict[str, Any]) -> Answer:
    """Return what an answer of the API means: only 202, 4xx and most 503 are definite."""
    if status == 202:
        items = tuple(told.get("items", ()))
        return Answer(kind=Kind.OK, status=status, task_id=told.get("id"), items=items)
    said = told.get("detail")
    if status == 503 and told.get("code") != "outcome-unknown":
        return Answer(kind=Kind.FAIL, status=status, again=True, said=said)
    if status < 500:
        return Answer(kind=Kind.FAIL, status=status, again=status in WAIT, said=said)
    return Answer(kind=Kind.UNKNOWN, status=status)


def _of_item(item: dict[str, Any]) -> Answer:
    error = item.get("error")
    return judge(202, item) if error is None else judge(error["status"], error)


def _may_repeat(wish: Wish, answer: Answer) -> bool:
    definite = answer.kind is Kind.FAIL and not answer.again
    return wish.key is not None and not definite


@asynccontextmanager
async def open_generator(url: str, *, key: str, mix: Mix, seed: int) -> AsyncIterator[Generator]:
    """Open the client of one seed."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=url, timeout=_TIMEOUT, headers=headers) as http:
        yield Generator(http, mix=mix, seed=seed)
