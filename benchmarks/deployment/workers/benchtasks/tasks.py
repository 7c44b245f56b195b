"""The task that the measurements run."""

from taskyard import task


@task("bench.noop")
def noop(n: int) -> dict[str, int]:
    """Do nothing."""
    return {"n": n}
