"""Who may do what in the broker: a user for each role, pool and publisher, with the least rights.

Pure. The one who asks the broker and changes it is administration.py. Rights are regular
expressions on names of exchanges and queues: https://www.rabbitmq.com/docs/access-control.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from taskyard.broker.topology import broker_name, ingest_queue
from taskyard.broker.wakeup import exchange_name, queue_name
from taskyard.core import topics
from taskyard.core.routing import RoutingTable

NOTHING = "^$"  # the empty name is that of no exchange or queue; RabbitMQ calls the default another


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """What a user may declare and delete, publish and bind to, consume and bind from.

    `topics` says, for an exchange, which routing keys it may publish with; all if it is not named.
    """

    configure: str = NOTHING
    write: str = NOTHING
    read: str = NOTHING
    topics: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        said = f"configure {self.configure}, write {self.write}, read {self.read}"
        return said + "".join(f", keys {keys} on {name}" for name, keys in self.topics.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A user that should be in the broker."""

    name: str
    rights: Rights


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundUser:
    """A user that is in the broker; `rights` are those in our virtual host, None if it has none."""

    tags: frozenset[str] = frozenset()
    rights: Rights | None = None


def user_name(prefix: str, role: str) -> str:
    """Return the user of a role, which is called as on the command line: `worker media`."""
    return ".".join((prefix, *role.split()))


def tag(amqp_url: str, prefix: str) -> str:
    """Return what marks the users that are ours; it gives them no right."""
    return f"taskyard:{quote(broker_name(amqp_url, prefix), safe=':')}"


def wanted(table: RoutingTable, prefix: str) -> tuple[User, ...]:
    """Return all users of a deployment.

    The dispatcher owns the topology, since it makes anew what was removed by hand. To make a queue
    with a dead-letter exchange takes the right to read the one and to write to the other.
    """
    tasks, ingest, pools = exchange_name(prefix), ingest_queue(prefix), queue_name(prefix, "")
    dead, events, lifecycle = (f"{prefix}.{name}" for name in ("dead", "events", "lifecycle"))
    any_pool = f"{re.escape(pools)}.+"
    workers = {
        f"worker {pool}": Rights(read=f"^{re.escape(queue_name(prefix, pool))}(\\.v[0-9]+)?$")
        for pool in table.pools
    }
    roles = {
        "api": Rights(write=_names(tasks)),
        "dispatcher": Rights(
            configure=_names(tasks, dead, events, lifecycle, ingest, more=any_pool),
            write=_names(tasks, dead, lifecycle, ingest, more=any_pool),
            read=_names(tasks, dead, events, more=any_pool),
        ),
        "ingest": Rights(read=_names(ingest)),
    }
    named = {user_name(prefix, role): rights for role, rights in (roles | workers).items()} | {
        publisher.name: Rights(write=_names(events), topics=_keys(events, publisher.types))
        for publisher in table.events.publishers
    }
    return tuple(User(name=name, rights=rights) for name, rights in named.items())


def definitions(
    users: Iterable[User], hashes: Mapping[str, str], *, vhost: str, mark: str
) -> dict[str, Any]:
    """Return the definitions that make users so, as RabbitMQ imports them.

    A user without a hash keeps its password.
    """
    users = list(users)
    return {
        "users": [
            {
                "name": name,
                "password_hash": found,
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": mark,
            }
            for name, found in hashes.items()
        ],
        "permissions": [_permission(user, vhost) for user in users],
        "topic_permissions": [
            {"user": user.name, "vhost": vhost, "exchange": name, "write": keys, "read": NOTHING}
            for user in users
            for name, keys in user.rights.topics.items()
        ],
    }


def found_users(document: Mapping[str, Any], *, vhost: str) -> dict[str, FoundUser]:
    """Return the users of a broker from its definitions."""
    rights = {
        each["user"]: Rights(
            configure=each["configure"],
            write=each["write"],
            read=each["read"],
            topics=dict(_topics(document, each["user"], vhost)),
        )
        for each in document["permissions"]
        if each["vhost"] == vhost
    }
    return {
        user["name"]: FoundUser(tags=_tags(user["tags"]), rights=rights.get(user["name"]))
        for user in document["users"]
    }


def password_hash(password: str, salt: bytes) -> str:
    """Four bytes of salt and SHA-256 as RabbitMQ keeps them: rabbitmq.com/docs/passwords."""
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def _permission(user: User, vhost: str) -> dict[str, str]:
    return {
        "user": user.name,
        "vhost": vhost,
        "configure": user.rights.configure,
        "write": user.rights.write,
        "read": user.rights.read,
    }


def _topics(document: Mapping[str, Any], user: str, vhost: str) -> Iterator[tuple[str, str]]:
    for each in document["topic_permissions"]:
        if (each["user"], each["vhost"]) == (user, vhost):
            yield each["exchange"], each["write"]


def _tags(tags: str | list[str]) -> frozenset[str]:
    # Until RabbitMQ 3.9 they are one text.
    return frozenset(tags.split(",") if isinstance(tags, str) else tags)


def _names(*names: str, more: str = "") -> str:
    """Return the expression that matches these names and no other."""
    return f"^({'|'.join([*map(re.escape, names), *filter(None, [more])])})$"


def _keys(exchange: str, patterns: tuple[str, ...]) -> dict[str, str]:
    if not patterns:
        return {}
    return {exchange: "|".join(f"^{_key(pattern)}$" for pattern in patterns)}


def _key(pattern: str) -> str:
    """Return the expression for the keys that a topic pattern matches, if no word is empty.

    Each word takes the dot behind it, or is the last.
    """
    end = r"(\.(?!$)|$)"
    spelt = {"*": rf"[^.]+{end}", "#": rf"([^.]+{end})*"}
    return "".join(spelt.get(word) or re.escape(word) + end for word in topics.words(pattern))
