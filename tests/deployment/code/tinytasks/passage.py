"""A passage that may be narrow."""

import os
import time

from taskyard import current


def stay(path: str, seconds: float) -> None:
    """Write down, by the clock of the machine, when an attempt began and when it ended."""
    name = f"{current.task_id}/{current.attempt} {os.getpid()}"
    for what in ("in", "out"):
        with open(path, "a") as file:
            file.write(f"{time.monotonic()} {what} {name}\n")
        if what == "in":
            time.sleep(seconds)
