"""Parts we need that do not answer now, and what nobody can read any more."""

from taskyard.core.errors.base import TaskyardError, Unavailable


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
