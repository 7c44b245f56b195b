"""The Celery application of one pool."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import celery
from kombu import Queue

from taskyard.broker.wakeup import queue_name
from taskyard.core.errors import Fault, Misconfigured
from taskyard.core.routing import Execution, Pool, RoutingTable
from taskyard.core.topics import matches
from taskyard.storage.task_types import Announcement
from taskyard.worker import signature
from taskyard.worker.base import TaskyardTask
from taskyard.worker.runtime import Runtime

# After its soft limit a task has this long to clean up before its process is killed.
_HARD_LIMIT_AFTER = 5.0

_POOL_CLASSES = {Execution.PROCESSES: "prefork", Execution.THREADS: "threads"}


def make_celery(
    pool: Pool, *, table: RoutingTable, runtime: Runtime, amqp_url: str, database_url: str, prefix: str
) -> celery.Celery:
    """Return the Celery application that runs this pool's tasks. It declares nothing."""
    app = celery.Celery(f"taskyard.{pool.name}", set_as_current=True)
    app.taskyard = runtime
    app.conf.update(_configuration(pool, amqp_url, database_url, queue_name(prefix, pool.name)))
    for module in pool.modules:
        import_module(module)
    app.finalize(auto=True)
    for name in [name for name in app.tasks if name.startswith("celery.")]:
        app.tasks.unregister(name)  # what Celery brings along must not be runnable from messages
    _apply_limits(app, pool, table)
    return app


def _configuration(pool: Pool, amqp_url: str, database_url: str, queue: str) -> dict[str, Any]:
    return {
        "broker_url": amqp_url,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_heartbeat": 15,
        "result_backend": f"taskyard+{database_url}",
        "task_queues": [Queue(queue, exchange=None, routing_key="", no_declare=True)],
        "task_default_queue": queue,
        "task_create_missing_queues": False,
        "task_serializer": "json",
        "result_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,
        "worker_consumer": "taskyard.worker.consumer:WakeUpConsumer",
        "worker_concurrency": pool.concurrency,
        "worker_pool": _POOL_CLASSES[pool.execution],
        "worker_prefetch_multiplier": pool.prefetch,
        "worker_enable_prefetch_count_reduction": False,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_disable_rate_limits": True,
        "worker_proc_alive_timeout": 30.0,
    }


def _apply_limits(app: celery.Celery, pool: Pool, table: RoutingTable) -> None:
    """Threads cannot be interrupted: time limits are kept by pools of processes only."""
    for task in app.tasks.values():
        if pool.execution is Execution.PROCESSES:
            timeout = table.defaults_for(task.name).timeout.total_seconds()
            task.soft_time_limit = timeout
            task.time_limit = timeout + _HARD_LIMIT_AFTER


def announcements(app: celery.Celery, pool: Pool) -> list[Announcement]:
    """Return what this application can run and the routing table sends to its pool.

    Raises Misconfigured with every task whose type does not reach this pool, that is no Taskyard
    task, or whose arguments JSON has no form for.
    """
    found: list[Announcement] = []
    faults: list[Fault] = []
    for name, task in sorted(app.tasks.items()):
        if not isinstance(task, TaskyardTask):
            faults.append(Fault(name, "is a plain Celery task; make it with @taskyard.task"))
        elif not any(matches(pattern, name) for pattern in pool.tasks):
            faults.append(
                Fault(name, f"is not matched by the patterns of pool {pool.name!r}: {pool.tasks}")
            )
        else:
            try:
                described = signature.schema(task.parameters)
            except Misconfigured as error:
                faults += error.faults
                continue
            doc = (task.__doc__ or "").strip()
            found.append(
                Announcement(type=name, pool=pool.name, description=doc, schema=described)
            )
    if faults:
        raise Misconfigured(
            f"the task code of pool {pool.name!r} does not fit the routing table",
            faults=tuple(faults),
        )
    return found


def put_on_path(folders: Sequence[Path]) -> None:
    """Let task code be imported from these folders, before anything else of the same name."""
    for folder in reversed(folders):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
