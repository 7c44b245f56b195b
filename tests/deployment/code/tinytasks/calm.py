"""Pool calm: threads."""

from taskyard import task


@task("calm.add")
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b
