"""What the tenant of a request may submit, and the header fields that say so."""

from collections.abc import Sequence

from quart import Quart, Response, g

from taskyard.api.caller import caller
from taskyard.api.parts import Parts
from taskyard.core.errors import BacklogFull, NotFeasible, Overloaded
from taskyard.core.task import NewTask
from taskyard.services.quotas import Admission

# What is refused with these is not stored, for sure: it costs nothing.
NOT_STORED = (BacklogFull, NotFeasible, Overloaded)


def register_quotas(app: Quart, parts: Parts) -> None:
    """Say in every answer to a submission what is left of the tenant's rate.

    Source: draft-ietf-httpapi-ratelimit-headers-10, sections 3 and 4; the quota unit is the task.
    """

    @app.after_request
    async def tell(response: Response) -> Response:
        if "asked_quotas" in g and (state := parts.quotas.state(caller().tenant)):
            rate = state.rate
            response.headers["RateLimit-Policy"] = f'"tasks";q={rate.count};w={rate.seconds:.0f}'
            response.headers["RateLimit"] = f'"tasks";r={state.left};t={state.full_in}'
        return response


async def admit(parts: Parts, new: NewTask) -> None:
    """Take a task from the tenant's allowance. Raises RateLimited and QuotaExceeded."""
    admission = await admit_many(parts, [new])
    if admission.refusal is not None:
        raise admission.refusal


async def admit_many(parts: Parts, tasks: Sequence[NewTask]) -> Admission:
    """Take as many tasks as may be from the tenant's allowance, the first ones first."""
    g.asked_quotas = True
    sizes = [len(task.args) for task in tasks]
    return await parts.quotas.admit(caller().tenant, sizes)


def give_back(parts: Parts, count: int) -> None:
    """Repeats cost nothing, nor does what is refused after all."""
    parts.quotas.give_back(caller().tenant, count)
