"""The peers: what each is made of, and how its tasks are counted."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import psycopg

from benchmarks.adapters.peer import Peer, Place, Recipe, start
from benchmarks.adapters.redis import RedisBooks, running_redis
from benchmarks.books import (
    Books,
    ProcrastinateBooks,
    ResultBooks,
    ResultTable,
    TalliedBooks,
    Tallies,
)

_CELERY = ("celery", "--app", "tasks", "worker", "--concurrency", "4", "--loglevel", "warning")

FLASK = Recipe(
    name="flask + celery + redis",
    code="flask_celery_redis",
    front=("gunicorn", "--no-control-socket", "--workers", "2", "service:app"),
    worker=_CELERY,
)
CELERY = Recipe(
    name="fastapi + celery + rabbitmq + database results",
    code="fastapi_celery",
    prepare=("python", "tasks.py"),
    worker=_CELERY,
)
TASKIQ = Recipe(
    name="fastapi + taskiq + rabbitmq + result table",
    code="fastapi_taskiq",
    prepare=("python", "results.py"),
    worker=("taskiq", "worker", "tasks:broker", "--workers", "4", "--log-level", "WARNING"),
)
PROCRASTINATE = Recipe(
    name="fastapi + procrastinate",
    code="fastapi_procrastinate",
    prepare=("procrastinate", "--app", "tasks.app", "schema", "--apply"),
    worker=("procrastinate", "--app", "tasks.app", "worker"),
    workers=4,
)
DRAMATIQ = Recipe(
    name="fastapi + dramatiq + rabbitmq, no results",
    code="fastapi_dramatiq",
    worker=("dramatiq", "tasks", "--processes", "4"),
    shows_results=False,
)

_RESULTS = {
    CELERY: ResultTable(
        name="celery_taskmeta",
        is_result="status = 'SUCCESS'",
        stored_at="date_done AT TIME ZONE 'UTC'",  # Celery keeps UTC without saying so
    ),
    TASKIQ: ResultTable(name="results", is_result="true", stored_at="at"),
}
_QUEUES = {CELERY: "celery", TASKIQ: "taskiq", DRAMATIQ: "bench"}

Opened = AbstractContextManager[Peer]
Opener = Callable[[Place, str, str], Opened]  # with the URLs of a database and a virtual host


@contextmanager
def _flask(place: Place, _database_url: str, _amqp_url: str) -> Iterator[Peer]:
    place.fresh_tallies(FLASK.code)
    with running_redis(place.folder) as port:
        books = RedisBooks(port=port, tallies=Tallies(place.tallies(FLASK.code)))
        variables = {"PEER_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        with start(FLASK, place, variables=variables, books=books) as peer:
            yield peer


@contextmanager
def _on_servers(recipe: Recipe, place: Place, database_url: str, amqp_url: str) -> Iterator[Peer]:
    place.fresh_tallies(recipe.code)
    variables = {"PEER_DATABASE_URL": database_url, "PEER_AMQP_URL": amqp_url}
    if recipe.prepare:
        place.run(recipe.code, recipe.prepare, variables)
    with psycopg.connect(database_url, autocommit=True) as database:
        books = _books(recipe, place, database, amqp_url)
        with start(recipe, place, variables=variables, books=books) as peer:
            yield peer


def _books(recipe: Recipe, place: Place, database: psycopg.Connection[Any], amqp_url: str) -> Books:
    if recipe is PROCRASTINATE:
        return ProcrastinateBooks(database=database)
    tallied = TalliedBooks(
        tallies=Tallies(place.tallies(recipe.code)),
        amqp_url=urlsplit(amqp_url),
        queue=_QUEUES[recipe],
    )
    if recipe not in _RESULTS:
        return tallied
    return ResultBooks(waiting=tallied, database=database, table=_RESULTS[recipe])


OPENERS: dict[str, Opener] = {
    "flask": _flask,
    "celery": partial(_on_servers, CELERY),
    "taskiq": partial(_on_servers, TASKIQ),
    "procrastinate": partial(_on_servers, PROCRASTINATE),
    "dramatiq": partial(_on_servers, DRAMATIQ),
}
