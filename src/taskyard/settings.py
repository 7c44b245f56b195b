"""The settings of a deployment: read once, checked whole, frozen."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from taskyard import access, connections, production
from taskyard import setting_readers as read
from taskyard.core import units
from taskyard.core.addresses import Network
from taskyard.core.errors import Fault, InvalidSettings
from taskyard.core.principal import DEFAULT_TENANT, TenantId
from taskyard.core.sealed import EncryptionKeys, parse_keys
from taskyard.redaction import redacted
from taskyard.secret_files import FILE_SUFFIX, text_of
from taskyard.setting import Setting, one_of, yes_or_no
from taskyard.settings_observing import OBSERVING
from taskyard.settings_security import SECURITY

PREFIX = "TASKYARD_"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Settings:
    """What a process needs to know of its surroundings. Names: TASKYARD_ and the field's, upper."""

    database_url: str
    amqp_url: str
    routing: Path = Path("routing")
    workers: Path = Path()
    stores: Mapping[str, str]
    prefix: str = "taskyard"
    api_host: str = "127.0.0.1"
    api_port: int = 8000
    api_workers: int = 1
    key_pepper: bytes = field(default=b"", repr=False)
    events_tenant: TenantId = DEFAULT_TENANT
    largest_backlog: int = 1_000_000
    submit_target: timedelta = timedelta(milliseconds=30)
    longest_drain: timedelta = timedelta(days=1)
    issuers: Path | None = None
    session_keys: tuple[str, ...] = field(default=(), repr=False)
    public_url: str | None = None
    webhooks_insecure: bool = False
    webhooks_networks: tuple[Network, ...] = ()
    encryption_keys: EncryptionKeys = field(default_factory=EncryptionKeys)
    notify_secret: str | None = field(default=None, repr=False)
    lifecycle_events: tuple[str, ...] = ("task.#",)
    metrics_networks: tuple[Network, ...] = ()
    log_format: str = "auto"
    log_level: str = "info"
    metrics_listen: tuple[str, int] | None = None
    otlp_endpoint: str | None = None
    trace_url: str | None = None
    mode: str = "development"
    behind_proxy: bool = False
    amqp_users: Path | None = None
    amqp_admin: str = field(default="rabbitmqctl", repr=False)
    amqp_tls_ca: Path | None = None
    amqp_tls_certificate: Path | None = None
    amqp_tls_key: Path | None = None
    database_tls_ca: Path | None = None
    database_tls_certificate: Path | None = None
    database_tls_key: Path | None = None
    api_tls_certificate: Path | None = None
    api_tls_key: Path | None = None

    @property
    def production(self) -> bool:
        """Whether what is convenient and unsafe is refused."""
        return self.mode == "production"

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be seen anywhere: passwords, keys, secrets."""
        urls = (self.database_url, self.amqp_url, self.amqp_admin)
        passwords = [urlsplit(url).password or "" for url in urls]
        keys = [base64.b64encode(key).decode() for key in self.encryption_keys.secrets.values()]
        pepper = self.key_pepper.decode(errors="replace")
        found = [
            *passwords, *map(unquote, passwords), *keys, *self.session_keys,
            self.notify_secret or "", pepper,
        ]  # fmt: skip
        return tuple(filter(None, found))

    def __repr__(self) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)
        return f"Settings({redacted(', '.join(shown))})"


SETTINGS: Mapping[str, Setting] = {
    "database_url": Setting(
        parse=read.url("postgresql", "postgres"),
        meaning="Postgres 15 or newer, which holds the truth",
        secret=True,
    ),
    "amqp_url": Setting(
        parse=read.url("amqp", "amqps"),
        meaning="RabbitMQ 3.10 or newer, which carries the wake-ups",
        secret=True,
    ),
    "routing": Setting(
        parse=read.folder,
        default="routing",
        meaning="the folder with pools.toml, tasks.toml, events.toml, resources.toml, limits.toml",
    ),
    "workers": Setting(
        parse=read.folder, default=".", meaning="the folder put on the import path for task code"
    ),
    "stores": Setting(
        parse=read.stores,
        default="inputs=examples/files,outputs=.taskyard/files",
        meaning="where tasks may read and write files: name=folder or name=s3://bucket/path, …",
    ),
    "prefix": Setting(
        parse=read.name, default="taskyard", meaning="what names of exchanges and queues begin with"
    ),
    "api_host": Setting(parse=str, default="127.0.0.1", meaning="the address the API listens on"),
    "api_port": Setting(
        parse=read.number(1, 65535), default="8000", meaning="the port the API listens on"
    ),
    "api_workers": Setting(
        parse=read.number(1, 64), default="1", meaning="how many processes serve the API"
    ),
    "key_pepper": Setting(
        parse=read.pepper,
        default="",
        meaning="keys the digests of API keys; another one makes every key invalid",
        secret=True,
    ),
    "events_tenant": Setting(
        parse=read.tenant,
        default=DEFAULT_TENANT,
        meaning="the tenant to which events from the broker belong",
    ),
    "largest_backlog": Setting(
        parse=read.number(1, 1_000_000_000),
        default="1000000",
        meaning="how many tasks may wait, in all pools together, before submissions are refused",
    ),
    "submit_target": Setting(
        parse=units.duration,
        default="30ms",
        meaning="what submissions may take on average before fewer are let in at once",
    ),
    "longest_drain": Setting(
        parse=units.duration,
        default="1d",
        meaning="bounds the drain of every pool: how long a stopping worker lets its tasks run",
    ),
    "issuers": Setting(
        parse=access.file,
        default="",
        meaning="the file that names the issuers whose tokens (JWT) are taken",
    ),
    "session_keys": Setting(
        parse=access.session_keys,
        default="",
        meaning="keys that sign the sessions of the dashboard; the first one signs",
        secret=True,
    ),
    "public_url": Setting(
        parse=access.public_url,
        default="",
        meaning="where browsers find the API: https://tasks.example.com",
    ),
    "webhooks_insecure": Setting(
        parse=yes_or_no,
        default="false",
        meaning="whether webhooks may be called over plain http; for development only",
    ),
    "webhooks_networks": Setting(
        parse=read.networks,
        default="",
        meaning="networks that webhooks may call though they are not public: 10.1.0.0/16, …",
    ),
    "encryption_keys": Setting(
        parse=parse_keys,
        default="",
        meaning="keys that encrypt what callers send, as <id>:<key>, …; the first one closes",
        secret=True,
    ),
    "notify_secret": Setting(
        parse=read.signing_secret,
        default="",
        meaning="the secret that signs what is sent to the notify_url of a task",
        secret=True,
    ),
    "lifecycle_events": Setting(
        parse=read.patterns,
        default="task.#",
        meaning="which changes are published, as patterns over task.<type>.<state>",
    ),
    "metrics_networks": Setting(
        parse=read.networks,
        default="",
        meaning="networks from which /metrics is served without a key: 127.0.0.1/32, …",
    ),
    "log_format": Setting(
        parse=one_of("auto", "human", "json"),
        default="auto",
        meaning="how logs are written; auto is human on a terminal and json elsewhere",
    ),
    "log_level": Setting(
        parse=one_of("debug", "info", "warning", "error"),
        default="info",
        meaning="the least severe level that is logged",
    ),
    **OBSERVING,
    **SECURITY,
}


def load(environ: Mapping[str, str]) -> Settings:
    """Read the settings from environment variables, and secrets from the files these name.

    Raises InvalidSettings with every fault there is, not only the first.
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, setting in SETTINGS.items():
        variable = PREFIX + name.upper()
        try:
            text = text_of(environ, variable, secret=setting.secret)
        except ValueError as error:
            faults.append(Fault(variable + FILE_SUFFIX, str(error)))
            continue
        text = setting.default if text is None else text
        if text is None:
            faults.append(Fault(variable, f"is not set; it is {setting.meaning}"))
            continue
        try:
            values[name] = setting.parse(text)
        except ValueError as error:
            faults.append(Fault(variable, str(error)))
    if faults:
        raise InvalidSettings("the settings are not valid", faults=tuple(faults))
    given = connections.completed(Settings(**values))
    if wrong := (*connections.faults(given), *production.faults(given)):
        raise InvalidSettings("the settings are not valid", faults=wrong)
    return given
