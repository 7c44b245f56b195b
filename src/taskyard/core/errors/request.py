"""What is wrong with a request, or with who sends it."""

from taskyard.core.errors.base import Refused


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


class PoolNotFound(Refused):
    """The routing table has no pool of this name. See GET /v1/pools."""

    code = "pool-not-found"
    title = "The pool was not found"


class WorkerNotFound(Refused):
    """No worker of this name was seen lately. See GET /v1/pools/{pool}."""

    code = "worker-not-found"
    title = "The worker was not found"


class SessionNotFound(Refused):
    """You have no open session with this id. See GET /v1/sessions."""

    code = "session-not-found"
    title = "The session was not found"
