"""What a deployment allows its webhooks, and what it signs and seals with."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from taskyard.core.addresses import Network, host_problem
from taskyard.storage.sealing import NO_KEYS, KeyRing

LONGEST_URL = 2048
_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+", re.ASCII)  # RFC 3986, section 2


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookPolicy:
    """`networks` may be called though they are not public; `insecure` allows plain http.

    `notify_secret` signs what goes to the `notify_url` of a task; without it there are none.
    """

    insecure: bool = False
    networks: tuple[Network, ...] = ()
    notify_secret: str | None = None
    ring: KeyRing = NO_KEYS

    def url_problem(self, url: str) -> str | None:
        """Return why nothing may be sent to a URL, in words, or None. Names are not resolved."""
        if len(url) > LONGEST_URL or not _URL.fullmatch(url):
            return f"is not a URL of at most {LONGEST_URL} characters as RFC 3986 allows them"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            return f"is not a URL: {error}"
        if parts.scheme not in (("https", "http") if self.insecure else ("https",)):
            return "must begin with https://"
        if not host or port == 0 or parts.username is not None or parts.fragment:
            return "must have a host, and neither a user, nor a fragment, nor the port 0"
        return host_problem(host, self.networks)

    def notify_problem(self, url: str) -> str | None:
        """Return why a task may not notify a URL, in words, or None."""
        if self.notify_secret is None:
            return "cannot be signed: this deployment has no TASKYARD_NOTIFY_SECRET"
        return self.url_problem(url)


def origin(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.lower()}"
