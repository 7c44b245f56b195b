"""The operations on webhooks and deliveries."""

from taskyard.api import webhook_views as views
from taskyard.api.operation import AWAY, CURSOR, JSON, LIMIT, UNREADABLE, Operation
from taskyard.core.principal import Scope
from taskyard.services.webhooks import RotateRequest, WebhookChangeRequest, WebhookRequest

_TAG = "Webhooks"
_NONE = {404: ("webhook-not-found",)}
_INVALID = {422: ("invalid-request",)}

WEBHOOK_OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="post",
        path="/v1/webhooks",
        scope=Scope.ADMIN,
        whole_tenant=True,
        tag=_TAG,
        summary="Subscribe an endpoint to changes of tasks",
        description="`events` are topic patterns over `task.<type>.<state>`: `*` stands for one "
        "word, `#` for any number. Each change from now on that matches one is sent by POST, "
        "signed as Standard Webhooks has it, at least once. The reply holds the secret, which is "
        "never shown again. The URL must be https and lead to a public address, unless this "
        "deployment allows more.",
        body={JSON: WebhookRequest},
        example={"url": "https://example.com/hooks", "events": ["task.image.*.failed"]},
        status=201,
        answer=views.WebhookWithSecret,
        refusals={**UNREADABLE, **_INVALID, **AWAY},
    ),
    Operation(
        method="get",
        path="/v1/webhooks",
        scope=Scope.READ,
        whole_tenant=True,
        tag=_TAG,
        summary="List webhooks",
        answer=views.WebhookList,
        refusals=AWAY,
    ),
    Operation(
        method="get",
        path="/v1/webhooks/{webhook}",
        scope=Scope.READ,
        whole_tenant=True,
        tag=_TAG,
        summary="Read a webhook",
        answer=views.WebhookView,
        refusals={**_NONE, **AWAY},
    ),
    Operation(
        method="patch",
        path="/v1/webhooks/{webhook}",
        scope=Scope.ADMIN,
        whole_tenant=True,
        tag=_TAG,
        summary="Change, disable or enable a webhook",
        description="What is left out stays as it is. While it is disabled, nothing is sent and "
        "changes are not recorded for it; what was on its way waits until it is enabled.",
        body={JSON: WebhookChangeRequest},
        example={"disabled": False},
        answer=views.WebhookView,
        refusals={**UNREADABLE, **_NONE, **_INVALID, **AWAY},
    ),
    Operation(
        method="delete",
        path="/v1/webhooks/{webhook}",
        scope=Scope.ADMIN,
        whole_tenant=True,
        tag=_TAG,
        summary="Remove a webhook",
        description="Its log goes with it, and what was on its way.",
        status=204,
        refusals={**_NONE, **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/webhooks/{webhook}/rotate",
        scope=Scope.ADMIN,
        whole_tenant=True,
        tag=_TAG,
        summary="Give a webhook another secret",
        description="For the `overlap` (a day, if nothing is said; at most 30 days) the former "
        "secret signs as well: each request has both signatures. The body may be left out.",
        body={JSON: RotateRequest},
        example={"overlap": "12h"},
        body_required=False,
        answer=views.WebhookWithSecret,
        refusals={**UNREADABLE, **_NONE, **_INVALID, **AWAY},
    ),
    Operation(
        method="get",
        path="/v1/webhooks/{webhook}/deliveries",
        scope=Scope.READ,
        whole_tenant=True,
        tag=_TAG,
        summary="List what was sent to a webhook, newest first",
        description="Kept for seven days after it ended.",
        query=(
            (
                "state",
                {"enum": ["pending", "delivered", "failed"]},
                "Only this state; `failed` was given up.",
            ),
            LIMIT,
            CURSOR,
        ),
        answer=views.DeliveryPage,
        refusals={**_NONE, **_INVALID, **AWAY},
    ),
    Operation(
        method="get",
        path="/v1/webhooks/{webhook}/deliveries/{delivery}",
        scope=Scope.READ,
        whole_tenant=True,
        tag=_TAG,
        summary="Read a delivery",
        answer=views.DeliveryView,
        refusals={404: ("webhook-not-found", "delivery-not-found"), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/webhooks/{webhook}/test",
        scope=Scope.ADMIN,
        whole_tenant=True,
        tag=_TAG,
        summary="Try a webhook out",
        description="Sends the event `webhook.test`, which tells of nothing, signed and retried "
        "like any other. Read the delivery to see what was answered.",
        status=202,
        answer=views.DeliveryView,
        refusals={**_NONE, 409: ("webhook-disabled",), **AWAY},
    ),
    Operation(
        method="post",
        path="/v1/webhooks/{webhook}/deliveries/{delivery}/replay",
        scope=Scope.REPLAY,
        whole_tenant=True,
        tag=_TAG,
        summary="Send a delivery once more",
        description="With the same `webhook-id` and body, and all retries before it.",
        status=202,
        answer=views.DeliveryView,
        refusals={
            404: ("webhook-not-found", "delivery-not-found"),
            409: ("webhook-disabled",),
            **AWAY,
        },
    ),
)
