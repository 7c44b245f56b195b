"""The broker's own TLS: what a client shows, and what the broker makes of it."""

import asyncio
from pathlib import Path

import pytest

from taskyard.broker.declare import connected
from taskyard.broker.publisher import open_publisher
from taskyard.core.errors import BrokerUnavailable
from taskyard.settings import load
from tests.tls import Authority

ROOT = Path(__file__).parents[3]


def complete(amqps_url: str, ca: Path, certificate: str = "", key: str = "") -> str:
    """Return the URL with what the settings say of TLS."""
    given = load(
        {
            "TASKYARD_DATABASE_URL": "postgresql://u@localhost/d",
            "TASKYARD_AMQP_URL": amqps_url,
            "TASKYARD_AMQP_TLS_CA": str(ca),
            "TASKYARD_AMQP_TLS_CERTIFICATE": certificate,
            "TASKYARD_AMQP_TLS_KEY": key,
            "TASKYARD_ROUTING": str(ROOT / "routing"),
            "TASKYARD_WORKERS": str(ROOT),
        }
    )
    return given.amqp_url


async def test_a_certificate_is_shown_to_the_broker(amqps_url: str, tls_folder: Path) -> None:
    """One that it trusts is taken, by the clients of every role."""
    files = [str(tls_folder / f"client.test.{suffix}") for suffix in ("pem", "key")]
    url = complete(amqps_url, tls_folder / "ca.pem", *files)
    with connected(url) as broker:
        broker.channel()
    async with open_publisher(url, "amq.topic") as publisher, asyncio.timeout(10):
        await publisher.connected.wait()


def test_a_certificate_that_the_broker_does_not_trust_is_refused(
    amqps_url: str, tls_folder: Path, tmp_path: Path
) -> None:
    """Which shows that it was sent; and the setting that names it is said."""
    strange = Authority.made(tmp_path).issue("client.test")
    url = complete(amqps_url, tls_folder / "ca.pem", *strange)
    with (
        pytest.raises(BrokerUnavailable, match="TASKYARD_AMQP_TLS_CERTIFICATE"),
        connected(url) as broker,
    ):
        broker.channel()
