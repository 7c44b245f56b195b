"""From the claims of a verified token to a principal."""

from typing import Any

from taskyard.core import topics
from taskyard.core.issuer import ClaimPath, ClaimRules
from taskyard.core.principal import TENANT, Principal, Scope, TenantId
from taskyard.identity.token import refused

_LONGEST_SUBJECT = 255  # OpenID Connect Core 1.0, section 2
_MOST_PATTERNS = 100


def principal(issuer: str, rules: ClaimRules, claims: dict[str, Any]) -> Principal:
    """Return who a token's claims say it is. Raises Unauthenticated."""
    return Principal(
        tenant=_tenant(rules, claims),
        name=f"oidc:{issuer}#{_subject(claims)}",
        scopes=_scopes(rules, claims),
        patterns=_patterns(rules, claims),
    )


def _subject(claims: dict[str, Any]) -> str:
    subject = claims.get("sub")
    # It is written into logs and the audit trail: one line, of a bounded length.
    if (
        not isinstance(subject, str)
        or not 0 < len(subject) <= _LONGEST_SUBJECT
        or not subject.isprintable()
    ):
        raise refused("its claim sub is missing, or not one that is taken now")
    return subject


def _tenant(rules: ClaimRules, claims: dict[str, Any]) -> TenantId:
    if rules.tenant_claim is None:
        assert rules.tenant is not None  # the file names one of both
        return rules.tenant
    name = _value(claims, rules.tenant_claim)
    if not isinstance(name, str) or not TENANT.fullmatch(name):
        raise refused("it does not say well for which tenant it is")
    if rules.tenants is not None and name not in rules.tenants:
        raise refused("its issuer may not speak for the tenant that it names")
    return TenantId(name)


def _scopes(rules: ClaimRules, claims: dict[str, Any]) -> frozenset[Scope]:
    """A token without the claim is valid, and may do nothing."""
    found: set[Scope] = set()
    for name in _names(claims, rules.scopes_claim, "scopes"):
        if rules.scopes is not None:
            found |= rules.scopes.get(name, frozenset())
        elif name in list(Scope):
            found.add(Scope(name))
    return frozenset(found)


def _patterns(rules: ClaimRules, claims: dict[str, Any]) -> tuple[str, ...]:
    if rules.patterns_claim is None:
        return ("#",)
    found = _names(claims, rules.patterns_claim, "task types")
    if len(found) > _MOST_PATTERNS or any(topics.problem(pattern) for pattern in found):
        raise refused("it does not say well which task types it is for")
    return tuple(found)


def _names(claims: dict[str, Any], path: ClaimPath, what: str) -> list[str]:
    """Return a list of names, which may be one text with spaces (RFC 8693, section 4.2)."""
    value = _value(claims, path)
    if value is None:
        return []
    names = value.split() if isinstance(value, str) else value
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise refused(f"its claim about {what} is neither a text nor a list of texts")
    return names


def _value(claims: dict[str, Any], path: ClaimPath) -> Any:
    value: Any = claims
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
