"""broker/users.py: rights as expressions, which RabbitMQ matches as it does patterns."""

import re

from hypothesis import given
from hypothesis import strategies as st

from taskyard.broker.users import Rights, User, definitions, found_users, tag, user_name, wanted
from taskyard.core import topics
from taskyard.core.events import Publisher
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.rules import EventRules

WORDS = st.lists(st.sampled_from(["a", "b", "a+", "(", "é", "{username}"]), min_size=1, max_size=4)
PATTERNS = st.lists(st.sampled_from(["a", "b", "a+", "é", "*", "#"]), min_size=1, max_size=4)


def table(*types: str) -> RoutingTable:
    return RoutingTable(
        pools={
            name: Pool(name=name, tasks=("#",), modules=("m",)) for name in ("media", "media-2")
        },
        defaults={},
        events=EventRules(publishers=(Publisher(name="shop", types=types),)),
    )


def rights(prefix: str, *types: str) -> dict[str, Rights]:
    return {user.name: user.rights for user in wanted(table(*types), prefix)}


@given(patterns=st.lists(PATTERNS, min_size=1, max_size=3), key=WORDS)
def test_a_publisher_may_use_the_keys_that_its_patterns_match(
    patterns: list[list[str]], key: list[str]
) -> None:
    """No more and no fewer; and in Erlang's regular expressions as in ours."""
    spelt = tuple(map(".".join, patterns))
    allowed = rights("t", *spelt)["shop"].topics["t.events"]
    expected = any(topics.matches(pattern, ".".join(key)) for pattern in spelt)
    assert bool(re.search(allowed, ".".join(key))) == expected


def test_no_key_has_an_empty_word() -> None:
    """An event's type has none, so neither has the key of an honest publisher."""
    allowed = rights("t", "a.#", "b.*")["shop"].topics["t.events"]
    assert not [key for key in ("", "a.", ".a", "a..b", "b.", "b.x.") if re.search(allowed, key)]


def test_a_pool_reads_its_own_queue_under_every_number_it_may_get() -> None:
    """And no other pool's, though the name of one begins with that of the other."""
    mine = rights("t.x")["t.x.worker.media"]
    fits = [name for name in ("t.x.pool.media", "t.x.pool.media.v12") if re.search(mine.read, name)]
    assert len(fits) == 2
    strange = ("t.x.pool.media-2", "t.x.pool.media.v", "tax.pool.media", "t.x.pool.media.v2.x")
    assert not [name for name in (*strange, "", "amq.default") if re.search(mine.read, name)]
    assert (mine.configure, mine.write) == ("^$", "^$")


def test_only_the_dispatcher_configures_anything() -> None:
    """Whoever is broken into elsewhere can remove no queue."""
    configuring = [name for name, each in rights("t").items() if each.configure != "^$"]
    assert configuring == ["t.dispatcher"]


def test_what_is_written_as_definitions_is_read_back_the_same() -> None:
    """Other virtual hosts, and tags as older brokers show them, do not matter."""
    users = wanted(table("order.#"), "t")
    mark = tag("amqp://h/a%2Cb%2F", "t")
    assert "," not in mark
    document = definitions(users, {user.name: "h" for user in users}, vhost="v", mark=mark)
    document["permissions"].append({**document["permissions"][0], "vhost": "w", "write": ".*"})
    document["users"].append({"name": "admin", "tags": ["administrator", "x"]})
    found = found_users(document, vhost="v")
    assert {name: each.rights for name, each in found.items()} == {
        **{user.name: user.rights for user in users},
        "admin": None,
    }
    assert found["shop"].tags == {mark}
    assert found["admin"].tags == {"administrator", "x"}


def test_a_user_without_a_hash_keeps_its_password() -> None:
    """Only its rights are written."""
    one = User(name="u", rights=Rights())
    document = definitions([one], {}, vhost="v", mark="m")
    assert document["users"] == []
    assert len(document["permissions"]) == 1


def test_a_role_has_the_name_of_its_command() -> None:
    """Joined by dots, which no publisher's name has."""
    assert user_name("t", "worker media") == "t.worker.media"
