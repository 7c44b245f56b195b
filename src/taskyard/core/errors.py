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
    │   ├── WebhookNotFound          webhook-not-found
    │   ├── DeliveryNotFound         delivery-not-found
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

from dataclasses import dataclass
from math import ceil
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong at one place: a JSON Pointer (RFC 6901) or a file and key, and a sentence."""

    where: str
    problem: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}" if self.where else self.problem


class TaskyardError(Exception):
    """Something Taskyard can name went wrong."""

    code: ClassVar[str] = "error"
    title: ClassVar[str] = "Something went wrong"

    def __init__(self, detail: str, *, faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.detail = detail
        self.faults = faults


class Refused(TaskyardError):
    """The request cannot be carried out as it stands. Nothing was stored and nothing will run."""

    code = "refused"
    title = "The request was refused"


class Unauthenticated(Refused):
    """Send `Authorization: Bearer` with an API key or a token that is valid here."""

    code = "unauthenticated"
    title = "Who asks is not known"


class Forbidden(Refused):
    """The key or token is valid, but lacks the scope, or the task type, that this asks for."""

    code = "forbidden"
    title = "Not allowed with this key or token"


class MalformedBody(Refused):
    """The body is not JSON text in UTF-8 (RFC 8259). The detail names line and column."""

    code = "malformed-body"
    title = "The body is not valid JSON"


class UnsupportedMediaType(Refused):
    """The body must be sent as `application/json` (batches also as `application/x-ndjson`).

    It must not be compressed: send it without Content-Encoding.
    """

    code = "unsupported-media-type"
    title = "The media type is not supported"


class InvalidRequest(Refused):
    """A field is missing, unknown or has a value it may not have. Each is listed in `errors`."""

    code = "invalid-request"
    title = "The request has invalid fields"


class InvalidArguments(Refused):
    """The arguments do not fit the task type's JSON Schema. See GET /v1/task-types for it."""

    code = "invalid-arguments"
    title = "The arguments do not fit the task type"


class PayloadTooLarge(Refused):
    """The body is larger than this address takes, or the arguments exceed `max_args` of their type.

    Put the data into a store, and send where it is.
    """

    code = "payload-too-large"
    title = "The payload is too large"


class BodyTooSlow(Refused):
    """The body did not arrive in time. Send it at once, or over a better connection."""

    code = "request-timeout"
    title = "The body came too slowly"


class IdempotencyKeyReused(Refused):
    """The Idempotency-Key belongs to another request. Send a new key, or the first request."""

    code = "idempotency-key-reused"
    title = "The idempotency key was used for another request"


class UnknownTaskType(Refused):
    """No pool's pattern matches this task type, so nothing could run it. See GET /v1/task-types."""

    code = "unknown-task-type"
    title = "The task type is not known"


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


class TaskNotFound(Refused):
    """There is no task with this id."""

    code = "task-not-found"
    title = "The task was not found"


class TaskGone(Refused):
    """After its retention a task is removed, with its result and history.

    The id tells that it is old enough for that; whether there ever was such a task is not known.
    """

    code = "task-gone"
    title = "The task was removed"


class NotReplayable(Refused):
    """Only a task that failed, expired, was quarantined or was cancelled can be replayed.

    What has succeeded never changes: to run it once more, submit a new task.
    """

    code = "not-replayable"
    title = "The task cannot be replayed"


class EventNotFound(Refused):
    """There is no event with this key: it never was, or it was removed after its retention."""

    code = "event-not-found"
    title = "The event was not found"


class PoolNotFound(Refused):
    """The routing table has no pool of this name. See GET /v1/pools."""

    code = "pool-not-found"
    title = "The pool was not found"


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


class NotFeasible(Refused):
    """It will hardly be done by `finish_by`, even as the most urgent. Tells the earliest time."""

    code = "not-feasible"
    title = "It cannot be done by then"


class AlreadyStarted(Refused):
    """The task runs: only what waits has a place in the order. What runs can be cancelled."""

    code = "already-started"
    title = "The task has already started"


class TooLate(Refused):
    """The task has ended, and what it ended in never changes. The detail says when and how."""

    code = "too-late"
    title = "The task has already ended"


class Unavailable(TaskyardError):
    """A part Taskyard needs does not answer now. Try again after `retry_after` seconds."""

    code = "unavailable"
    title = "Taskyard is not available at the moment"
    retry_after: int = 1


class StorageUnavailable(Unavailable):
    """The database does not answer. The request was not accepted; try again."""

    code = "storage-unavailable"
    title = "The database is not available"


class Overloaded(Unavailable):
    """More requests wait to be stored than Taskyard will hold. Not accepted; try again later."""

    code = "overloaded"
    title = "Too many requests are waiting"


class BacklogFull(Unavailable):
    """More would wait, or longer, than this deployment allows its priority. Not accepted."""

    code = "backlog-full"
    title = "Too many tasks are waiting"

    def __init__(self, detail: str, *, retry_after: int = 5) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class BrokerUnavailable(Unavailable):
    """The message broker does not answer. Accepted tasks are safe and run once it is back."""

    code = "broker-unavailable"
    title = "The message broker is not available"


class IssuerUnavailable(Unavailable):
    """The keys that a token's issuer signs with cannot be read now; the token was not looked at."""

    code = "issuer-unavailable"
    title = "The issuer of the token is not available"
    retry_after = 5


class OutcomeUnknown(Unavailable):
    """The connection to the database broke while storing; whether it was stored is not known."""

    code = "outcome-unknown"
    title = "The outcome is not known"


class EncryptionKeyMissing(Unavailable):
    """What is asked for is encrypted with a key that TASKYARD_ENCRYPTION_KEYS does not name now."""

    code = "encryption-key-missing"
    title = "An encryption key is missing"
    retry_after = 30


class SealBroken(TaskyardError):
    """What was asked for is encrypted and does not open: it was changed or moved in storage."""

    code = "seal-broken"
    title = "What is stored cannot be read"
    permanent = True  # no further attempt of a task can help


class Misconfigured(TaskyardError):
    """The deployment's own configuration is at fault; every fault is listed with its place."""

    code = "misconfigured"
    title = "The configuration is at fault"


class InvalidSettings(Misconfigured):
    """One or more TASKYARD_… settings are missing or have values they may not have."""

    code = "invalid-settings"
    title = "The settings are not valid"


class InvalidRouting(Misconfigured):
    """One or more entries of the routing folder are at fault."""

    code = "invalid-routing"
    title = "The routing table is not valid"


class InvalidIssuers(Misconfigured):
    """One or more entries of the file that TASKYARD_ISSUERS names are at fault."""

    code = "invalid-issuers"
    title = "The issuers are not valid"


class SchemaOutdated(Misconfigured):
    """The database schema is not the one this version needs: run `taskyard migrate`."""

    code = "schema-outdated"
    title = "The database schema is outdated"


class TopologyMissing(Misconfigured):
    """An exchange or queue is missing in the broker: run `taskyard topology apply`."""

    code = "topology-missing"
    title = "The broker's topology is incomplete"
