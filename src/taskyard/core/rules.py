"""Rules: which events make which tasks, with which arguments."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Protocol

from taskyard.core import topics
from taskyard.core.events import Event, Publisher

Document = Mapping[str, Any]


class ExpressionFailed(Exception):
    """An expression could not be evaluated on an event; the message says why."""


class Expression(Protocol):
    """What is computed from an event."""

    @property
    def text(self) -> str:
        """The expression as it is written."""
        ...

    def __call__(self, document: Document) -> Any:
        """Return its value. Raises ExpressionFailed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: it fires for events whose type matches and for which `when` holds."""

    name: str
    match: str
    task: str
    when: Expression | None = None
    args: Mapping[str, Expression] = field(default_factory=dict)
    priority: int | None = None
    delay: str | None = None
    dedupe: Expression | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Firing:
    """A rule fires: the task it wants. Events with the same `dedupe` value make one task."""

    rule: Rule
    args: dict[str, Any]
    dedupe: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """A rule whose pattern matches, but whose condition does not hold."""

    rule: Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A rule that could not be evaluated: `at` names the expression."""

    rule: Rule
    at: str
    problem: str


Outcome = Firing | Declined | Failed


@dataclass(frozen=True, eq=False)
class EventRules:
    """The rules in the order of the file, and how events are kept.

    With `user_id_is_source` an event that comes over AMQP must come from the user that its source
    names.
    """

    rules: tuple[Rule, ...] = ()
    retention: timedelta = timedelta(days=7)
    user_id_is_source: bool = False
    publishers: tuple[Publisher, ...] = ()

    def consider(self, event: Event) -> Iterator[Outcome]:
        """Yield what each rule whose pattern matches the event's type makes of it."""
        for rule in self.rules:
            if topics.matches(rule.match, event.type):
                yield _consider(rule, event.document)


def _consider(rule: Rule, document: Document) -> Outcome:
    at = "when"
    try:
        if rule.when is not None and not holds(rule.when(document)):
            return Declined(rule=rule)
        args = {}
        for name, expression in rule.args.items():
            at = f"args.{name}"
            # What is null is left out, so that the task's own default holds.
            if (value := expression(document)) is not None:
                args[name] = value
        at = "dedupe"
        dedupe = rule.dedupe(document) if rule.dedupe else None
    except ExpressionFailed as error:
        return Failed(rule=rule, at=at, problem=str(error))
    if rule.dedupe and dedupe is None:
        return Failed(rule=rule, at=at, problem="is null, so it cannot tell events apart")
    return Firing(rule=rule, args=args, dedupe=dedupe)


def holds(value: Any) -> bool:
    """Return whether a condition's value counts as true, as JMESPath defines it: 0 does."""
    return value not in (None, False, "", [], {}) or (type(value) in (int, float))
