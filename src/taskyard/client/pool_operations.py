"""What is done to pools and workers, as calls."""

from dataclasses import replace

from taskyard.client.exchange import Call, Request
from taskyard.client.operations import body_of, given
from taskyard.client.requests import post, segment
from taskyard.client.yard_documents import PoolWhole, Worker


def pause(name: str, reason: str | None) -> Call[PoolWhole]:
    """Pause a pool."""
    return Call(
        _again(post(f"/v1/pools/{segment(name)}/pause", body_of(given({"reason": reason})))),
        PoolWhole,
    )


def resume(name: str) -> Call[PoolWhole]:
    """Resume a pool."""
    return Call(_again(post(f"/v1/pools/{segment(name)}/resume")), PoolWhole)


def drain(name: str) -> Call[Worker]:
    """Drain a worker."""
    return Call(_again(post(f"/v1/workers/{segment(name)}/drain")), Worker)


def _again(request: Request) -> Request:
    """What is so already stays so: it may be sent again."""
    return replace(request, safe=True)
