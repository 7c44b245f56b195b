"""core/principal.py: what a caller may do and touch."""

import pytest

from taskyard.core.principal import Owner, Principal, Scope, TenantId, scopes

OURS, THEIRS = TenantId("ours"), TenantId("theirs")


def principal(*granted: Scope, patterns: tuple[str, ...] = ("#",)) -> Principal:
    return Principal(tenant=OURS, name="key:x", scopes=frozenset(granted), patterns=patterns)


def test_a_scope_lets_do_one_thing_and_admin_everything() -> None:
    """Nothing follows from anything else."""
    for asked in Scope:
        assert principal(Scope.ADMIN).may(asked)
        assert not principal().may(asked)
        for granted in set(Scope) - {Scope.ADMIN}:
            assert principal(granted).may(asked) is (asked is granted)


def test_patterns_say_which_task_types() -> None:
    """As the broker matches them; without a limit all are meant."""
    limited = principal(Scope.READ, patterns=("image.*", "report.#"))
    assert limited.may_touch("image.thumbnail")
    assert limited.may_touch("report.a.b")
    assert not limited.may_touch("image.a.b")
    assert principal().may_touch("anything")
    assert principal().owner == Owner(OURS)
    assert limited.owner == Owner(OURS, ("image.*", "report.#"))


def test_an_owner_owns_tasks_of_one_tenant() -> None:
    """Whatever their type, unless it is limited to some."""
    assert Owner(OURS).owns(OURS, "a.b")
    assert not Owner(OURS).owns(THEIRS, "a.b")
    assert Owner(OURS, ("a.*",)).owns(OURS, "a.b")
    assert not Owner(OURS, ("a.*",)).owns(OURS, "b.a")
    assert not Owner(OURS, ("a.*",)).owns(THEIRS, "a.b")


def test_scopes_are_read_from_their_names() -> None:
    """A name that is none is told with those that are."""
    assert scopes(["read", "submit"]) == {Scope.READ, Scope.SUBMIT}
    with pytest.raises(
        ValueError, match="'root' is not a valid Scope; the scopes are submit, read"
    ):
        scopes(["read", "root"])
