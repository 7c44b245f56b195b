"""Plan and apply the broker's users: their passwords, and what each may do. Blocking."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from taskyard.broker import passwords
from taskyard.broker.administration import Administration
from taskyard.broker.declare import may_log_in
from taskyard.broker.topology import Change, Step, virtual_host
from taskyard.broker.users import FoundUser, User, definitions, password_hash, tag, wanted
from taskyard.connections import as_user
from taskyard.core.routing import RoutingTable

_SALT = 4  # bytes


class Password(StrEnum):
    """What is to be done about a user's password."""

    STAYS = "stays"
    FROM_FILE = "from its file"
    NEW = "new"


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """What one user needs to be as it should."""

    user: User
    found: FoundUser | None
    password: Password
    kept: str | None = field(default=None, repr=False)  # what its file says

    @property
    def differs(self) -> bool:
        """Whether it may do anything else than it should."""
        return self.found is None or self.found.rights != self.user.rights

    @property
    def is_limited(self) -> bool:
        """Whether it has topic permissions and should have none."""
        rights = self.found.rights if self.found else None
        return bool(rights and rights.topics and not self.user.rights.topics)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What would be changed; `foreign` users have a name of ours, and were not made here."""

    needs: tuple[Need, ...]
    surplus: tuple[str, ...]
    foreign: tuple[str, ...]

    def steps(self) -> Iterator[Step]:
        """Yield it for people."""
        for name in self.foreign:
            what = f"user {name} was not made by this deployment, left alone: remove or rename it"
            yield Step(change=Change.CONFLICT, what=what)
        for need in self.needs:
            name = need.user.name
            if need.found is None:
                yield Step(change=Change.CREATE, what=f"user {name}")
            if need.password is not Password.STAYS:
                yield Step(change=Change.CREATE, what=f"password of {name} ({need.password})")
            if need.differs:
                yield Step(change=Change.CREATE, what=f"rights of {name}: {need.user.rights}")
        for name in self.surplus:
            yield Step(change=Change.REMOVE, what=f"user {name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """The users of one deployment in one broker, and the folder of their passwords, if any."""

    amqp_url: str
    prefix: str
    table: RoutingTable
    folder: Path | None = None

    def plan(self, admin: Administration, *, rotate: bool = False) -> Plan:
        """Return what `apply` would change; to rotate is to give each a new password.

        Raises BrokerUnavailable.
        """
        mark, present = tag(self.amqp_url, self.prefix), admin.users(virtual_host(self.amqp_url))
        users = wanted(self.table, self.prefix)
        ours = {name for name, found in present.items() if mark in found.tags}
        foreign = {user.name for user in users} & present.keys() - ours
        needs = [
            self._need(user, present.get(user.name), rotate=rotate)
            for user in users
            if user.name not in foreign
        ]
        return Plan(
            needs=tuple(n for n in needs if n.differs or n.password is not Password.STAYS),
            surplus=tuple(sorted(ours - {user.name for user in users})),
            foreign=tuple(sorted(foreign)),
        )

    def apply(self, admin: Administration, *, rotate: bool = False) -> tuple[Plan, dict[str, str]]:
        """Make the users as they should be; return what was done, and the new passwords.

        It may die at any point and be run again: a password is in its file before the broker knows
        it. Raises BrokerUnavailable, and Misconfigured when a file cannot be read or written.
        """
        plan = self.plan(admin, rotate=rotate)
        new = {n.user.name: passwords.made() for n in plan.needs if n.password is Password.NEW}
        if self.folder is not None:
            for name, password in new.items():
                passwords.keep(self.folder, name, password)
        kept = {n.user.name: n.kept for n in plan.needs if n.password is Password.FROM_FILE}
        hashes = {
            name: password_hash(each, os.urandom(_SALT))
            for name, each in (new | kept).items()
            if each
        }
        vhost, mark = virtual_host(self.amqp_url), tag(self.amqp_url, self.prefix)
        if plan.needs:
            users = [need.user for need in plan.needs]
            admin.load(definitions(users, hashes, vhost=vhost, mark=mark))
        for need in plan.needs:
            if need.is_limited:
                admin.unlimit(need.user.name, vhost)
        for name in plan.surplus:
            admin.remove(name)
        return plan, new

    def _need(self, user: User, found: FoundUser | None, *, rotate: bool) -> Need:
        kept = None if self.folder is None else passwords.read(self.folder, user.name)
        password = Password.NEW if rotate else self._password(user, found, kept)
        return Need(user=user, found=found, password=password, kept=kept)

    def _password(self, user: User, found: FoundUser | None, kept: str | None) -> Password:
        if kept is None:
            # Nobody can know what an existing user's is; without a folder that is as it should be.
            return Password.STAYS if found and self.folder is None else Password.NEW
        fits = found and may_log_in(as_user(self.amqp_url, user.name, kept))
        return Password.STAYS if fits else Password.FROM_FILE
