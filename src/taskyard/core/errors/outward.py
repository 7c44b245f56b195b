"""What cannot be done with events and webhooks as they are."""

from taskyard.core.errors.base import Refused


class EventNotFound(Refused):
    """There is no event with this key: it never was, or it was removed after its retention."""

    code = "event-not-found"
    title = "The event was not found"


class WebhookNotFound(Refused):
    """There is no webhook with this id. See GET /v1/webhooks."""

    code = "webhook-not-found"
    title = "The webhook was not found"


class DeliveryNotFound(Refused):
    """The webhook has no delivery with this id. What has ended is removed after seven days."""

    code = "delivery-not-found"
    title = "The delivery was not found"


class WebhookDisabled(Refused):
    """Nothing is sent to a disabled webhook. Enable it with PATCH and `{"disabled": false}`."""

    code = "webhook-disabled"
    title = "The webhook is disabled"
