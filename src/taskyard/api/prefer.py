"""How long a client is willing to wait: the Prefer header (RFC 7240) and `?wait`."""

from dataclasses import dataclass

from quart import request

from taskyard.core.errors import Fault, InvalidRequest
from taskyard.services.waiting import LONGEST_WAIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Preference:
    """What of a Prefer header is honoured: seconds to wait, 0 for none."""

    wait: int = 0
    applied: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """The header that tells what was honoured (RFC 7240, section 3)."""
        return {"Preference-Applied": self.applied} if self.applied else {}


def preference(lines: list[str]) -> Preference:
    """Read Prefer headers. What is unknown or makes no sense is passed over, as section 2 says.

    `wait` is honoured up to 60 seconds. `respond-async` without it asks for the answer at once,
    which is what is done without any preference.
    """
    given: dict[str, str] = {}
    for one in ",".join(lines).split(","):
        name, _, value = one.partition(";")[0].partition("=")
        given.setdefault(name.strip().lower(), value.strip().strip('"'))
    wait = given.get("wait", "")
    if wait.isascii() and wait.isdigit() and int(wait[:9]) > 0:
        seconds = min(int(wait[:9]), LONGEST_WAIT)
        return Preference(wait=seconds, applied=f"wait={seconds}")
    return Preference(applied="respond-async" if "respond-async" in given else None)


def preferred() -> Preference:
    """Return what the client of this request prefers."""
    return preference(request.headers.getlist("Prefer"))


def wait_asked() -> int:
    """Return the seconds of `?wait`, 0 without. Raises InvalidRequest for what is no number."""
    text = request.args.get("wait", "0")
    if not text.isascii() or not text.isdigit():
        fault = Fault("?wait", "must be a whole number of seconds, such as wait=30")
        raise InvalidRequest("the query has invalid parameters", faults=(fault,))
    return min(int(text[:9]), LONGEST_WAIT)
