"""What production mode refuses: plain text between machines, and what everybody can guess.

What stays on the loopback interface may be plain: a proxy on the same machine adds TLS there.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, unquote, urlsplit

from taskyard.connections import VERIFIED, parameters
from taskyard.core.errors import Fault

if TYPE_CHECKING:
    from taskyard.settings import Settings

_GUESSED = frozenset(
    {
        *("admin", "changeme", "change-me", "default", "guest", "passw0rd", "password"),
        *("postgres", "rabbitmq", "secret", "taskyard", "test"),
    }
)


def faults(given: "Settings") -> Iterator[Fault]:
    """Yield everything that must not be so in production; nothing in development."""
    if not given.production:
        return
    yield from _database(given)
    yield from _broker(given)
    yield from _administration(given)
    if not (given.api_tls_certificate or given.behind_proxy or _is_loopback(given.api_host)):
        yield Fault(
            "TASKYARD_API_HOST",
            f"is {given.api_host}, so HTTP in plain text would leave this machine; set "
            "TASKYARD_API_TLS_CERTIFICATE and TASKYARD_API_TLS_KEY, or TASKYARD_BEHIND_PROXY=true "
            "if TLS ends in a proxy that alone can reach it",
        )
    if given.webhooks_insecure:
        yield Fault("TASKYARD_WEBHOOKS_INSECURE", "is true, which is for development only")


def _database(given: "Settings") -> Iterator[Fault]:
    variable, parts = "TASKYARD_DATABASE_URL", urlsplit(given.database_url)
    said = parameters(given.database_url)
    if said.get("sslmode") != VERIFIED and not all(map(_is_loopback, _hosts(parts, said))):
        mode = f"sslmode={said['sslmode']}" if "sslmode" in said else "nothing of sslmode"
        yield Fault(
            variable,
            f"says {mode}, so the connection may be read or taken over; set "
            f"TASKYARD_DATABASE_TLS_CA, or write sslmode={VERIFIED}",
        )
    password = said.get("password") or unquote(parts.password or "")
    yield from _guessable(variable, said.get("user") or parts.username or "", password)


def _broker(given: "Settings") -> Iterator[Fault]:
    variable, parts = "TASKYARD_AMQP_URL", urlsplit(given.amqp_url)
    if parts.scheme == "amqp" and not _is_loopback(parts.hostname or ""):
        yield Fault(variable, "is amqp://, which is plain text; use amqps://")
    if parts.scheme == "amqps" and parameters(given.amqp_url).get("no_verify_ssl", "0") != "0":
        yield Fault(variable, "says no_verify_ssl, so anybody may pose as the broker; leave it out")
    if given.amqp_users is not None:
        return  # then nobody uses the URL's own
    user, password = unquote(parts.username or "guest"), unquote(parts.password or "guest")
    if user == "guest":
        yield Fault(
            variable,
            "is for the user guest, whom everybody knows; give each role a user of its own with "
            "`taskyard topology apply --users`",
        )
    else:
        yield from _guessable(variable, user, password)


def _administration(given: "Settings") -> Iterator[Fault]:
    parts = urlsplit(given.amqp_admin)
    if parts.scheme == "http" and not _is_loopback(parts.hostname or ""):
        yield Fault("TASKYARD_AMQP_ADMIN", "is http://, which is plain text; use https://")


def _guessable(variable: str, user: str, password: str) -> Iterator[Fault]:
    if password and (password.lower() in _GUESSED or password.lower() == user.lower()):
        yield Fault(variable, f"has a password for {user!r} that anybody would guess; change it")


def _hosts(parts: SplitResult, said: dict[str, str]) -> list[str]:
    """Return whom libpq would talk to: a parameter counts more than what stands before the path."""
    if named := said.get("hostaddr") or said.get("host"):
        return named.split(",")
    places = parts.netloc.rpartition("@")[2].split(",")
    return [urlsplit(f"//{place}").hostname or "" for place in places]


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.startswith("/"):  # a socket in the file system
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
