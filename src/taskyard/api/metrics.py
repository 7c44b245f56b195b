"""GET /metrics: the whole yard from Postgres, and what the API's processes count of themselves."""

import asyncio
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from ipaddress import IPv6Address, ip_address

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from quart import Blueprint, Quart, Request, Response, g, request

from taskyard.api.auth import asked
from taskyard.api.metric_families import health_families, yard_families
from taskyard.api.parts import Parts
from taskyard.core.addresses import Network
from taskyard.core.errors import StorageUnavailable
from taskyard.process_metrics import ProcessMetrics
from taskyard.services.statistics import Snapshot, snapshot
from taskyard.storage.pool import borrowed

PATH = "/metrics"
_PROXIED = ("Forwarded", "X-Forwarded-For")


def metrics_blueprint(parts: Parts) -> Blueprint:
    """Serve metrics as OpenMetrics or as Prometheus's older text, whichever is asked for."""
    blueprint = Blueprint("metrics", __name__)

    @blueprint.get(PATH)
    async def metrics() -> Response:
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Given(await _families(parts)))
        encode, media_type = choose_encoder(request.headers.get("Accept", ""))
        # Beside the event loop: with many types it takes as long as some submissions.
        text = await asyncio.to_thread(encode, registry)
        return Response(text, content_type=media_type)

    return blueprint


class _Given(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def _families(parts: Parts) -> list[Metric]:
    began = time.monotonic()
    try:
        found: Snapshot | None = await _snapshot(parts)
        seconds: float | None = time.monotonic() - began
    except StorageUnavailable:  # this is when somebody looks
        found = seconds = None
    return [
        *(yard_families(found) if found else ()),
        *health_families(
            database_seconds=seconds,
            broker_up=parts.publisher.connected.is_set(),
            version=version("taskyard"),
        ),
        *parts.metrics.collect(),
    ]


async def _snapshot(parts: Parts) -> Snapshot:
    async with borrowed(parts.pool) as connection:
        return await snapshot(connection)


def register_measuring(app: Quart, metrics: ProcessMetrics) -> None:
    """Count every request by the route that it found, and measure it."""

    @app.before_request
    async def begin() -> None:
        g.began = time.monotonic()

    @app.after_request
    async def count(response: Response) -> Response:
        if "began" in g:
            _, route = asked()
            seconds = time.monotonic() - g.began
            metrics.answered(request.method, route or "none", response.status_code, seconds)
        return response


def scraping_from(networks: tuple[Network, ...]) -> Callable[[Request], bool]:
    """Return what tells whether a request may scrape without a key: by where it comes from.

    What came through a proxy may come from anywhere.
    """

    def may_scrape(scrape: Request) -> bool:
        if not networks or any(name in scrape.headers for name in _PROXIED):
            return False
        try:
            address = ip_address(scrape.remote_addr or "")
        except ValueError:
            return False
        if isinstance(address, IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in networks)

    return may_scrape
