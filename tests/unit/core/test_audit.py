"""core/audit.py: what follows from what."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from taskyard.core.audit import Anchor, Entry, Link, digest, follow, read_anchor
from taskyard.core.principal import DEFAULT_TENANT


def chained(last: Link, **changes: object) -> Entry:
    given = Entry(
        tenant=DEFAULT_TENANT, seq=last.seq + 1, at=datetime(2026, 1, 31, 12, tzinfo=UTC),
        actor="key:tk_1", action="task.cancelled", target="task:1", detail="{}",
        previous=last.hash, hash=b"",
    )  # fmt: skip
    entry = replace(given, **changes)  # type: ignore[arg-type]
    return replace(entry, hash=digest(entry))


def test_what_follows_has_no_fault() -> None:
    """The first from nothing, the second from the first."""
    one = chained(Link())
    link, faults = follow(Link(), one)
    assert (link, faults) == (Link(1, one.hash), ())
    assert follow(link, chained(link)) == (Link(2, chained(link).hash), ())


@pytest.mark.parametrize(
    "change",
    [
        {"actor": "key:tk_2"},
        {"action": "task.replayed"},
        {"target": "task:2"},
        {"detail": '{"a": 1}'},
        {"at": datetime(2026, 1, 31, 12, 0, 0, 1, tzinfo=UTC)},
        {"tenant": "other"},
        {"actor": "key:tk_1,14:task", "action": ".cancelled"},  # what one field lost, another has
    ],
)
def test_any_other_word_is_another_hash(change: dict[str, object]) -> None:
    """Whatever field it stands in, down to a microsecond."""
    assert follow(Link(), replace(chained(Link()), **change))[1] == ("entry 1 was changed",)  # type: ignore[arg-type]


def test_a_gap_is_named() -> None:
    """By the numbers that are not there."""
    assert follow(Link(3), chained(Link(4)))[1] == ("entry 4 was removed",)
    assert follow(Link(3), chained(Link(8)))[1] == ("entry 4-8 was removed",)


def test_an_entry_with_a_good_hash_behind_another_one_does_not_follow() -> None:
    """Somebody made one anew, but not all that came after it."""
    made_anew = chained(Link(), actor="key:tk_2")
    second = chained(Link(1, chained(Link()).hash))
    faults = follow(Link(1, made_anew.hash), second)[1]
    assert faults == ("entry 2 does not follow from entry 1: one was replaced",)


def test_an_anchor_is_read_as_it_was_written() -> None:
    """And nothing else is."""
    anchor = Anchor(DEFAULT_TENANT, Link(17, bytes(range(32))))
    assert read_anchor(str(anchor)) == anchor
    with pytest.raises(ValueError, match="64 hexadecimal"):
        read_anchor("default@17:00")
