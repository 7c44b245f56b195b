"""Pool threaded: the same in threads."""

from typing import Any

from faulty import witness
from taskyard import task
from taskyard.drill.history import Phase


@task("threaded.quick")
def quick() -> dict[str, Any]:
    """Succeed at once."""
    witness.note(Phase.BEGAN)
    return witness.done()


@task("threaded.transfer")
def transfer() -> dict[str, Any]:
    """Have an effect that takes part in the finishing transaction."""
    return witness.transfer()
