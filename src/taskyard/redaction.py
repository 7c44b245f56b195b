"""Redaction: what must not be seen in logs, errors and tracebacks is cut out of their text.

Everything that leaves a process as words for people passes through `redacted`: log lines once they
are rendered, problem documents, what commands print, the errors of attempts before they are stored.
"""

import json
import re
from collections.abc import Callable, Iterable

SHOWN = "***"
_SHORTEST = 8  # characters: what is shorter stands in innocent words as well

# Each keeps what helps to find the place, and cuts out the rest. Before it are the words, in small
# letters, of which one must be there: most lines have none, and to look for a word is cheap.
_PATTERNS: tuple[tuple[tuple[str, ...], re.Pattern[str], str], ...] = (
    # The password of a URL. It may hold anything but what ends it, so the last @ counts.
    (("://",),
     re.compile(r"\b([a-z][a-z0-9+.-]*://[^\s:/@?#'\"]*):[^\s/'\"]+@", re.IGNORECASE), r"\1:***@"),
    # A password in the other form that libpq takes, as a keyword argument, as a member of JSON.
    (("password", "passwd", "secret"),
     re.compile(r"\b(password|passwd|secret)(\s*=\s*|\\?['\"]\s*:\s*)"
                r"(?:(\\?['\"])(?:(?!\3).)*\3|[^\s,;&)'\"\\]+)", re.IGNORECASE), r"\1\2\3***\3"),
    (("bearer", "basic"),
     re.compile(r"\b(Bearer|Basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), r"\1 ***"),
    (("tk_",), re.compile(r"\btk_([A-Za-z0-9]+)_[A-Za-z0-9_-]+"), r"tk_\1_***"),  # an API key
    (("whsec_",), re.compile(r"\bwhsec_[A-Za-z0-9+/=_-]+"), "whsec_***"),  # of a webhook
    (("eyj",),
     re.compile(r"\beyJ[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), "eyJ***"),  # a JWT
)  # fmt: skip


def redacted(text: str) -> str:
    """Return text without the passwords, keys and tokens that can be told by their form."""
    small = text.casefold()  # as re.IGNORECASE compares: the long s and the Kelvin sign fold too
    for words, pattern, kept in _PATTERNS:
        if any(word in small for word in words):
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
