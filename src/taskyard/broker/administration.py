"""The users of a broker, asked for and changed: by its management API, or by rabbitmqctl. Blocking.

AMQP knows no users. The management plugin is there on most brokers; rabbitmqctl is on every
machine that runs one, and for somebody who may become its user.
"""

import json
import ssl
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, unquote, urlsplit

import httpx

from taskyard.broker.tls import explained
from taskyard.broker.users import FoundUser, found_users
from taskyard.core.errors import BrokerUnavailable, Misconfigured

_WITHIN = 30.0  # seconds
_FAILED_CHECK = 503
_HALF_A_SECOND = 0.5  # what is cut off the header Date, on average
_COMMAND_WITHIN = 120.0  # it starts an Erlang of its own: 0.4 s at rest, 8 s on a busy machine


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How a broker is: alarms that let nobody publish, and its clock, in seconds since 1970."""

    alarms: tuple[str, ...]
    clock: float


class Administration(Protocol):
    """What can be done about users. Each raises BrokerUnavailable."""

    def users(self, vhost: str) -> dict[str, FoundUser]:
        """Return who is there, with the rights in a virtual host."""
        ...

    def load(self, definitions: Mapping[str, Any]) -> None:
        """Make users and rights as the definitions say; all others stay."""
        ...

    def unlimit(self, user: str, vhost: str) -> None:
        """Take away a user's topic permissions in a virtual host."""
        ...

    def remove(self, user: str) -> None:
        """Remove a user."""
        ...

    def condition(self) -> Condition:
        """Return alarms and clock."""
        ...


def administration(place: str, *, ca: Path | None) -> Administration:
    """Return how the users of a broker are changed: by a URL or a command."""
    return ManagementApi(place, ca=ca) if "://" in place else Rabbitmqctl(place)


class ManagementApi:
    """The HTTP API of the management plugin, as an administrator."""

    def __init__(self, url: str, *, ca: Path | None) -> None:
        parts = urlsplit(url)
        self._place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        self._base = self._place + parts.path.rstrip("/")
        self._auth = (unquote(parts.username or ""), unquote(parts.password or ""))
        self._trust = ssl.create_default_context(cafile=ca)

    def users(self, vhost: str) -> dict[str, FoundUser]:
        """Return who is there."""
        names = {"users": "users", "permissions": "permissions"}
        names["topic_permissions"] = "topic-permissions"
        found = {name: self._ask("GET", f"/api/{path}").json() for name, path in names.items()}
        return found_users(found, vhost=vhost)

    def load(self, definitions: Mapping[str, Any]) -> None:
        """Import definitions."""
        self._ask("POST", "/api/definitions", json=definitions)

    def unlimit(self, user: str, vhost: str) -> None:
        """Take away topic permissions."""
        self._ask("DELETE", f"/api/topic-permissions/{quote(vhost, safe='')}/{quote(user)}")

    def remove(self, user: str) -> None:
        """Remove a user."""
        self._ask("DELETE", f"/api/users/{quote(user)}")

    def condition(self) -> Condition:
        """Return alarms and clock; the latter to the second."""
        response = self._request("GET", "/api/health/checks/alarms")
        if response.status_code != _FAILED_CHECK:
            self._require(response)
        told = response.json().get("alarms", []) if response.is_error else []
        found = tuple(f"{each.get('resource')} alarm on {each.get('node')}" for each in told)
        clock = parsedate_to_datetime(response.headers["Date"]).timestamp()
        return Condition(alarms=found, clock=clock + _HALF_A_SECOND)

    def _ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        return self._require(self._request(method, path, **more))

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        try:
            return httpx.request(
                method, self._base + path, auth=self._auth, verify=self._trust, timeout=_WITHIN,
                **more,
            )  # fmt: skip
        except httpx.HTTPError as error:
            where = f"the management API at {self._place}"
            raise BrokerUnavailable(f"{where} does not answer: {explained(error)}") from error

    def _require(self, response: httpx.Response) -> httpx.Response:
        where, asked = f"the management API at {self._place}", response.request
        if response.status_code in (401, 403):
            raise BrokerUnavailable(
                f"{where} refuses the user of TASKYARD_AMQP_ADMIN; it must be an administrator"
            )
        if response.is_error:
            raise BrokerUnavailable(
                f"{where} refuses {asked.method} {asked.url.path}: {response.text[:500]}"
            )
        return response


class Rabbitmqctl:
    """The command that comes with RabbitMQ; it finds its node by its own environment."""

    def __init__(self, command: str) -> None:
        self._command = command

    def users(self, vhost: str) -> dict[str, FoundUser]:
        """Return who is there."""
        return found_users(json.loads(self._run("export_definitions", "-")), vhost=vhost)

    def load(self, definitions: Mapping[str, Any]) -> None:
        """Import definitions; not over the command line, which everybody may see."""
        self._run("import_definitions", given=json.dumps(definitions))

    def unlimit(self, user: str, vhost: str) -> None:
        """Take away topic permissions."""
        self._run("clear_topic_permissions", "-p", vhost, user)

    def remove(self, user: str) -> None:
        """Remove a user."""
        self._run("delete_user", user)

    def condition(self) -> Condition:
        """Return alarms and clock."""
        told = json.loads(self._run("status", "--formatter", "json")).get("alarms", [])
        clock = float(self._run("eval", "erlang:system_time(millisecond)."))
        alarms = tuple(each if isinstance(each, str) else json.dumps(each) for each in told)
        return Condition(alarms=alarms, clock=clock / 1000)

    def _run(self, *words: str, given: str = "") -> str:
        try:
            done = subprocess.run(
                [self._command, "--quiet", *words],
                input=given,
                capture_output=True,
                text=True,
                timeout=_COMMAND_WITHIN,
                check=False,
            )
        except FileNotFoundError:
            raise Misconfigured(
                f"there is no command {self._command!r} here; set TASKYARD_AMQP_ADMIN to the URL "
                "of the management API, or run this where RabbitMQ is"
            ) from None
        except subprocess.TimeoutExpired:
            raise BrokerUnavailable(
                f"{self._command} gave no answer in {_COMMAND_WITHIN:g} s"
            ) from None
        if done.returncode:
            said = (done.stderr or done.stdout).strip()
            raise BrokerUnavailable(f"{self._command} {words[0]} failed: {said[:1000]}")
        return done.stdout
