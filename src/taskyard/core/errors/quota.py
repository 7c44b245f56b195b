"""What a tenant has had enough of for now."""

from math import ceil

from taskyard.core.errors.base import Refused


class Limited(Refused):
    """The tenant has had what it may for now. Try again after `retry_after` seconds."""

    code = "limited"
    title = "The tenant is limited"

    def __init__(self, detail: str, *, retry_after: float) -> None:
        super().__init__(detail)
        self.retry_after = max(1, ceil(retry_after))


class RateLimited(Limited):
    """The tenant submits faster than it may. Retry-After says when; RateLimit shows what is left.

    In a batch, those items were refused for which nothing was left.
    """

    code = "rate-limited"
    title = "Too many tasks in a short time"


class QuotaExceeded(Limited):
    """The tenant has as many tasks, or as many bytes, as it may have. Some must end first."""

    code = "quota-exceeded"
    title = "The tenant's quota is used up"
