"""What a process finds in its environment."""

import contextlib
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from taskyard.connections import as_user
from taskyard.core.errors import Fault, InvalidIssuers, InvalidSettings, Misconfigured
from taskyard.core.issuer import Issuer
from taskyard.core.routing import RoutingTable
from taskyard.issuer_files import read_issuers
from taskyard.routing_files import read_routing
from taskyard.secret_files import FILE_SUFFIX, is_given
from taskyard.settings import Settings, load

if TYPE_CHECKING:
    from taskyard.storage.sealing import KeyRing

ADMIN_KEY, KEY_PEPPER, SESSION_KEY = "admin-key", "key-pepper", "session-key"
_GIVEN_BY_STACKS = {
    f"TASKYARD_{name}{FILE_SUFFIX}"
    for name in ("DATABASE_URL", "AMQP_URL", "KEY_PEPPER", "SESSION_KEYS")
} | {"TASKYARD_METRICS_LISTEN"}
_STATE = Path(".taskyard")  # where `taskyard up` keeps its files if not told otherwise


def settings(role: str | None = None) -> Settings:
    """Return the settings of this process. Raises InvalidSettings with every fault.

    A role, called as on the command line (`worker media`), connects to the broker as its own user
    where there are such. Raises Misconfigured when its password is not there.
    """
    given = load(os.environ)
    if role is None or given.amqp_users is None:
        return given
    from taskyard.broker import passwords
    from taskyard.broker.users import user_name

    user = user_name(given.prefix, role)
    if (password := passwords.read(given.amqp_users, user)) is None:
        raise Misconfigured(
            f"there is no password of the broker's user {user} in {given.amqp_users} "
            "(TASKYARD_AMQP_USERS); `taskyard topology apply --users` makes it"
        )
    return replace(given, amqp_url=as_user(given.amqp_url, user, password))


def key_pepper(given: Settings) -> bytes:
    """Return what keys the digests of API keys, for those who make or recognise them.

    Raises InvalidSettings without one in production.
    """
    if given.production and not given.key_pepper:
        problem = (
            "is not set, so a copy of the database would recognise API keys; set it to 32 random "
            "characters or more, for the API and wherever `taskyard keys` is called"
        )
        fault = Fault("TASKYARD_KEY_PEPPER", problem)
        raise InvalidSettings("the settings are not valid", faults=(fault,))
    return given.key_pepper


def key_ring(given: Settings) -> "KeyRing":
    """Return the key ring of this deployment."""
    from taskyard.storage.sealing import KeyRing

    return KeyRing(given.encryption_keys)


def routing(given: Settings) -> RoutingTable:
    """Return the routing table of this deployment. Raises InvalidRouting with every fault."""
    return read_routing(given.routing)


def issuers(given: Settings) -> tuple[Issuer, ...]:
    """Return whose tokens are taken here. Raises InvalidIssuers with every fault."""
    if given.issuers is None:
        return ()
    found = read_issuers(given.issuers, production=given.production)
    missing = [name for name in ("session_keys", "public_url") if not getattr(given, name)]
    faults = [
        Fault(each.issuer, f"has a login, which needs TASKYARD_{name.upper()}")
        for each in found
        if each.login is not None
        for name in missing
    ]
    if faults:
        raise InvalidIssuers("nobody could log in at an issuer", faults=tuple(faults))
    return found


def operator(command: str) -> str:
    """Return how the audit log names whoever calls a command on this machine."""
    return f"{command}, uid {os.getuid()}"


def stack_settings() -> tuple[Settings, dict[str, str]]:
    """Return the settings for a stack on private servers, and which URLs were given after all.

    Raises InvalidSettings: everything is checked before anything starts.
    """
    private = {
        "TASKYARD_DATABASE_URL": "postgresql://private@127.0.0.1/private",
        "TASKYARD_AMQP_URL": "amqp://private@127.0.0.1/private",
    }
    missing = {name: url for name, url in private.items() if not is_given(os.environ, name)}
    settings = load({**missing, **os.environ})
    urls = {
        "TASKYARD_DATABASE_URL": settings.database_url,
        "TASKYARD_AMQP_URL": settings.amqp_url,
    }
    return settings, {name: url for name, url in urls.items() if name not in missing}


def api_key() -> str | None:
    """Return the key to show to a gateway: the environment's, else that of a stack started here."""
    if key := os.environ.get("TASKYARD_API_KEY"):
        return key
    try:
        return (_STATE / ADMIN_KEY).read_text().strip()
    except OSError:
        return None


def secret_file(file: Path, make: Callable[[], str]) -> str:
    """Return what a file holds that only we may read; made by the first who asks."""
    with contextlib.suppress(FileNotFoundError):
        return file.read_text().strip()
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor, draft = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}-")  # 0600
    with os.fdopen(descriptor, "w") as opened:
        opened.write(f"{make()}\n")
    try:
        os.link(draft, file)  # unlike a rename it leaves what another has made meanwhile
    except FileExistsError:
        pass
    finally:
        Path(draft).unlink()
    return file.read_text().strip()


def child_environment(defaults: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the roles of a stack: ours, over some defaults.

    Files of what a stack gives its roles itself are left out: both would be one too many. So is an
    address that only one of them could listen at.
    """
    ours = {name: text for name, text in os.environ.items() if name not in _GIVEN_BY_STACKS}
    return {**defaults, **ours}
