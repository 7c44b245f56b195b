"""`python -m benchmarks.dashboard`: what the dashboard costs with a million tasks.

Starts a Postgres of its own, fills it, counts its statistics, and starts one API on it; with --url
that of a database that is filled already. Prints how long each page and search takes, `/metrics`,
the first paint in Chromium, and what ten viewers cost Postgres.
"""

import asyncio
import os
import re
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Annotated

import httpx
import psutil
import psycopg
import typer
from playwright.sync_api import sync_playwright

from benchmarks.retention import new_database
from benchmarks.seed import Seeding, seed
from taskyard import bootstrap
from taskyard.core.principal import DEFAULT_TENANT, Scope
from taskyard.dev import postgres
from taskyard.dev.processes import free_port
from taskyard.services.keys import KeyWish
from taskyard.services.statistics import Counter, count_backlog
from taskyard.settings import load
from taskyard.storage.pool import open_pool

_VIEWERS = 10
_ROUTING = Path(__file__).parent / "deployment" / "routing"


def _searches() -> dict[str, str]:
    """Return the addresses that are measured, by what they are called."""
    now = datetime.now(UTC)
    day, hour = now - timedelta(days=3), timedelta(hours=1)
    return {
        "newest tasks": "/tasks",
        "a frequent type": "/tasks?type=image.thumbnail",
        "a type that no task has": "/tasks?type=no.such",
        "a frequent pool": "/tasks?pool=media",
        "a pool that no task has": "/tasks?pool=none",
        "a frequent type, succeeded": "/tasks?type=image.thumbnail&state=succeeded",
        "a frequent type, expired": "/tasks?type=image.thumbnail&state=expired",
        "succeeded": "/tasks?state=succeeded",
        "retrying": "/tasks?state=retrying",
        "quarantined": "/tasks?state=quarantined",
        "a rare label": "/tasks?label=order:order-4711",
        "a frequent label": "/tasks?label=team:team-3",
        "a label that no task has": "/tasks?label=team:none",
        "an hour three days ago": f"/tasks?after={day:%FT%R}&before={day + hour:%FT%R}",
        "before five days ago": f"/tasks?before={now - timedelta(days=5):%FT%R}",
        "rare words": "/tasks?error=10.0.0.17",
        "words of many errors": "/tasks?error=connection",
        "words of none": "/tasks?error=xyzzy",
        **{f"charts, the last {last}": f"/charts?last={last}" for last in ("1h", "24h", "7d")},
        "charts, the last 30d, as a table": "/charts?last=30d&table=rate",
        "charts of a pool, the last 30d": "/charts?last=30d&pool=media",
    }


def prepare(server: str, tasks: int) -> str:
    """Fill a new database, count what happened in it, and return its URL."""
    url = new_database(server)
    seed(url, Seeding(tasks=tasks, open=tasks // 10, until=datetime.now(UTC)))
    asyncio.run(_count(url))
    return url


async def _count(url: str) -> None:
    async with open_pool(url, name="benchmark", size=1) as pool:
        counter = Counter(pool, every=0.0)
        await counter.count()
        while await counter.count():
            pass
        await count_backlog(pool)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM (ANALYZE) statistics, statistic_totals")


@contextmanager
def api(url: str, folder: Path) -> Iterator[tuple[httpx.Client, psutil.Process]]:
    """Start one API process, and yield it with who has logged in. The broker is away."""
    port = free_port()
    environment = {
        "TASKYARD_DATABASE_URL": url, "TASKYARD_AMQP_URL": "amqp://nobody@127.0.0.1:9/none",
        "TASKYARD_ROUTING": str(_ROUTING), "TASKYARD_API_PORT": str(port),
        "TASKYARD_KEY_PEPPER": secrets.token_hex(32),
        "TASKYARD_SESSION_KEYS": secrets.token_hex(32),
    }  # fmt: skip
    wish = KeyWish(
        tenant=DEFAULT_TENANT, name="bench", scopes=frozenset({Scope.ADMIN}), created_by="bench"
    )
    key, _ = asyncio.run(bootstrap.create_key(load(environment), wish))
    argv = [sys.executable, "-m", "taskyard", "api"]
    with (folder / "api.log").open("wb") as log:
        process = subprocess.Popen(argv, env=os.environ | environment, stdout=log, stderr=log)
    try:
        base = f"http://127.0.0.1:{port}"
        with httpx.Client(base_url=base, timeout=60, headers={"Accept": "text/html"}) as browser:
            _wait(lambda: browser.get("/livez").is_success)
            log_in(browser, key)
            browser.headers["X-Key"] = key  # for those who follow
            yield browser, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def _wait(ask: Callable[[], bool], within: float = 60.0) -> None:
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        try:
            if ask():
                return
        except httpx.TransportError:
            pass
        time.sleep(0.1)
    raise TimeoutError("the API did not start")


def log_in(browser: httpx.Client, key: str) -> None:
    """Log in as a person does."""
    found = re.search(r'name="csrf" value="([^"]+)"', browser.get("/login").text)
    assert found
    answer = browser.post("/login", data={"csrf": found.group(1), "key": key})
    assert answer.status_code == 303, answer.text


@dataclass(frozen=True, slots=True)
class Meter:
    """Tells how much CPU time the API and Postgres have used, in milliseconds, since they began.

    A crowded machine makes everything slower, but hardly takes more of it.
    """

    api: psutil.Process
    connection: psycopg.Connection

    def read(self) -> tuple[float, float]:
        """Return both: of the API, and of Postgres."""
        server = psutil.Process(self.connection.info.backend_pid).parent()
        assert server is not None
        everybody = [self.api, *self.api.children(recursive=True)]
        return _spent(everybody), _spent([server, *server.children()])


def _spent(processes: Iterable[psutil.Process]) -> float:
    """Return what all threads of some processes have used, by the kernel's own account."""
    spent = 0
    for process in processes:
        for thread in Path(f"/proc/{process.pid}/task").glob("*/schedstat"):
            with suppress(OSError):  # it has ended meanwhile
                spent += int(thread.read_text().split()[0])
    return spent / 1e6


def measure(name: str, ask: Callable[[], httpx.Response], times: int, meter: Meter) -> None:
    """Print how many milliseconds a request takes, and how much CPU time; all must succeed."""
    ask().raise_for_status()  # the first warms up
    before, took = meter.read(), []
    for _ in range(times):
        began = time.perf_counter()
        ask().raise_for_status()
        took.append((time.perf_counter() - began) * 1000)
    api, database = ((b - a) / times for a, b in zip(before, meter.read(), strict=True))
    print(
        f"{name:34} p50 {statistics.median(took):6.1f} ms, at most {max(took):6.1f};"
        f" CPU: API {api:5.1f}, Postgres {database:5.1f} ms",
        flush=True,
    )


def pages(browser: httpx.Client, times: int, meter: Meter) -> None:
    """Measure each page, and `/metrics`."""
    newest = re.search(r'id="t-([0-9a-f-]{36})"', browser.get("/tasks?state=failed").text)
    assert newest
    addresses = _searches() | {"a task that failed": f"/tasks/{newest.group(1)}"}
    for name, path in addresses.items():
        measure(name, partial(browser.get, path), times, meter)
    bearer = {"Authorization": f"Bearer {browser.headers['X-Key']}", "Accept": "*/*"}
    measure("/metrics", partial(browser.get, "/metrics", headers=bearer), times * 3, meter)


async def _look(browser: httpx.AsyncClient, path: str) -> float:
    """Look at a page; return in how many seconds its script would look again."""
    answer = await browser.get(path, headers={"Accept": "text/html"})
    found = re.search(r'data-refresh="([0-9.]+)"', answer.raise_for_status().text)
    assert found
    return float(found.group(1))


def viewers(browser: httpx.Client, seconds: float, meter: Meter) -> None:
    """Print which share of a core Postgres uses while nobody looks, and while ten do."""
    before = meter.read()[1]
    time.sleep(seconds)
    idle = (meter.read()[1] - before) / 1000 / seconds
    for path in ("/tasks", "/tasks?error=connection", "/charts"):
        crowd = asyncio.run(_crowd(browser, path, seconds, meter))
        print(f"{_VIEWERS} viewers of {path:24} {crowd - idle:7.2%} of a core, beside {idle:.2%}")


async def _crowd(browser: httpx.Client, path: str, seconds: float, meter: Meter) -> float:
    """Let ten look again and again; return the share from when each has come on."""
    async with httpx.AsyncClient(
        base_url=browser.base_url, cookies=browser.cookies, timeout=60
    ) as together:
        waits = [await _look(together, path) for _ in range(_VIEWERS)]
        before, until = meter.read()[1], time.monotonic() + seconds
        await asyncio.gather(*(_stay(together, path, wait, until) for wait in waits))
        return (meter.read()[1] - before) / 1000 / seconds


async def _stay(browser: httpx.AsyncClient, path: str, wait: float, until: float) -> None:
    while time.monotonic() + wait < until:
        await asyncio.sleep(wait)
        wait = await _look(browser, path)
    await asyncio.sleep(max(until - time.monotonic(), 0))


def first_paint(browser: httpx.Client, times: int) -> None:
    """Print when Chromium shows something first, with nothing cached, as it measures it itself."""
    if (chromium := shutil.which("chromium")) is None:
        print("first paint: no chromium here")
        return
    base = str(browser.base_url)
    cookies = [
        {"name": each.name, "value": each.value, "url": base} for each in browser.cookies.jar
    ]
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for path in ("/tasks", "/charts"):
            took = []
            for _ in range(times + 1):
                with running.new_context(base_url=base) as context:
                    context.add_cookies(cookies)  # type: ignore[arg-type]
                    page = context.new_page()
                    page.goto(path)
                    page.wait_for_function(_PAINTED)
                    took.append(page.evaluate(f"({_PAINTED})()"))
            print(f"first paint of {path:21} {statistics.median(took[1:]):7.0f} ms")
        running.close()


_PAINTED = (
    "() => performance.getEntriesByName('first-contentful-paint').map((each) => each.startTime)[0]"
)


def main(
    url: Annotated[str | None, typer.Option(help="A database that `seed` has filled.")] = None,
    tasks: Annotated[int, typer.Option(help="How many tasks.", min=1000)] = 1_000_000,
    times: Annotated[int, typer.Option(help="How often each page is asked for.", min=2)] = 7,
    seconds: Annotated[float, typer.Option(help="For how long ten look.")] = 120.0,
) -> None:
    """Measure."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="taskyard-bench-")))
        folder.chmod(0o755)
        if url is None:
            server = postgres.spawn(folder)
            stack.callback(server.stop)
            server.wait_ready()
            url = prepare(server.url(), tasks)
        browser, process = stack.enter_context(api(url, folder))
        meter = Meter(process, stack.enter_context(psycopg.connect(url, autocommit=True)))
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        pages(browser, times, meter)
        first_paint(browser, times)
        viewers(browser, seconds, meter)


if __name__ == "__main__":
    typer.run(main)
