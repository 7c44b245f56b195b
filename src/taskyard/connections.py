"""The servers' URLs, completed by what the settings say of TLS; and what is wrong with that."""

import ssl
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

from taskyard.core.errors import Fault

if TYPE_CHECKING:
    from taskyard.settings import Settings

VERIFIED = "verify-full"  # libpq: the certificate's chain and its name are checked


def completed(given: "Settings") -> "Settings":
    """Return the settings with all that a connection needs in its URL.

    What a URL says itself is kept. AMQP URLs have the parameters that aiormq reads, those of
    Postgres the ones of libpq.
    """
    return replace(
        given,
        amqp_url=_with(given.amqp_url, _amqp(given)),
        database_url=_with(given.database_url, _database(given)),
    )


def as_user(url: str, user: str, password: str) -> str:
    """Return a URL for another user."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return urlunsplit(parts._replace(netloc=f"{credentials}@{host}"))


def parameters(url: str) -> dict[str, str]:
    """Return what stands behind the question mark of a URL."""
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))


def faults(given: "Settings") -> Iterator[Fault]:
    """Yield how the settings of TLS disagree, and which files are of no use."""
    for thing in ("amqp", "database", "api"):
        ca, certificate, key = (
            getattr(given, f"{thing}_tls_{what}", None) for what in ("ca", "certificate", "key")
        )
        variable = f"TASKYARD_{thing.upper()}_TLS"
        if (certificate is None) != (key is None):
            missing = "KEY" if key is None else "CERTIFICATE"
            yield Fault(f"{variable}_{missing}", "is not set, but its other half is")
        elif certificate and key and (problem := _unusable_pair(certificate, key)):
            yield Fault(f"{variable}_CERTIFICATE", f"cannot be used with its key: {problem}")
        if ca and (problem := _unusable_authorities(ca)):
            yield Fault(f"{variable}_CA", f"holds no certificates in PEM: {problem}")
    yield from _contradictions(given)


def _contradictions(given: "Settings") -> Iterator[Fault]:
    if (given.amqp_tls_ca or given.amqp_tls_certificate) and not given.amqp_url.startswith("amqps"):
        yield Fault("TASKYARD_AMQP_URL", "is amqp://, but there are settings of TLS; use amqps://")
    mode = parameters(given.database_url).get("sslmode", VERIFIED)
    if given.database_tls_ca and mode != VERIFIED:
        yield Fault(
            "TASKYARD_DATABASE_URL",
            f"says sslmode={mode}, which does not check whom it talks to; leave it out, since "
            f"TASKYARD_DATABASE_TLS_CA implies sslmode={VERIFIED}",
        )


def _amqp(given: "Settings") -> dict[str, Path | str | None]:
    if not given.amqp_url.startswith("amqps"):
        return {}
    return {
        "cafile": given.amqp_tls_ca,
        "certfile": given.amqp_tls_certificate,
        "keyfile": given.amqp_tls_key,
    }


def _database(given: "Settings") -> dict[str, Path | str | None]:
    return {
        "sslmode": VERIFIED if given.database_tls_ca else None,
        "sslrootcert": given.database_tls_ca,
        "sslcert": given.database_tls_certificate,
        "sslkey": given.database_tls_key,
    }


def _with(url: str, more: Mapping[str, Path | str | None]) -> str:
    said = parameters(url)
    added = {key: str(value) for key, value in more.items() if value and key not in said}
    if not added:
        return url
    query = urlencode(said | added, quote_via=quote)
    return urlunsplit(urlsplit(url)._replace(query=query))


def _unusable_pair(certificate: Path, key: Path) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password of our own, an encrypted key would ask for one at the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except (OSError, ValueError) as error:
        return str(error)
    return None


def _unusable_authorities(ca: Path) -> str | None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        context.load_verify_locations(ca)
    except (OSError, ValueError) as error:
        return str(error)
    return None
