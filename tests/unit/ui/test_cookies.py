"""ui/cookies.py: what a browser keeps, and for how long it is believed."""

from dataclasses import replace
from hashlib import sha256
from itertools import count

import pytest
from quart import Response
from werkzeug.http import parse_cookie

from taskyard.core.errors import Forbidden
from taskyard.core.principal import DEFAULT_TENANT, Principal, Scope
from taskyard.identity import Flow
from taskyard.ui import SessionCookies

ADA = Principal(
    tenant=DEFAULT_TENANT,
    name="oidc:https://id.example#ada",
    scopes=frozenset({Scope.READ}),
    patterns=("image.*",),
)
OLD, NEW = "o" * 32, "n" * 32


class Now:
    """Time that passes when the test says so."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


def cookies(*keys: str, now: Now | None = None, secure: bool = True) -> SessionCookies:
    numbers = count()
    return SessionCookies(
        keys or (OLD,), secure=secure, now=now or Now(), chance=lambda: f"chance {next(numbers)}"
    )


def written(jar: SessionCookies, session: object) -> dict[str, str]:
    """What a browser sends after it was given a session."""
    response = Response("")
    jar.write(response, session)  # type: ignore[arg-type]
    sent = parse_cookie(response.headers["Set-Cookie"].split(";")[0])
    return dict(sent.items())


def test_a_session_comes_back_as_it_was_given() -> None:
    """Who is logged in, and the login that is under way."""
    jar = cookies()
    flow = Flow(issuer="https://id.example", state="s", nonce="n", verifier="v")
    for session in (jar.begin(principal=ADA), jar.begin(flow=flow), jar.begin()):
        assert jar.read(written(jar, session)) == session


def test_each_session_has_chance_of_its_own() -> None:
    """What was known before a login is no good after it."""
    jar = cookies()
    before, after = jar.begin(), jar.begin(principal=ADA)
    assert len({before.id, before.csrf, after.id, after.csrf}) == 4


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie_is_for_no_script_and_for_no_other_site(secure: bool) -> None:
    """HttpOnly and SameSite always; Secure and bound to the host where there is https."""
    jar = cookies(secure=secure)
    response = Response("")
    jar.write(response, jar.begin())
    said = response.headers["Set-Cookie"]
    assert "HttpOnly" in said
    assert "SameSite=Lax" in said
    assert "Path=/" in said
    assert "Domain" not in said
    assert ("Secure" in said, said.startswith("__Host-")) == (secure, secure)


def test_a_session_ends_when_nobody_comes_back() -> None:
    """After an hour without a request."""
    now = Now()
    jar = cookies(now=now)
    sent = written(jar, jar.begin(principal=ADA))
    now.seconds += 3600
    assert jar.read(sent) is not None
    now.seconds += 1
    assert jar.read(sent) is None


def test_a_session_ends_however_busy_it_is() -> None:
    """It is renewed while it is used, but not for longer than twelve hours."""
    now = Now()
    jar = cookies(now=now)
    session = jar.begin(principal=ADA)
    assert jar.renewed(session) is None
    for _ in range(12):
        now.seconds += 3599
        current = jar.read(written(jar, session))
        assert current is not None
        renewed = jar.renewed(current)
        assert renewed is not None
        session = renewed
    now.seconds += 13
    assert jar.read(written(jar, session)) is None


def test_what_was_not_signed_here_is_no_session() -> None:
    """Nor what was changed, what is nonsense, and what another key has signed."""
    jar = cookies()
    ((name, value),) = written(jar, jar.begin(principal=ADA)).items()
    payload, signature = value.rsplit(".", 1)
    forged = [
        "", "x", ".", payload, f"{payload}.{signature[:-2]}AA", f"{payload[:-1]}.{signature}",
        f"x{value}", value + "x", "é", *written(cookies(NEW), jar.begin(principal=ADA)).values(),
    ]  # fmt: skip
    assert jar.read({name: value}) is not None
    assert [text for text in forged if jar.read({name: text}) is not None] == []
    assert jar.read({}) is None
    assert cookies(secure=False).read({name: value}) is None


def test_keys_rotate_without_logging_anybody_out() -> None:
    """The first key signs, all verify; who drops the old one ends what it signed."""
    before, both, after = cookies(OLD), cookies(NEW, OLD), cookies(NEW)
    old, new = written(before, before.begin()), written(both, both.begin())
    assert both.read(old) is not None
    assert before.read(new) is None
    assert after.read(new) is not None
    assert after.read(old) is None


def test_what_no_browser_would_keep_is_refused() -> None:
    """Rather than a login that seems to succeed and is forgotten."""
    jar = cookies()
    patterns = tuple(sha256(b"%d" % n).hexdigest() for n in range(100))  # what cannot be packed
    with pytest.raises(Forbidden, match="too many"):
        jar.write(Response(""), jar.begin(principal=replace(ADA, patterns=patterns)))
