"""Signing: what a delivery says, opened, and the headers that show who sends it."""

from datetime import datetime

from standardwebhooks.webhooks import Webhook as Signer

from taskyard.core.errors import Misconfigured
from taskyard.services.webhook_policy import WebhookPolicy
from taskyard.storage import deliveries, webhooks
from taskyard.storage.deliveries import Due


def signed(due: Due, *, policy: WebhookPolicy, now: datetime) -> tuple[str, dict[str, str]]:
    """Return the body and the headers of Standard Webhooks, a signature for each live secret.

    Raises EncryptionKeyMissing and SealBroken, and Misconfigured when there is no secret.
    """
    body = policy.ring.open_text(due.body, deliveries.body_place(due.tenant, due.id))
    signatures = (Signer(each).sign(str(due.id), now, body) for each in _secrets(due, policy))
    return body, {
        "webhook-id": str(due.id),
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
        "Content-Type": "application/json",
    }


def _secrets(due: Due, policy: WebhookPolicy) -> list[str]:
    if due.webhook_id is None:
        if policy.notify_secret is None:
            raise Misconfigured("TASKYARD_NOTIFY_SECRET is not set")
        return [policy.notify_secret]
    place = webhooks.secret_place(due.tenant, due.webhook_id)
    stored = [each for each in (due.secret, due.former_secret) if each is not None]
    return [policy.ring.open_text(each.decode(), place) for each in stored]
