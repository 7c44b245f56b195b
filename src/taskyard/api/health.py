"""Probes: /livez says that this process serves, /readyz that it can accept work."""

from quart import Blueprint, Response

from taskyard.api.parts import Parts
from taskyard.api.render import respond
from taskyard.api.views import Live, Ready
from taskyard.core.errors import SchemaOutdated, StorageUnavailable
from taskyard.storage.migrate import require_current
from taskyard.storage.pool import borrowed


def health_blueprint(parts: Parts) -> Blueprint:
    """Serve the probes."""
    blueprint = Blueprint("health", __name__)

    @blueprint.get("/livez")
    async def livez() -> Response:
        return respond(Live(status="ok"))

    @blueprint.get("/readyz")
    async def readyz() -> Response:
        """A broker that is away does not unready the API: submissions are accepted all the same."""
        database = await _database(parts)
        broker = "ok" if parts.publisher.connected.is_set() else "away: accepted tasks wait for it"
        ready = database == "ok"
        view = Ready(
            status="ok" if ready else "unavailable",
            checks={"database": database, "broker": broker},
        )
        return respond(view, 200 if ready else 503)

    return blueprint


async def _database(parts: Parts) -> str:
    try:
        async with borrowed(parts.pool) as connection:
            await require_current(connection)
    except (StorageUnavailable, SchemaOutdated) as error:
        return error.detail
    return "ok"
