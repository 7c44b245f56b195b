"""Every error Taskyard raises, each with a stable code.

    TaskyardError
    ├── Refused                      the caller asked for what cannot be; nothing was stored
    │   ├── Unauthenticated          unauthenticated
    │   ├── Forbidden                forbidden
    │   ├── MalformedBody            malformed-body
    │   ├── UnsupportedMediaType     unsupported-media-type
    │   ├── InvalidRequest           invalid-request       (fields: a pointer and a sentence each)
    │   ├── InvalidArguments         invalid-arguments     (fields likewise)
    │   ├── PayloadTooLarge          payload-too-large
    │   ├── BodyTooSlow              request-timeout
    │   ├── IdempotencyKeyReused     idempotency-key-reused
    │   ├── UnknownTaskType          unknown-task-type
    │   ├── Limited                  come again after retry_after seconds
    │   │   ├── RateLimited          rate-limited
    │   │   └── QuotaExceeded        quota-exceeded
    │   ├── TaskNotFound             task-not-found
    │   ├── TaskGone                 task-gone
    │   ├── NotReplayable            not-replayable
    │   ├── EventNotFound            event-not-found
    │   ├── PoolNotFound             pool-not-found
    │   ├── WorkerNotFound           worker-not-found
    │   ├── WebhookNotFound          webhook-not-found
    │   ├── DeliveryNotFound         delivery-not-found
    │   ├── SessionNotFound          session-not-found
    │   ├── WebhookDisabled          webhook-disabled
    │   ├── NotFeasible              not-feasible
    │   ├── AlreadyStarted           already-started
    │   └── TooLate                  too-late
    ├── Unavailable                  a part we need does not answer; safe to try again
    │   ├── StorageUnavailable       storage-unavailable
    │   ├── Overloaded               overloaded
    │   ├── BacklogFull              backlog-full
    │   ├── BrokerUnavailable        broker-unavailable
    │   ├── IssuerUnavailable        issuer-unavailable
    │   ├── OutcomeUnknown           outcome-unknown
    │   └── EncryptionKeyMissing     encryption-key-missing
    ├── SealBroken                   seal-broken
    └── Misconfigured                settings, routing or topology are at fault; every fault listed
        ├── InvalidSettings          invalid-settings
        ├── InvalidRouting           invalid-routing
        ├── InvalidIssuers           invalid-issuers
        ├── SchemaOutdated           schema-outdated
        └── TopologyMissing          topology-missing

The docstring of each class is its explanation to users: it is shown at /problems/<code>.
"""

from taskyard.core.errors.base import (
    Fault,
    Misconfigured,
    Refused,
    TaskyardError,
    Unavailable,
)
from taskyard.core.errors.configuration import (
    InvalidIssuers,
    InvalidRouting,
    InvalidSettings,
    SchemaOutdated,
    TopologyMissing,
)
from taskyard.core.errors.outward import (
    DeliveryNotFound,
    EventNotFound,
    WebhookDisabled,
    WebhookNotFound,
)
from taskyard.core.errors.quota import (
    Limited,
    QuotaExceeded,
    RateLimited,
)
from taskyard.core.errors.request import (
    BodyTooSlow,
    Forbidden,
    IdempotencyKeyReused,
    InvalidArguments,
    InvalidRequest,
    MalformedBody,
    PayloadTooLarge,
    PoolNotFound,
    SessionNotFound,
    Unauthenticated,
    UnknownTaskType,
    UnsupportedMediaType,
    WorkerNotFound,
)
from taskyard.core.errors.task import (
    AlreadyStarted,
    NotFeasible,
    NotReplayable,
    TaskGone,
    TaskNotFound,
    TooLate,
)
from taskyard.core.errors.unavailable import (
    BacklogFull,
    BrokerUnavailable,
    EncryptionKeyMissing,
    IssuerUnavailable,
    OutcomeUnknown,
    Overloaded,
    SealBroken,
    StorageUnavailable,
)

__all__ = [
    "AlreadyStarted", "BacklogFull", "BodyTooSlow", "BrokerUnavailable", "DeliveryNotFound",
    "EncryptionKeyMissing", "EventNotFound", "Fault", "Forbidden", "IdempotencyKeyReused",
    "InvalidArguments", "InvalidIssuers", "InvalidRequest", "InvalidRouting", "InvalidSettings",
    "IssuerUnavailable", "Limited", "MalformedBody", "Misconfigured", "NotFeasible",
    "NotReplayable", "OutcomeUnknown", "Overloaded", "PayloadTooLarge", "PoolNotFound",
    "QuotaExceeded", "RateLimited", "Refused", "SchemaOutdated", "SealBroken",
    "SessionNotFound", "StorageUnavailable", "TaskGone", "TaskNotFound", "TaskyardError", "TooLate",
    "TopologyMissing", "Unauthenticated", "Unavailable", "UnknownTaskType",
    "UnsupportedMediaType", "WebhookDisabled", "WebhookNotFound", "WorkerNotFound",
]  # fmt: skip
