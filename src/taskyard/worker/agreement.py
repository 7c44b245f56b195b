"""Whether the routing table and the task code agree."""

from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from pathlib import Path

import celery

from taskyard.core.errors import Fault, Misconfigured
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.rules import Rule
from taskyard.core.topics import is_literal, matches
from taskyard.storage.task_types import Announcement
from taskyard.worker import signature
from taskyard.worker.app import import_tasks, put_on_path
from taskyard.worker.base import TaskyardTask


def describe(tasks: Iterable[celery.Task], pool: Pool) -> tuple[list[Announcement], list[Fault]]:
    """Return what a pool can run, and the faults of what it cannot.

    A fault is a task whose type does not reach this pool, that was not made with @taskyard.task,
    or whose arguments JSON has no form for.
    """
    found: list[Announcement] = []
    faults: list[Fault] = []
    for task in sorted(tasks, key=lambda task: str(task.name)):
        if not isinstance(task, TaskyardTask):
            faults.append(Fault(task.name, "is a plain Celery task; make it with @taskyard.task"))
        elif not any(matches(pattern, task.name) for pattern in pool.tasks):
            patterns = ", ".join(pool.tasks)
            faults.append(
                Fault(
                    task.name, f"is not matched by the patterns of pool {pool.name!r}: {patterns}"
                )
            )
        else:
            try:
                described = signature.schema(task.parameters)
            except Misconfigured as error:
                faults += error.faults
                continue
            doc = (task.__doc__ or "").strip()
            found.append(
                Announcement(type=task.name, pool=pool.name, description=doc, schema=described)
            )
    return found, faults


def announcements(app: celery.Celery, pool: Pool) -> list[Announcement]:
    """Return what the application of a pool can run. Raises Misconfigured with every fault."""
    found, faults = describe(app.tasks.values(), pool)
    if faults:
        raise Misconfigured(
            f"the task code of pool {pool.name!r} does not fit the routing table",
            faults=tuple(faults),
        )
    return found


def read_code(table: RoutingTable, folder: Path) -> tuple[list[Announcement], list[Fault]]:
    """Return what the workers of a deployment would announce, and every fault of it.

    Faults are modules that do not import, tasks that do not reach their own pool, and entries of
    the routing table that no task answers to.

    All pools are imported into this process, one after the other: a task belongs to the pool whose
    modules brought it.
    """
    put_on_path([folder])
    app = celery.Celery("taskyard.check", set_as_current=True)
    import_tasks(app, ())
    faults: list[Fault] = []
    known: set[str] = set()
    announced: list[Announcement] = []
    for pool in table.pools.values():
        for module in pool.modules:
            try:
                import_module(module)
            except Exception as error:
                where = f"pools.toml [{pool.name}] modules"
                faults.append(Fault(where, f"{module} does not import: {error!r}"))
        brought = set(app.tasks) - known
        known |= brought
        found, wrong = describe([app.tasks[name] for name in brought], pool)
        announced += found
        faults += wrong
        faults += _unanswered(pool, brought)
    faults += [
        Fault(f'tasks.toml ["{pattern}"]', "no task answers to it")
        for pattern in table.defaults
        if not any(matches(pattern, name) for name in known)
    ]
    return announced, [
        *faults,
        *_misfits(table.events.rules, {each.type: each for each in announced}),
    ]


def _unanswered(pool: Pool, brought: set[str]) -> Iterator[Fault]:
    for pattern in pool.tasks:
        if not any(matches(pattern, name) for name in brought):
            what = "task type" if is_literal(pattern) else "pattern"
            yield Fault(
                f"pools.toml [{pool.name}] tasks", f"no task answers to the {what} {pattern!r}"
            )


def _misfits(rules: Iterable[Rule], announced: Mapping[str, Announcement]) -> Iterator[Fault]:
    """Rules whose task would refuse every event: its type, or the names of its arguments."""
    for rule in rules:
        where = f"events.toml [[rule]] {rule.name!r}"
        if (task := announced.get(rule.task)) is None:
            yield Fault(f"{where} task", f"no task answers to {rule.task!r}")
            continue
        takes, needs = task.schema.get("properties", {}), task.schema.get("required", [])
        if task.schema.get("additionalProperties") is False:
            for name in rule.args.keys() - takes.keys():
                yield Fault(f"{where} args.{name}", f"{rule.task!r} takes no such argument")
        for name in sorted(set(needs) - rule.args.keys()):
            yield Fault(f"{where} args", f"{rule.task!r} needs the argument {name!r}")
