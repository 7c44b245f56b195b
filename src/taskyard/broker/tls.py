"""TLS to the broker, as py-amqp and kombu take it, and why it failed in words.

aiormq reads the same parameters from the URL by itself. Whoever speaks amqps:// checks the
certificate and its name; there is no way to say otherwise but `no_verify_ssl` in the URL, which
production mode refuses.
"""

import ssl
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from taskyard.core.certificates import advice

DEFAULT_PORTS = {"amqp": 5672, "amqps": 5671}


def options(url: str) -> dict[str, Any] | None:
    """Return how to connect with TLS; None for a URL without it."""
    parts = urlsplit(url)
    said = dict(parse_qsl(parts.query))
    if parts.scheme != "amqps":
        return None
    verified = said.get("no_verify_ssl", "0") == "0"
    return {
        "ca_certs": said.get("cafile"),
        "certfile": said.get("certfile"),
        "keyfile": said.get("keyfile"),
        "cert_reqs": ssl.CERT_REQUIRED if verified else ssl.CERT_NONE,
        # Without its name the certificate of any server would do.
        "server_hostname": parts.hostname if verified else None,
        "tls_minimum_version": ssl.TLSVersion.TLSv1_2,
    }


def explained(error: BaseException) -> str:
    """Return what a failed connection says, and what to do about it if TLS is at fault."""
    said = str(error) or type(error).__name__
    hint = advice(said, server="the broker", ca="TASKYARD_AMQP_TLS_CA")
    return f"{said}: {hint}" if hint else said
