"""Who is behind a token: JSON Web Tokens of configured issuers, verified (RFC 7519, RFC 8725)."""

from taskyard.identity.issuers import Issuers, open_issuers
from taskyard.identity.login import Flow, Logins

__all__ = ["Flow", "Issuers", "Logins", "open_issuers"]
