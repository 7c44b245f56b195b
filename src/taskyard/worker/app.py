"""The Celery application of one pool."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import celery
from kombu.entity import Queue

from taskyard.broker import tls
from taskyard.broker.wakeup import queue_name
from taskyard.core.routing import Execution, Pool, RoutingTable
from taskyard.worker.group_commit import GroupCommit
from taskyard.worker.queues import QueueWatch
from taskyard.worker.runtime import Runtime

# After its soft limit a task has this long to clean up before its process is killed.
_HARD_LIMIT_AFTER = 5.0

_POOL_CLASSES = {
    Execution.PROCESSES: "taskyard.worker.prefork:ProcessPool",
    Execution.THREADS: "taskyard.worker.threads:ThreadPool",
    Execution.ASYNCIO: "taskyard.worker.asyncio_pool:LoopPool",
}


def make_celery(
    pool: Pool,
    *,
    table: RoutingTable,
    runtime: Runtime,
    amqp_url: str,
    database_url: str,
    prefix: str,
) -> celery.Celery:
    """Return the Celery application that runs this pool's tasks. It declares nothing."""
    app = celery.Celery(f"taskyard.{pool.name}", set_as_current=True)
    app.taskyard = runtime
    if pool.execution is not Execution.PROCESSES:
        runtime.group = GroupCommit(runtime)
    app.taskyard_queues = QueueWatch(
        database_url=database_url, amqp_url=amqp_url, prefix=prefix, pool=pool.name
    )
    app.conf.update(_configuration(pool, amqp_url, database_url, queue_name(prefix, pool.name)))
    import_tasks(app, pool.modules)
    _apply_limits(app, pool, table)
    return app


def import_tasks(app: celery.Celery, modules: Sequence[str]) -> None:
    """Import task code, and forget what Celery brings along: it must not run from messages."""
    for module in modules:
        import_module(module)
    app.finalize()
    for name in [name for name in app.tasks if name.startswith("celery.")]:
        app.tasks.unregister(name)


def _configuration(pool: Pool, amqp_url: str, database_url: str, queue: str) -> dict[str, Any]:
    return {
        "broker_url": amqp_url.partition("?")[0],
        "broker_use_ssl": tls.options(amqp_url) or False,
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
        # How long a result of a dead process is waited for; ours never come that way.
        "worker_lost_wait": 0.5,
    }


def _apply_limits(app: celery.Celery, pool: Pool, table: RoutingTable) -> None:
    """Threads cannot be interrupted: they have no time limits."""
    for task in app.tasks.values():
        if pool.execution is not Execution.THREADS:
            timeout = table.defaults_for(task.name).timeout.total_seconds()
            task.soft_time_limit = timeout
            task.time_limit = timeout + _HARD_LIMIT_AFTER


def put_on_path(folders: Sequence[Path]) -> None:
    """Let task code be imported from these folders, before anything else of the same name."""
    for folder in reversed(folders):
        if str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
