"""Redaction: what must not be seen in logs, errors and tracebacks is cut out of their text.

Everything that leaves a process as words for people passes through `redacted`: log lines once they
are rendered, problem documents, what commands print, the errors of attempts before they are stored.
"""

import json
import re
from collections.abc import Callable, Iterable

SHOWN = "***"
_SHORTEST = 8  # characters: what is shorter stands in innocent words as well

# Each keeps what helps to find the place, and cuts out the rest.
_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # The password of a URL. It may hold anything but what ends it, so the last @ counts.
    (re.compile(r"\b([a-z][a-z0-9+.-]*://[^\s:/@?#'\"]*):[^\s/'\"]+@", re.IGNORECASE), r"\1:***@"),
    # A password in the other form that libpq takes, as a keyword argument, as a member of JSON.
    (re.compile(r"\b(password|passwd|secret)(\s*=\s*|\\?['\"]\s*:\s*)"
                r"(?:(\\?['\"])(?:(?!\3).)*\3|[^\s,;&)'\"\\]+)", re.IGNORECASE), r"\1\2\3***\3"),
    (re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), r"\1 ***"),
    (re.compile(r"\btk_([A-Za-z0-9]+)_[A-Za-z0-9_-]+"), r"tk_\1_***"),  # an API key
    (re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), "whsec_***"),  # the secret of a webhook
    (re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), "eyJ***"),  # a JWT
)  # fmt: skip


def redacted(text: str) -> str:
    """Return text without the passwords, keys and tokens that can be told by their form."""
    for pattern, kept in _PATTERNS:
        text = pattern.sub(kept, text)
    return text


def redactor(secrets: Iterable[str]) -> Callable[[str], str]:
    """Return `redacted` that cuts out some known secrets besides, whatever form they have."""
    given = {each for each in secrets if len(each) >= _SHORTEST}
    as_json = {json.dumps(each)[1:-1] for each in given}  # lines of logs are JSON
    known = sorted(given | as_json, key=len, reverse=True)
    if not known:
        return redacted
    pattern = re.compile("|".join(map(re.escape, known)))
    return lambda text: redacted(pattern.sub(SHOWN, text))
