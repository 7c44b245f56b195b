"""The broker's users on a real broker: what each must not do, what it needs, and what heals."""

import asyncio
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import amqp
import pytest

from taskyard.broker import declare, passwords, removal
from taskyard.broker.administration import Administration, Rabbitmqctl, administration
from taskyard.broker.depths import depths
from taskyard.broker.ledger import KnownQueue, Ledger, Standing
from taskyard.broker.publisher import open_publisher
from taskyard.broker.users import Rights, User, definitions, password_hash, tag, user_name
from taskyard.connections import as_user
from taskyard.core.errors import BrokerUnavailable, Misconfigured
from taskyard.core.events import Publisher
from taskyard.core.routing import Pool, RoutingTable
from taskyard.core.rules import EventRules
from taskyard.core.wakeup import Confirm, WakeUp
from taskyard.services.users import Users

Attempt = Callable[[amqp.Channel, str], Any]


def table(*pools: str, publishers: tuple[Publisher, ...] = ()) -> RoutingTable:
    return RoutingTable(
        pools={name: Pool(name=name, tasks=(f"{name}.#",), modules=("m",)) for name in pools},
        defaults={},
        events=EventRules(publishers=publishers),
    )


@dataclass(frozen=True)
class Deployment:
    """Users and topology of one prefix."""

    users: Users
    admin: Administration

    @property
    def prefix(self) -> str:
        return self.users.prefix

    def name(self, role: str) -> str:
        return self.users.prefix + "-shop" if role == "shop" else user_name(self.prefix, role)

    def password(self, role: str) -> str:
        assert self.users.folder
        return passwords.read(self.users.folder, self.name(role)) or ""

    def url(self, role: str) -> str:
        return as_user(self.users.amqp_url, self.name(role), self.password(role))

    def may(self, role: str, attempt: Attempt) -> str:
        """Return what the broker says to an attempt of a role: nothing, if it may."""
        with declare.connected(self.url(role)) as connection:
            try:
                attempt(connection.channel(), self.prefix)
            except (amqp.AccessRefused, amqp.PreconditionFailed) as error:
                return str(error.reply_text)
        return ""

    def lay_out(self) -> None:
        """Make the topology as the dispatcher."""
        with declare.connected(self.url("dispatcher")) as broker:
            topology, _ = declare.wanted(broker, self.users.table, self.prefix, Ledger())
            declare.make(broker, topology)


def deployment(amqp_url: str, admin: Administration, folder: Path, *pools: str) -> Deployment:
    prefix = f"t{uuid4().hex[:8]}"
    shop = Publisher(name=f"{prefix}-shop", types=("order.*", "cart.#"))
    users = Users(
        amqp_url=amqp_url,
        prefix=prefix,
        table=table(*pools, publishers=(shop,)),
        folder=folder / "users",
    )
    return Deployment(users=users, admin=admin)


@pytest.fixture(scope="session")
def admin(management_url: str, tls_folder: Path) -> Administration:
    return administration(management_url, ca=tls_folder / "ca.pem")


@pytest.fixture(scope="module")
def laid_out(
    amqp_url: str, admin: Administration, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    made = deployment(amqp_url, admin, tmp_path_factory.mktemp("d"), "media", "media-2")
    made.users.apply(made.admin)
    made.lay_out()
    yield made
    with declare.connected(amqp_url) as broker:
        for queue in ("pool.media", "pool.media-2", "dead", "ingest"):
            broker.channel().queue_delete(f"{made.prefix}.{queue}")
        for exchange in ("tasks", "dead", "events", "lifecycle"):
            broker.channel().exchange_delete(f"{made.prefix}.{exchange}")


def publish(exchange: str, key: str, **properties: Any) -> Attempt:
    def attempt(channel: amqp.Channel, prefix: str) -> None:
        name = exchange and f"{prefix}.{exchange}"
        channel.confirm_select()
        given = {name: value.format(prefix=prefix) for name, value in properties.items()}
        message = amqp.Message("x", **given)
        channel.basic_publish_confirm(message, exchange=name, routing_key=key.format(prefix=prefix))

    return attempt


def consume(queue: str) -> Attempt:
    return lambda channel, prefix: channel.basic_consume(f"{prefix}.{queue}")


def get(queue: str) -> Attempt:
    return lambda channel, prefix: channel.basic_get(f"{prefix}.{queue}")


def purge(queue: str) -> Attempt:
    return lambda channel, prefix: channel.queue_purge(f"{prefix}.{queue}")


def delete(queue: str) -> Attempt:
    return lambda channel, prefix: channel.queue_delete(f"{prefix}.{queue}")


def delete_exchange(name: str) -> Attempt:
    return lambda channel, prefix: channel.exchange_delete(f"{prefix}.{name}")


def bind(queue: str, exchange: str) -> Attempt:
    return lambda channel, prefix: channel.queue_bind(
        f"{prefix}.{queue}", f"{prefix}.{exchange}", "stolen.#"
    )


def make_queue(name: str) -> Attempt:
    return lambda channel, prefix: channel.queue_declare(
        name.format(prefix=prefix), durable=True, auto_delete=False
    )


def make_exchange(name: str) -> Attempt:
    return lambda channel, prefix: channel.exchange_declare(name.format(prefix=prefix), "topic")


HARM = {
    "declare a queue of its own": make_queue("{prefix}.mine"),
    "declare one that the broker names": make_queue(""),
    "declare an exchange": make_exchange("{prefix}.mine"),
    "delete a pool's queue": delete("pool.media"),
    "delete the ingest's queue": delete("ingest"),
    "delete an exchange": delete_exchange("tasks"),
    "purge a pool's queue": purge("pool.media-2"),
    "read another pool's queue": consume("pool.media-2"),
    "get from another pool's queue": get("pool.media-2"),
    "read events": get("ingest"),
    "read dead letters": get("dead"),
    "bind another pool's queue": bind("pool.media-2", "tasks"),
    "bind a queue to what is published": bind("ingest", "lifecycle"),
    "wake tasks": publish("tasks", "media.x"),
    "tell of changes": publish("lifecycle", "task.x.failed"),
    "publish events": publish("events", "order.placed"),
    "publish past the exchanges": publish("", "{prefix}.pool.media"),
    "publish dead letters": publish("dead", ""),
}
MAY = {
    "api": {"wake tasks"},
    "ingest": {"read events"},
    "worker media": set[str](),
    "shop": {"publish events"},
}


@pytest.mark.parametrize("harm", HARM)
@pytest.mark.parametrize("role", MAY)
def test_each_role_is_refused_what_it_does_not_need(
    laid_out: Deployment, role: str, harm: str
) -> None:
    """Whoever is broken into can do no more than its own work."""
    said = laid_out.may(role, HARM[harm])
    assert bool(said) != (harm in MAY[role]), said
    assert not said or "access to" in said


@pytest.mark.parametrize(
    "harm",
    [
        make_queue("{prefix}x.mine"),
        make_queue("mine"),
        make_queue(""),
        make_exchange("{prefix}.mine"),
        get("ingest"),
        publish("events", "order.placed"),
        publish("", "{prefix}.pool.media"),
    ],
)
def test_the_dispatcher_stays_within_its_topology(laid_out: Deployment, harm: Attempt) -> None:
    """It owns what is called after the prefix, but neither forges nor reads events."""
    assert "access to" in laid_out.may("dispatcher", harm)


@pytest.mark.parametrize("key", ["order.placed", "cart", "cart.item.added"])
def test_a_publisher_may_publish_its_own_types(laid_out: Deployment, key: str) -> None:
    """Under its own name, if it says one."""
    assert laid_out.may("shop", publish("events", key)) == ""
    assert laid_out.may("shop", publish("events", key, user_id="{prefix}-shop")) == ""


@pytest.mark.parametrize("key", ["order", "order.placed.late", "payment.received", "", "cart."])
def test_a_publisher_is_refused_the_types_of_others(laid_out: Deployment, key: str) -> None:
    """By the broker, before anything is queued."""
    assert "access to topic" in laid_out.may("shop", publish("events", key))


def test_a_publisher_cannot_pose_as_another(laid_out: Deployment) -> None:
    """The broker holds the user-id of a message against who is logged in."""
    said = laid_out.may("shop", publish("events", "order.placed", user_id="{prefix}.api"))
    assert "but authenticated user was" in said


async def test_every_role_can_do_its_work(laid_out: Deployment) -> None:
    """The API publishes and looks at depths, a worker consumes, also a queue that replaced its."""
    wakeup = WakeUp(id=uuid4(), type="media.x", priority=4)  # type: ignore[arg-type]
    for role in ("api", "dispatcher"):
        url = laid_out.url(role)
        async with open_publisher(url, f"{laid_out.prefix}.tasks") as publisher:
            async with asyncio.timeout(10):
                await publisher.connected.wait()
            assert await publisher.publish([wakeup]) == [Confirm.CONFIRMED]
    found = await depths(laid_out.url("api"), [f"{laid_out.prefix}.pool.media"])
    depth = found[f"{laid_out.prefix}.pool.media"]
    assert depth is not None
    assert depth.ready >= 2
    assert laid_out.may("worker media", consume("pool.media")) == ""
    assert laid_out.may("ingest", consume("ingest")) == ""


def test_the_dispatcher_replaces_and_removes_queues(laid_out: Deployment) -> None:
    """What an apply does when a pool changes or goes, with no more rights than it has."""
    other = replace(laid_out.users.table, pools={"m": Pool(name="m", tasks=("m",), modules=("m",))})
    name = f"{laid_out.prefix}.pool.m.v2"
    gone = KnownQueue(name=name, pool="m", standing=Standing.APPLIED)
    url = laid_out.url("dispatcher")
    with declare.connected(url) as broker:
        ledger = Ledger(queues={name: gone})
        topology, _ = declare.wanted(broker, other, laid_out.prefix, ledger)
        declare.make(broker, topology)
        assert laid_out.may("worker media", consume("pool.m.v2")) != ""
        declare.unbind(broker, [each for each in topology.bindings if each.queue == name])
        nothing = replace(topology, queues=())
        assert removal.remove(broker, gone, nothing, url=url) is not None
        assert removal.foresee(broker, gone, nothing) is None


def test_applying_twice_changes_nothing(laid_out: Deployment) -> None:
    """Passwords are in files that nobody else can read, and stay what they are."""
    assert list(laid_out.users.plan(laid_out.admin).steps()) == []
    before = laid_out.password("api")
    laid_out.users.apply(laid_out.admin)
    assert laid_out.password("api") == before
    assert laid_out.users.folder
    modes = {stat.S_IMODE(path.stat().st_mode) for path in laid_out.users.folder.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(laid_out.users.folder.stat().st_mode) == 0o700


def test_what_somebody_changed_by_hand_is_shown_and_healed(
    amqp_url: str, admin: Administration, tmp_path: Path
) -> None:
    """A right too many, a user too few, another password, no limit, a pool that is gone."""
    made = deployment(amqp_url, admin, tmp_path, "media", "gone")
    users, vhost = made.users, amqp_url.rpartition("/")[2]
    users.apply(made.admin)
    everything = Rights(configure=".*", write=".*", read=".*")
    api = [User(name=made.name("api"), rights=everything)]
    other = {made.name("ingest"): password_hash("other", b"salt")}
    mark = tag(amqp_url, made.prefix)
    admin.load(definitions(api, other, vhost=vhost, mark=mark))
    admin.unlimit(made.name("shop"), vhost)
    admin.remove(made.name("worker media"))
    changed = replace(users, table=table("media", publishers=users.table.events.publishers))
    shown = [str(step) for step in changed.plan(made.admin).steps()]
    assert [line.split(":")[0] for line in shown] == [
        f"+ rights of {made.name('api')}",
        f"+ password of {made.name('ingest')} (from its file)",
        f"+ user {made.name('worker media')}",
        f"+ password of {made.name('worker media')} (from its file)",
        f"+ rights of {made.name('worker media')}",
        f"+ rights of {made.name('shop')}",
        f"- user {made.name('worker gone')}",
    ]
    changed.apply(made.admin)
    assert list(changed.plan(made.admin).steps()) == []
    assert made.name("worker gone") not in made.admin.users(vhost)


def test_a_limit_that_is_wanted_no_more_goes(
    amqp_url: str, admin: Administration, tmp_path: Path
) -> None:
    """A publisher without types may publish all of them."""
    made = deployment(amqp_url, admin, tmp_path)
    made.users.apply(made.admin)
    free = replace(made.users, table=table(publishers=(Publisher(name=f"{made.prefix}-shop"),)))
    free.apply(made.admin)
    assert list(free.plan(made.admin).steps()) == []


def test_a_user_of_somebody_else_is_left_alone(
    amqp_url: str, admin: Administration, tmp_path: Path
) -> None:
    """A publisher called like an administrator does not take its rights or password away."""
    made = deployment(amqp_url, admin, tmp_path)
    theirs = {made.name("shop"): password_hash("theirs", b"salt")}
    admin.load(definitions([], theirs, vhost="/", mark="administrator"))
    plan, new = made.users.apply(made.admin)
    assert made.name("shop") not in new
    assert str(next(iter(plan.steps()))).startswith(f"! user {made.name('shop')} was not made")
    assert made.admin.users("/")[made.name("shop")].tags == {"administrator"}


def test_rotation_ends_the_old_passwords(
    amqp_url: str, admin: Administration, tmp_path: Path
) -> None:
    """And an apply that died between file and broker is completed by the next one."""
    made = deployment(amqp_url, admin, tmp_path)
    made.users.apply(made.admin)
    old = made.url("api")
    _, new = made.users.apply(made.admin, rotate=True)
    assert new[made.name("api")] == made.password("api")
    assert not declare.may_log_in(old)
    assert declare.may_log_in(made.url("api"))
    # Given a file that is newer than what the broker knows
    passwords.keep(tmp_path / "users", made.name("ingest"), "newer-than-the-broker")
    made.users.apply(made.admin)
    assert declare.may_log_in(made.url("ingest"))


def test_without_a_folder_passwords_are_returned_once(
    amqp_url: str, admin: Administration, tmp_path: Path
) -> None:
    """A second apply makes no new ones: those that were shown stay."""
    made = deployment(amqp_url, admin, tmp_path)
    users = replace(made.users, folder=None)
    _, new = users.apply(made.admin)
    assert declare.may_log_in(as_user(amqp_url, made.name("api"), new[made.name("api")]))
    plan, again = users.apply(made.admin)
    assert (again, list(plan.steps())) == ({}, [])


def test_rabbitmqctl_does_the_same(amqp_url: str, rabbitmqctl: str, tmp_path: Path) -> None:
    """Where there is no management API: make, find as it should be, take a limit, remove."""
    made = deployment(amqp_url, administration(rabbitmqctl, ca=None), tmp_path)
    made.users.apply(made.admin)
    assert declare.may_log_in(made.url("api"))
    shop = made.url("shop")
    free = replace(made.users, table=table(publishers=(Publisher(name=made.name("shop")),)))
    plan, _ = free.apply(made.admin)
    [shown] = map(str, plan.steps())
    assert shown.startswith(f"+ rights of {made.name('shop')}: ")
    assert list(free.plan(made.admin).steps()) == []
    assert declare.may_log_in(shop)
    made.admin.remove(made.name("shop"))
    assert not declare.may_log_in(shop)


def test_the_management_api_is_verified(management_url: str) -> None:
    """An administrator's password is sent to no server that anybody could pose as."""
    with pytest.raises(BrokerUnavailable, match=r"TASKYARD_AMQP_TLS_CA"):
        administration(management_url, ca=None).users("/")


def test_who_is_no_administrator_is_told(management_url: str, tls_folder: Path) -> None:
    """The setting is named, and its password is not shown."""
    url = management_url.replace("https://taskyard:", "https://nobody:hunter2")
    with pytest.raises(BrokerUnavailable, match="TASKYARD_AMQP_ADMIN") as caught:
        administration(url, ca=tls_folder / "ca.pem").users("/")
    assert "hunter2" not in caught.value.detail


def test_a_command_that_is_not_there_is_explained(amqp_url: str) -> None:
    """And the setting that would mend it."""
    with pytest.raises(Misconfigured, match="TASKYARD_AMQP_ADMIN"):
        Users(amqp_url=amqp_url, prefix="t", table=table()).plan(
            Rabbitmqctl("/nowhere/rabbitmqctl")
        )
