"""Procrastinate: its queue is a table of Postgres, its results are how tasks ended, no values."""

import os

import procrastinate

app = procrastinate.App(
    connector=procrastinate.PsycopgConnector(
        conninfo=os.environ["PEER_DATABASE_URL"], min_size=1, max_size=8
    )
)


@app.task(name="bench.noop")
async def noop(n: int, data: str = "") -> None:
    """Do nothing."""
