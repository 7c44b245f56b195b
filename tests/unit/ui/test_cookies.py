"""ui/cookies.py: what a browser keeps, and for how long it is believed."""

from itertools import count

import pytest
from quart import Response
from werkzeug.http import parse_cookie

from taskyard.identity import Flow
from taskyard.ui import SessionCookies

FLOW = Flow(issuer="https://id.example", state="s", nonce="n", verifier="v")
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


def sent(response: Response) -> dict[str, str]:
    """What a browser sends after it got a response: what was deleted is empty."""
    kept: dict[str, str] = {}
    for said in response.headers.getlist("Set-Cookie"):
        kept |= parse_cookie(said.split(";")[0]).items()
    return kept


def with_session(jar: SessionCookies, secret: str = "secret") -> dict[str, str]:
    response = Response("")
    jar.write(response, secret)
    return sent(response)


def with_visit(jar: SessionCookies, flow: Flow | None = None) -> dict[str, str]:
    response = Response("")
    jar.write_visit(response, jar.begin_visit(flow=flow))
    return sent(response)


def test_what_was_given_comes_back() -> None:
    """The secret of a session, and the login that is under way; neither stands for the other."""
    jar = cookies()
    assert jar.read(with_session(jar, "the secret")) == "the secret"
    for flow in (FLOW, None):
        visit = jar.read_visit(with_visit(jar, flow))
        assert visit is not None
        assert visit.flow == flow
    assert jar.read(with_visit(jar)) is None
    (visited,) = with_visit(jar).values()
    assert jar.read({jar.name: visited}) is None
    assert jar.read_visit({jar.visit_name: with_session(jar)[jar.name]}) is None


def test_each_visit_has_chance_of_its_own() -> None:
    """As has each session: what was known before a login is no good after it."""
    jar = cookies()
    assert len({jar.begin_visit().csrf, jar.begin_visit().csrf, jar.begin(), jar.begin()}) == 4


def test_a_login_ends_the_visit() -> None:
    """And logging out leaves nothing behind."""
    jar = cookies()
    kept = with_visit(jar) | with_session(jar)
    assert kept[jar.visit_name] == ""
    response = Response("")
    jar.remove(response)
    assert (kept | sent(response))[jar.name] == ""


@pytest.mark.parametrize("secure", [True, False])
def test_the_cookie_is_for_no_script_and_for_no_other_site(secure: bool) -> None:
    """HttpOnly and SameSite always; Secure and bound to the host where there is https."""
    jar = cookies(secure=secure)
    response = Response("")
    jar.write_visit(response, jar.begin_visit())
    jar.write(response, "secret")
    jar.remove(response)
    for said in (given := response.headers.getlist("Set-Cookie")):
        assert "HttpOnly" in said
        assert "SameSite=Lax" in said
        assert "Path=/" in said
        assert "Domain" not in said
        assert ("Secure" in said, said.startswith("__Host-")) == (secure, secure)
    assert len(given) == 4


def test_a_visit_ends_after_an_hour() -> None:
    """Whoever wants to log in later begins again."""
    now = Now()
    jar = cookies(now=now)
    kept = with_visit(jar)
    now.seconds += 3600
    assert jar.read_visit(kept) is not None
    now.seconds += 1
    assert jar.read_visit(kept) is None


def test_what_was_not_signed_here_is_no_session() -> None:
    """Nor what was changed, what is nonsense, and what another key has signed."""
    jar = cookies()
    for kept, read in ((with_session(jar), jar.read), (with_visit(jar), jar.read_visit)):
        name, value = next((name, value) for name, value in kept.items() if value)
        payload, signature = value.rsplit(".", 1)
        other = cookies(NEW)
        foreign = {**with_session(other), **with_visit(other)}[name]
        forged = [
            "", "x", ".", payload, f"{payload}.{signature[:-2]}AA", f"{payload[:-1]}.{signature}",
            f"x{value}", value + "x", "é", foreign,
        ]  # fmt: skip
        assert read({name: value}) is not None
        assert [text for text in forged if read({name: text}) is not None] == []
        assert read({}) is None
    assert cookies(secure=False).read(with_session(jar)) is None


def test_keys_rotate_without_logging_anybody_out() -> None:
    """The first key signs, all verify; who drops the old one ends what it signed."""
    before, both, after = cookies(OLD), cookies(NEW, OLD), cookies(NEW)
    old, new = with_session(before), with_session(both)
    assert both.read(old) is not None
    assert before.read(new) is None
    assert after.read(new) is not None
    assert after.read(old) is None
