"""`python -m benchmarks.empty_quart PORT PROCESSES`: a Quart POST that does nothing, on granian."""

import sys

from granian import Granian
from granian.constants import HTTPModes, Interfaces, Loops
from quart import Quart

Reply = tuple[dict[str, str], int]


def asgi() -> Quart:
    """Return the application."""
    app = Quart(__name__)

    @app.post("/v1/tasks")
    async def submit() -> Reply:
        return {"id": "none"}, 202

    @app.get("/livez")
    async def livez() -> Reply:
        return {"status": "ok"}, 200

    return app


def main(port: str, workers: str) -> None:
    """Serve until SIGTERM."""
    Granian(
        "benchmarks.empty_quart:asgi",
        factory=True,
        address="127.0.0.1",
        port=int(port),
        interface=Interfaces.ASGI,
        workers=int(workers),
        loop=Loops.uvloop,
        http=HTTPModes.http1,
        websockets=False,
        log_enabled=False,
    ).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
