"""issuer_files.py: the file of issuers, and the schema that editors read."""

import json
import tomllib
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest
import trustme

from taskyard.core.errors import InvalidIssuers
from taskyard.core.issuer import ClaimRules, Family, Issuer, Login
from taskyard.core.principal import Scope, TenantId
from taskyard.issuer_files import KEYS, read_issuers

ROOT = Path(__file__).parents[2]
PLAIN = 'issuer = "https://id.example/"\naudience = "tasks"\nalgorithms = "ES"\n'
GOOD = f'[[issuer]]\n{PLAIN}tenant = "acme"\n'
SCHEMA = json.loads((files("taskyard") / "schemas" / "issuers.schema.json").read_text())


def read(folder: Path, text: str, *, production: bool = False) -> tuple[Issuer, ...]:
    (folder / "issuers.toml").write_text(text)
    return read_issuers(folder / "issuers.toml", production=production)


def faults(folder: Path, text: str, *, production: bool = False) -> list[str]:
    with pytest.raises(InvalidIssuers) as caught:
        read(folder, text, production=production)
    return [str(fault) for fault in caught.value.faults]


def test_the_least_is_name_audience_algorithms_and_tenant(tmp_path: Path) -> None:
    """The rest is found by discovery, or has a default."""
    (issuer,) = read(tmp_path, GOOD, production=True)
    assert issuer == Issuer(
        issuer="https://id.example/", audience="tasks", family=Family.ES,
        claims=ClaimRules(tenant=TenantId("acme")),
    )  # fmt: skip
    assert issuer.metadata_url == "https://id.example/.well-known/openid-configuration"


def test_all_there_is_to_say_is_read(tmp_path: Path) -> None:
    """Every key, as the guide and the schema have them."""
    (tmp_path / "keys.json").touch()
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    text = f"""[[issuer]]
{PLAIN}jwks = "keys.json"
metadata = "https://id.example/meta"
ca_file = "ca.pem"
typ = ["at+jwt"]
leeway = "0s"
tenant_claim = ["org", "name"]
tenants = ["acme", "beta"]
scopes_claim = "roles"
patterns_claim = "https://tasks.example/types"
[issuer.scopes]
"runs tasks" = ["submit", "read"]
[issuer.login]
client_id = "dashboard"
client_secret_file = "secret"
label = "Log in with Example"
request = ["openid", "groups"]
scopes_claim = "groups"
"""
    (tmp_path / "secret").write_text("hunter2\n")
    (issuer,) = read(tmp_path, text)
    jsonschema.validate(tomllib.loads(text), SCHEMA)
    assert set(tomllib.loads(text)["issuer"][0]) | {"tenant"} == set(KEYS)
    assert (issuer.jwks, issuer.ca_file) == (
        str(tmp_path / "keys.json"),
        str(tmp_path / "ca.pem"),
    )
    assert (issuer.types, issuer.leeway) == (("at+jwt",), timedelta(0))
    assert issuer.login == Login(
        client_id="dashboard", client_secret="hunter2", label="Log in with Example",
        request=("openid", "groups"), scopes_claim=("groups",),
    )  # fmt: skip
    assert "hunter2" not in repr(issuer)
    assert issuer.claims == ClaimRules(
        tenant_claim=("org", "name"), tenants=frozenset({TenantId("acme"), TenantId("beta")}),
        scopes_claim=("roles",), patterns_claim=("https://tasks.example/types",),
        scopes={"runs tasks": frozenset({Scope.SUBMIT, Scope.READ})},
    )  # fmt: skip


def test_every_fault_comes_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one fault at a time."""
    found = faults(
        tmp_path,
        'colour = 1\n[[issuer]]\nissuer = "a b"\nalgorithms = "HS"\ntenat = "x"\n' + GOOD + GOOD,
    )
    expected = [
        "colour: is not a known key", "1 issuer: is not a name", "1 audience: is required",
        "never HS", "did you mean 'tenant'?", "has the issuer 'https://id.example/' twice",
    ]  # fmt: skip
    assert [part for part in expected if not any(part in fault for fault in found)] == []


BAD = [
    'tenant_claim = "org"', 'tenants = ["acme"]', 'algorithms = "RS256"', "typ = []",
    'typ = ["id+jwt"]', "leeway = 30", 'leeway = "soon"', 'metadata = "http://id.example/meta"',
    'metadata = "ftp://id.example/meta"', 'scopes_claim = ""', "scopes_claim = []",
    'scopes = { runs = ["everything"] }', "scopes = { runs = [] }", 'patterns_claim = 1',
    'audience = ""', 'jwks = 1', "unknown = 1", "login = 1", "login = {}",
    'login = { client_id = "x", label = "" }', 'login = { client_id = "x", request = ["groups"] }',
    'login = { client_id = "x", client_secret = "hunter2" }',
]  # fmt: skip


@pytest.mark.parametrize("line", BAD)
def test_reader_and_schema_refuse_the_same(tmp_path: Path, line: str) -> None:
    """An editor underlines what the reader refuses."""
    key = line.partition(" =")[0]
    kept = [given for given in GOOD.splitlines() if given.partition(" =")[0] != key]
    text = "\n".join([*kept, line])
    assert faults(tmp_path, text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), SCHEMA)


def test_reader_and_schema_know_the_same_keys() -> None:
    """A key that one of them lacks would be refused or go unnoticed."""
    assert set(SCHEMA["properties"]["issuer"]["items"]["properties"]) == set(KEYS)


@pytest.mark.parametrize(
    ("more", "part"),
    [
        ('jwks = "nowhere.json"', "which is not there"),
        ('ca_file = "issuers.toml"', "which holds no certificates"),
        ('leeway = "6m"', "5m at most"),
        ('jwks = "http://id.example/keys"', "begins with https://"),
        ('jwks = "http://127.0.0.1.evil.example/keys"', "begins with https://"),
        ('jwks = "https://"', "begins with https://"),
        ('jwks = "file:///etc/passwd"', "begins with https://"),
        ('login = { client_id = "tasks" }', "they must differ"),
        ('login = { client_id = "x", client_secret_file = "nowhere" }', "which is not there"),
    ],
)
def test_what_only_the_reader_can_know(tmp_path: Path, more: str, part: str) -> None:
    """Files that are not there, and addresses that only look right."""
    assert any(part in fault for fault in faults(tmp_path, GOOD + more))


def test_an_issuer_that_is_no_url_needs_its_keys_pinned(tmp_path: Path) -> None:
    """Discovery begins at its name."""
    text = GOOD.replace("https://id.example/", "accounts.example")
    assert "is not found by discovery" in faults(tmp_path, text)[0]
    pinned = text + 'jwks = "https://accounts.example/keys"\n'
    assert read(tmp_path, pinned)
    assert "which a login needs" in faults(tmp_path, pinned + 'login = { client_id = "x" }')[0]


def test_loopback_over_plain_http_is_for_development(tmp_path: Path) -> None:
    """A stand-in on this machine is for trying out, and nothing else."""
    text = GOOD.replace("https://id.example/", "http://127.0.0.1:8080")
    assert read(tmp_path, text)
    assert "https" in faults(tmp_path, text, production=True)[0]


def test_several_issuers_may_not_speak_for_each_others_tenants(tmp_path: Path) -> None:
    """An issuer that names the tenant is told which it may name, once it is not alone."""
    claims = GOOD.replace('tenant = "acme"', 'tenant_claim = "org"').replace("id.ex", "one.ex")
    assert read(tmp_path, claims)
    assert "say in `tenants`" in faults(tmp_path, claims + GOOD)[0]
    assert read(tmp_path, claims + 'tenants = ["beta"]\n' + GOOD)


@pytest.mark.parametrize(
    ("text", "part"),
    [("[[issuer]", "is not TOML"), ("issuer = 1", "two brackets"), ("[issuer]\n", "two brackets"),
     ("issuer = [1]", "must be a table"), ("x = 1", "not a known key")],
)  # fmt: skip
def test_a_file_of_another_form_is_explained(tmp_path: Path, text: str, part: str) -> None:
    """The sentence says what should be there."""
    assert any(part in fault for fault in faults(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """As with the files of the routing folder."""
    with pytest.raises(InvalidIssuers, match="issuers"):
        read_issuers(tmp_path / "issuers.toml", production=False)


def test_the_example_of_the_guide_is_sound(tmp_path: Path) -> None:
    """What docs/authentication.md shows is read, and fits the schema."""
    lines = (ROOT / "docs" / "authentication.md").read_text().splitlines()
    start = lines.index("    [[issuer]]", lines.index("## Tokens of your identity provider"))
    end = next(n for n, line in enumerate(lines[start:], start) if line and line[0] != " ")
    text = "\n".join(line[4:] for line in lines[start:end])
    (tmp_path / "keys.json").touch()
    jsonschema.validate(tomllib.loads(text), SCHEMA)
    assert len(read(tmp_path, text, production=True)) == 2
    login = next(n for n, line in enumerate(lines) if line.strip() == "[issuer.login]")
    more = "\n".join(line[4:] for line in lines[login : lines.index("", login)])
    (tmp_path / "client-secret").write_text("hunter2")
    assert read(tmp_path, f"{GOOD}{more}", production=True)[0].login is not None
