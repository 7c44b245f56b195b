"""Who is behind a token: JSON Web Tokens of configured issuers, verified (RFC 7519, RFC 8725)."""

from taskyard.identity.issuers import Issuers, open_issuers

__all__ = ["Issuers", "open_issuers"]
