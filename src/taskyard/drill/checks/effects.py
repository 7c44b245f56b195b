"""What attempts did to the world against what they were allowed to (C5, C6)."""

from collections.abc import Iterator

from taskyard.core.states import State
from taskyard.drill.history import Effect, History, Phase, TaskRow, Violation, grouped


def no_stale_write(history: History) -> Iterator[Violation]:
    """A result comes from the newest attempt. Tasks of a drill return {"attempt": …}."""
    for task in history.tasks:
        if task.state is not State.SUCCEEDED or not isinstance(task.result, dict):
            continue
        attempt = task.result.get("attempt", task.attempt)
        if attempt != task.attempt:
            yield Violation(
                invariant="no-stale-write",
                sentence=f"task {task.id} ({task.type}) has the result of attempt {attempt}, "
                f"though attempt {task.attempt} was the last",
                task_ids=(task.id,),
            )


def exactly_once(history: History) -> Iterator[Violation]:
    """A transactional effect is there once when its task succeeded, and else not at all."""
    committed = grouped(history.committed, lambda effect: effect.task_id)
    types = {task.id: task for task in history.tasks}
    for task in history.tasks:
        if task.type in history.transactional:
            yield from _once(task, committed.get(task.id, []))
    for stray in committed.keys() - types.keys():
        yield Violation(
            invariant="exactly-once-effect",
            sentence=f"an effect of task {stray} is committed, but there is no such task",
            task_ids=(stray,),
        )


def _once(task: TaskRow, effects: list[Effect]) -> Iterator[Violation]:
    wanted = 1 if task.state is State.SUCCEEDED else 0
    if len(effects) != wanted:
        attempts = [effect.attempt for effect in effects]
        yield Violation(
            invariant="exactly-once-effect",
            sentence=f"task {task.id} ({task.type}) {task.state} and its effect is there "
            f"{len(effects)} times, not {wanted} (attempts {attempts})",
            task_ids=(task.id,),
        )
    keys = {effect.key for effect in effects}
    if len(keys) > 1:
        yield Violation(
            invariant="exactly-once-effect",
            sentence=f"task {task.id} had more than one effect key: {sorted(keys)}",
            task_ids=(task.id,),
        )


def finished_means_ran(history: History) -> Iterator[Violation]:
    """Who succeeded did the work first; who was never claimed did none."""
    done = grouped(history.ledger, lambda effect: effect.task_id)
    ledgered = {task.type for task in history.tasks if task.id in done}
    for task in history.tasks:
        if task.type not in ledgered:
            continue
        phases = {effect.phase for effect in done.get(task.id, ())}
        if task.state is State.SUCCEEDED and Phase.DONE not in phases:
            yield _ran(task, "succeeded, but the ledger does not show that its work was done")
        if task.attempt == 0 and phases:
            yield _ran(task, "was never claimed, but the ledger shows that it ran")
    stored = {task.id for task in history.tasks}
    for stray in done.keys() - stored:
        yield Violation(
            invariant="finished-means-ran",
            sentence=f"the ledger shows work of task {stray}, which is not stored",
            task_ids=(stray,),
        )


def _ran(task: TaskRow, what: str) -> Violation:
    return Violation(
        invariant="finished-means-ran",
        sentence=f"task {task.id} ({task.type}) {what}",
        task_ids=(task.id,),
    )
