"""Every invariant, each a pure function from a history to its violations."""

from collections.abc import Callable, Iterator

from taskyard.drill.checks import acceptance, effects, lives, quiet
from taskyard.drill.history import History, Violation

Check = Callable[[History], Iterator[Violation]]

CHECKS: dict[str, Check] = {
    "accepted-is-kept": acceptance.accepted_is_kept,
    "valid-is-accepted": acceptance.valid_is_accepted,
    "refused-never-runs": acceptance.refused_never_runs,
    "unknown-resolves": acceptance.unknown_resolves,
    "one-task-per-key": acceptance.one_task_per_key,
    "one-end": lives.one_end,
    "expected-end": lives.expected_end,
    "legal-transitions": lives.legal_transitions,
    "gapless-history": lives.gapless_history,
    "attempts-grow-by-one": lives.attempts_grow_by_one,
    "unique-tokens": lives.unique_tokens,
    "results-never-change": lives.results_never_change,
    "in-time": lives.in_time,
    "no-stale-write": effects.no_stale_write,
    "exactly-once-effect": effects.exactly_once,
    "finished-means-ran": effects.finished_means_ran,
    "quiet": quiet.quiet,
}


def check(history: History) -> list[Violation]:
    """Return every violation of every invariant."""
    return [violation for each in CHECKS.values() for violation in each(history)]
