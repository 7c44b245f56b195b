"""The settings of TLS, of the broker's users, and of production mode."""

import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from taskyard.setting import Setting, one_of, yes_or_no


def _folder_to_be(text: str) -> Path | None:
    return Path(text).resolve() if text else None


def _file(text: str) -> Path | None:
    if text and not os.access(text, os.R_OK):
        raise ValueError(f"names the file {text!r}, which cannot be read")
    return Path(text).resolve() if text else None


def _administration(text: str) -> str:
    # It holds an administrator's password, so it is not shown.
    parts = urlsplit(text)
    if not text or ("://" in text and (parts.scheme not in ("http", "https") or not parts.netloc)):
        raise ValueError("is neither a command nor a URL like https://admin:password@host:15671")
    return text


_FILES = {
    "amqp_tls_ca": "the CAs that may vouch for the broker, in PEM; else the system's",
    "amqp_tls_certificate": "the certificate that is shown to the broker",
    "amqp_tls_key": "its private key",
    "database_tls_ca": "the CAs that may vouch for Postgres, in PEM; implies sslmode=verify-full",
    "database_tls_certificate": "the certificate that is shown to Postgres",
    "database_tls_key": "its private key",
    "api_tls_certificate": "the certificate of the API, which then speaks HTTPS only",
    "api_tls_key": "its private key",
}

SECURITY: Mapping[str, Setting] = {
    "mode": Setting(
        parse=one_of("development", "production"),
        default="development",
        meaning="production refuses what is convenient and unsafe",
    ),
    "behind_proxy": Setting(
        parse=yes_or_no,
        default="false",
        meaning="whether TLS ends in a proxy, which alone can reach the API",
    ),
    "amqp_users": Setting(
        parse=_folder_to_be,
        default="",
        meaning="the folder with the password of each role's own user of the broker",
    ),
    "amqp_admin": Setting(
        parse=_administration,
        default="rabbitmqctl",
        meaning="how users are made: the URL of the management API, or the command rabbitmqctl",
        secret=True,
    ),
    **{name: Setting(parse=_file, default="", meaning=meaning) for name, meaning in _FILES.items()},
}
