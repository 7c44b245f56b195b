"""The deployments of Taskyard that are measured: pools, each with one task that does nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from taskyard.core.routing import Execution

_MODULE = '''"""The task of the pool {name}."""

from taskyard import task


@task("{name}.noop")
{begin} noop(n: int, data: str = "") -> dict[str, int | str]:
    """Do nothing."""
    return {{"n": n, "data": data}}
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchPool:
    """A pool. Its prefetch is Celery's own default, which the peers have too.

    With a `window`, the broker holds so many wake-ups, as it holds all of a peer's messages.
    """

    name: str
    execution: str = "processes"
    concurrency: int = 4
    prefetch: int = 4
    window: int | None = None

    @property
    def task_type(self) -> str:
        """The type of its task."""
        return f"{self.name}.noop"

    @property
    def entry(self) -> str:
        """Its entry in pools.toml."""
        values = {
            "tasks": [self.task_type],
            "modules": [f"bench_{self.name}"],
            "execution": self.execution,
            "concurrency": self.concurrency,
            "prefetch": self.prefetch,
            **({} if self.window is None else {"window": self.window}),
        }
        lines = [f"[{self.name}]", *(f"{key} = {json.dumps(each)}" for key, each in values.items())]
        return "\n".join(lines) + "\n"


def can_run_asyncio() -> bool:
    """Return whether this version has pools of asyncio tasks."""
    return "asyncio" in {each.value for each in Execution}


def write(folder: Path, pools: Sequence[BenchPool]) -> tuple[Path, Path]:
    """Write a routing folder and a folder of task code; return both."""
    routing, workers = (folder / "routing").resolve(), (folder / "workers").resolve()
    for each in (routing, workers):
        each.mkdir(parents=True, exist_ok=True)
    (routing / "pools.toml").write_text("\n".join(pool.entry for pool in pools))
    (routing / "tasks.toml").write_text('["*.noop"]\ntimeout = "30s"\n')
    for pool in pools:
        begin = "async def" if pool.execution == "asyncio" else "def"
        text = _MODULE.format(name=pool.name, begin=begin)
        (workers / f"bench_{pool.name}.py").write_text(text)
    return routing, workers
