"""Problem details (RFC 9457) for every error: the only place where codes become statuses."""

import inspect
from collections.abc import Iterator

import structlog
from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException

from taskyard.api.methods import allow_of
from taskyard.api.render import respond
from taskyard.api.views import Fault, Problem
from taskyard.core import errors
from taskyard.core.errors import Limited, TaskyardError, Unauthenticated, Unavailable
from taskyard.redaction import redacted

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"

STATUS: dict[type[TaskyardError], int] = {
    errors.Unauthenticated: 401,
    errors.Forbidden: 403,
    errors.MalformedBody: 400,
    errors.UnsupportedMediaType: 415,
    errors.InvalidRequest: 422,
    errors.InvalidArguments: 422,
    errors.PayloadTooLarge: 413,
    errors.BodyTooSlow: 408,
    errors.IdempotencyKeyReused: 422,
    errors.UnknownTaskType: 404,
    errors.RateLimited: 429,
    errors.QuotaExceeded: 429,
    errors.TaskNotFound: 404,
    errors.TaskGone: 410,
    errors.PoolNotFound: 404,
    errors.WorkerNotFound: 404,
    errors.WebhookNotFound: 404,
    errors.DeliveryNotFound: 404,
    errors.SessionNotFound: 404,
    errors.WebhookDisabled: 409,
    errors.EventNotFound: 404,
    errors.TooLate: 409,
    errors.AlreadyStarted: 409,
    errors.NotFeasible: 409,
    errors.NotReplayable: 409,
    errors.StorageUnavailable: 503,
    errors.BrokerUnavailable: 503,
    errors.IssuerUnavailable: 503,
    errors.Overloaded: 503,
    errors.BacklogFull: 503,
    errors.OutcomeUnknown: 503,
    errors.EncryptionKeyMissing: 503,
    errors.SealBroken: 500,
}

# What the framework itself refuses has no class of ours; these are their codes.
_HTTP_CODES = {
    400: "bad-request",
    404: "not-found",
    405: "method-not-allowed",
    408: "request-timeout",
    413: "payload-too-large",
}


def problem(status: int, code: str, title: str, detail: str) -> Problem:
    """Return a problem without faulty fields."""
    return Problem(type=f"/problems/{code}", title=title, status=status, detail=detail, code=code)


def describe(error: TaskyardError) -> Problem:
    """Return the problem that an error of ours is; its faults become `errors`."""
    described = problem(STATUS[type(error)], error.code, error.title, redacted(error.detail))
    described.errors = [Fault(pointer=f.where, detail=redacted(f.problem)) for f in error.faults]
    return described


def come_again(error: TaskyardError | None) -> dict[str, str]:
    """Return the header that says when to try again, if the error is of that kind."""
    if isinstance(error, Unavailable | Limited):
        return {"Retry-After": str(error.retry_after)}
    return {}


def explanations() -> Iterator[tuple[str, str, str]]:
    """Yield code, title and explanation of every problem a client may meet."""
    for kind in STATUS:
        yield kind.code, kind.title, inspect.getdoc(kind) or ""
    yield "not-found", "Not Found", "There is nothing at this address. See /docs."
    yield "method-not-allowed", "Method Not Allowed", "See the Allow header for what may be sent."
    yield "bad-request", "Bad Request", "It is not HTTP as RFC 9112 has it; the detail says where."
    yield "uri-too-long", "URI Too Long", "Path and query may have 16 KiB."
    yield "headers-too-large", "Headers Too Large", "All headers together may have 32 KiB."
    yield "internal-error", "Internal Server Error", "A fault of ours; it was logged. Try again."


def _challenge() -> str:
    """Return what asks for a credential (RFC 6750, section 3): one that was sent is not valid."""
    shown = "Authorization" in request.headers
    return 'Bearer realm="taskyard"' + (', error="invalid_token"' if shown else "")


def register_errors(app: Quart) -> None:
    """Make every error of the application a problem."""

    @app.errorhandler(TaskyardError)
    async def on_refusal(error: TaskyardError) -> Response:
        status = STATUS.get(type(error))
        if status is None:
            return await on_fault(error)
        headers = come_again(error)
        if isinstance(error, Unauthenticated):
            headers["WWW-Authenticate"] = _challenge()
        return respond(describe(error), status, headers, media_type=MEDIA_TYPE)

    @app.errorhandler(HTTPException)
    async def on_http_error(error: HTTPException) -> Response:
        status = error.code or 500
        code = _HTTP_CODES.get(status, (error.name or "error").lower().replace(" ", "-"))
        methods = getattr(error, "valid_methods", None)
        headers = {"Allow": allow_of(app, request.path, methods)} if methods else {}
        members = problem(status, code, error.name, error.description or error.name)
        return respond(members, status, headers, media_type=MEDIA_TYPE)

    @app.errorhandler(Exception)
    async def on_fault(error: Exception) -> Response:
        log.error("request failed", exc_info=error)
        members = problem(
            500, "internal-error", "Internal Server Error", "a fault of ours; it was logged"
        )
        return respond(members, 500, media_type=MEDIA_TYPE)
