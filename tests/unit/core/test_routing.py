"""core/routing.py: which pool runs what."""

import pytest

from taskyard.core.errors import UnknownTaskType
from taskyard.core.routing import Pool, RoutingTable, TaskDefaults
from taskyard.core.routing_problems import problems


def pool(name: str, *patterns: str) -> Pool:
    return Pool(name=name, tasks=patterns, modules=("m",))


def table(*pools: Pool, **defaults: TaskDefaults) -> RoutingTable:
    named = {pattern.replace("__", "."): entry for pattern, entry in defaults.items()}
    return RoutingTable(pools={p.name: p for p in pools}, defaults=named)


def test_a_type_goes_to_the_pool_whose_pattern_matches() -> None:
    """The route names pool and pattern."""
    route = table(pool("media", "image.*", "video.#"), pool("docs", "report.*")).resolve("video")
    assert (route.pool.name, route.pattern) == ("media", "video.#")


def test_a_type_that_no_pattern_matches_is_refused() -> None:
    """There is no default pool to fall into."""
    with pytest.raises(UnknownTaskType, match="'nope'"):
        table(pool("media", "image.*")).resolve("nope")


def test_an_exact_entry_beats_a_pattern_and_a_pattern_the_defaults() -> None:
    """The most precise statement about a type holds."""
    exact, wide = TaskDefaults(priority=9), TaskDefaults(priority=1)
    routing = RoutingTable(
        pools={"p": pool("p", "#")}, defaults={"image.*": wide, "image.thumbnail": exact}
    )
    assert routing.defaults_for("image.thumbnail") == exact
    assert routing.defaults_for("image.convert") == wide
    assert routing.defaults_for("report.render") == TaskDefaults()


def test_two_pools_for_one_type_are_a_problem() -> None:
    """The fault names an example that would be woken twice."""
    faults = problems(table(pool("a", "image.*"), pool("b", "#.thumbnail")))
    assert ["image.thumbnail" in fault.problem for fault in faults] == [True]


def test_a_resource_that_is_not_there_is_a_problem() -> None:
    """A budget that is misspelt would bound nothing."""
    names_it = {"image.*": TaskDefaults(resources=("stripe",))}
    [fault] = problems(RoutingTable(pools={"a": pool("a", "image.*")}, defaults=names_it))
    assert (
        str(fault)
        == "tasks.toml ['image.*'] resources: resources.toml has no 'stripe'; there are none"
    )


def test_an_entry_that_no_pool_can_run_is_a_problem() -> None:
    """It is most likely misspelt."""
    routing = RoutingTable(pools={"p": pool("p", "image.*")}, defaults={"imgae.x": TaskDefaults()})
    assert "imgae.x" in problems(routing)[0].where
