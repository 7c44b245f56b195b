"""Reading the file of issuers: every fault at once, each with its place."""

import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from taskyard.core import units
from taskyard.core.errors import Fault, InvalidIssuers
from taskyard.core.issuer import ClaimPath, ClaimRules, Family, Issuer, Login, may_be_read
from taskyard.core.principal import TENANT, Scope, TenantId, scopes
from taskyard.routing_entries import Reader, load_toml, read_entry, text

_REQUIRED = ("issuer", "audience", "algorithms")
_LONGEST_LEEWAY = timedelta(minutes=5)
_LONGEST_NAME = 500
_LONGEST_LABEL = 100
_TYPES = ("at+jwt", "JWT")
_RULES = ("tenant", "tenant_claim", "tenants", "scopes_claim", "scopes", "patterns_claim")


def read_issuers(file: Path, *, production: bool) -> tuple[Issuer, ...]:
    """Return the issuers of a file. Raises InvalidIssuers with every fault of it."""
    faults: list[Fault] = []
    document = load_toml(file, faults)
    unknown = "is not a known key; there are only [[issuer]]"
    faults += [Fault(f"{file.name} {key}", unknown) for key in document if key != "issuer"]
    entries = document.get("issuer", [])
    if not isinstance(entries, list) or (document and not entries):
        faults.append(Fault(f"{file.name} issuer", "is no list; write [[issuer]], in two brackets"))
        entries = []
    readers = _readers(file.parent, production=production)
    issuers = []
    for number, entry in enumerate(entries, start=1):
        where = f"{file.name} [[issuer]] {number}"
        if (issuer := _read_issuer(where, entry, readers, faults)) is not None:
            faults += [Fault(where, problem) for problem in _problems(issuer, production)]
            issuers.append(issuer)
    faults += [Fault(file.name, problem) for problem in _problems_together(issuers)]
    if faults:
        raise InvalidIssuers(f"the issuers in {file} are at fault", faults=tuple(faults))
    return tuple(issuers)


def _read_issuer(
    where: str, entry: Any, readers: Mapping[str, Reader], faults: list[Fault]
) -> Issuer | None:
    before = len(faults)
    values = read_entry(where, entry, readers, faults)
    missing = [key for key in _REQUIRED if isinstance(entry, dict) and key not in entry]
    faults += [Fault(f"{where} {key}", "is required") for key in missing]
    if len(faults) > before:
        return None
    rules = ClaimRules(**{key: values.pop(key) for key in _RULES if key in values})
    renamed = {"algorithms": "family", "typ": "types"}
    return Issuer(claims=rules, **{renamed.get(key, key): value for key, value in values.items()})


def _problems(issuer: Issuer, production: bool) -> list[str]:
    """Return what does not go together in one issuer."""
    rules, found = issuer.claims, []
    if (rules.tenant is None) == (rules.tenant_claim is None):
        found.append("needs either `tenant`, for all its tokens, or `tenant_claim`")
    if rules.tenants is not None and rules.tenant_claim is None:
        found.append("has `tenants`, which say what a `tenant_claim` may name")
    if issuer.login is not None and issuer.login.client_id == issuer.audience:
        # Else an ID token, which says who somebody is, would be taken for what they may do.
        found.append("has an audience that is the client_id of its login; they must differ")
    if (issuer.jwks is None or issuer.login is not None) and not may_be_read(
        issuer.metadata_url, production=production
    ):
        found.append(
            "is not found by discovery, which a login needs, too: give it `jwks`, or an https URL "
            "as `issuer` or `metadata`"
        )
    return found


def _problems_together(issuers: Sequence[Issuer]) -> list[str]:
    names = [issuer.issuer for issuer in issuers]
    found = [
        f"has the issuer {name!r} twice" for name in sorted(set(names)) if names.count(name) > 1
    ]
    if len(issuers) > 1:
        # Else any of them could speak for the tenants of the others.
        found += [
            f"has several issuers: say in `tenants` for which {issuer.issuer!r} may speak"
            for issuer in issuers
            if issuer.claims.tenant_claim and issuer.claims.tenants is None
        ]
    return found


def _readers(folder: Path, *, production: bool) -> Mapping[str, Reader]:
    url = _url(production=production)
    return {
        "issuer": text(_name, '"https://id.example.com/"'),
        "audience": text(_name, '"https://tasks.example.com"'),
        "algorithms": text(_family, '"RS"'),
        "jwks": text(_url_or_file(url, folder), '"https://id.example.com/keys"'),
        "metadata": text(url, '"https://id.example.com/.well-known/openid-configuration"'),
        "ca_file": text(_certificates(folder), '"ca.pem"'),
        "typ": _types,
        "leeway": text(_leeway, '"30s"'),
        "tenant": text(_tenant, '"acme"'),
        "tenant_claim": _claim,
        "tenants": _tenants,
        "scopes_claim": _claim,
        "scopes": _scopes,
        "patterns_claim": _claim,
        "login": _login(folder),
    }


def _name(value: str) -> str:
    if not value or len(value) > _LONGEST_NAME or not value.isprintable() or " " in value:
        raise ValueError(f"is not a name of 1 to {_LONGEST_NAME} characters without spaces")
    return value


def _family(value: str) -> Family:
    if value not in list(Family):
        known = ", ".join(Family)
        raise ValueError(f"is {value[:40]!r}; it may be one of {known}, never HS: keys are public")
    return Family(value)


def _url(*, production: bool) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not may_be_read(value, production=production):
            more = "" if production else ", or with http:// on this machine"
            raise ValueError(f"is {value[:80]!r}; a URL begins with https://{more}")
        return value

    return read


def _file(folder: Path) -> Callable[[str], str]:
    def read(value: str) -> str:
        path = folder / value
        if not path.is_file():
            raise ValueError(f"names the file {value!r}, which is not there")
        return str(path)

    return read


def _certificates(folder: Path) -> Callable[[str], str]:
    file = _file(folder)

    def read(value: str) -> str:
        path = file(value)
        try:
            ssl.create_default_context(cafile=path)
        except ssl.SSLError:
            raise ValueError(f"names the file {value!r}, which holds no certificates") from None
        return path

    return read


def _url_or_file(url: Callable[[str], str], folder: Path) -> Callable[[str], str]:
    file = _file(folder)

    def read(value: str) -> str:
        return url(value) if "://" in value else file(value)

    return read


def _types(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or any(each not in _TYPES for each in value):
        raise ValueError(f"is {value!r}; it may be a list of {' and '.join(_TYPES)}")
    return tuple(each.lower() for each in value)


def _leeway(value: str) -> timedelta:
    span = units.duration(value, zero=True)
    if span > _LONGEST_LEEWAY:
        raise ValueError(f"is {value!r}; clocks may differ by 5m at most")
    return span


def _tenant(value: str) -> TenantId:
    if not TENANT.fullmatch(value):
        raise ValueError(f"is {value[:80]!r}; up to 63 of a-z, 0-9, - and _ are allowed")
    return TenantId(value)


def _tenants(value: Any) -> frozenset[TenantId]:
    return frozenset(_tenant(name) for name in _texts(value))


def _claim(value: Any) -> ClaimPath:
    if isinstance(value, str) and value:
        return (value,)
    try:
        return _texts(value)
    except ValueError:
        raise ValueError(
            "must be the name of a claim, or a list of names that lead to it"
        ) from None


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError("must be a list of one or more strings")
    return tuple(value)


def _login(folder: Path) -> Reader:
    """Return the reader of [issuer.login]: that people may log in at this issuer."""
    readers = {
        "client_id": text(_name, '"taskyard"'),
        "client_secret_file": text(_secret(folder), '"client-secret"'),
        "label": text(_label, '"Log in with Example"'),
        "request": _request,
        "scopes_claim": _claim,
    }

    def read(value: Any) -> Login:
        faults: list[Fault] = []
        values = read_entry("", value, readers, faults)
        if isinstance(value, dict) and "client_id" not in value:
            faults.append(Fault("client_id", "is required"))
        if faults:
            raise ValueError("; ".join(str(fault).strip() for fault in faults))
        return Login(client_secret=values.pop("client_secret_file", None), **values)

    return read


def _secret(folder: Path) -> Callable[[str], str]:
    file = _file(folder)

    def read(value: str) -> str:
        if not (secret := Path(file(value)).read_text(encoding="utf-8").strip()):
            raise ValueError(f"names the file {value!r}, which is empty")
        return secret

    return read


def _label(value: str) -> str:
    if not 1 <= len(value) <= _LONGEST_LABEL or not value.isprintable():
        raise ValueError(f"must have 1 to {_LONGEST_LABEL} characters in one line")
    return value


def _request(value: Any) -> tuple[str, ...]:
    if "openid" not in _texts(value):
        raise ValueError('must hold "openid": without it there is no ID token')
    return tuple(value)


def _scopes(value: Any) -> Mapping[str, frozenset[Scope]]:
    if not isinstance(value, dict):
        raise ValueError('must be a table such as { "tasks.run" = ["submit", "read"] }')
    return {name: scopes(_texts(granted)) for name, granted in value.items()}


KEYS = tuple(_readers(Path(), production=True))
