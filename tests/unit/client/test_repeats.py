"""client/repeats.py: what is sent again, and when."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec
import pytest

from taskyard.client import Accepted, Task, TaskyardProblem, Unreachable, operations
from taskyard.client.exchange import Call, Outcome, Pause, Reply, Request, Silence
from taskyard.client.repeats import Repeats, ask, may_repeat

SUBMIT = operations.submit({"type": "a.b", "args": {}}, "key")
CANCEL = operations.cancel("id").request
GET = operations.get("id").request


def refusal(status: int, code: str = "c", **headers: str) -> Reply:
    body = msgspec.json.encode({"code": code, "status": status, "detail": "said so"})
    return Reply(status=status, headers=headers, body=body)


ACCEPTED = Reply(
    status=202,
    headers={},
    body=b'{"id":"1","type":"a.b","pool":"a","priority":4,"state":"pending",'
    b'"created_at":"2026-01-31T12:00:00Z","links":{},"new":1}',
)
LOST = Silence(why="cut", sent=True)
REFUSED = Silence(why="connection refused", sent=False)


@dataclass
class Conversation:
    """Holds a dialog against outcomes given beforehand, on a clock of its own."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)
    sent: list[Request] = field(default_factory=list)

    def hold(
        self, call: Call[Accepted], outcomes: Iterable[Outcome], *, patience: float, chance: float
    ) -> Accepted:
        repeats = Repeats(
            patience=patience, clock=lambda: self.now, chance=lambda: chance, base=1.0, cap=8.0
        )
        dialog, coming = ask(call, repeats), iter(outcomes)
        outcome: Outcome | None = None
        while True:
            try:
                step = dialog.send(outcome)
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            if isinstance(step, Pause):
                self.pauses.append(step.seconds)
                self.now += step.seconds
                outcome = None
            else:
                self.sent.append(step)
                outcome = next(coming)


@pytest.mark.parametrize(
    ("outcome", "with_key", "without"),
    [
        (REFUSED, True, True),
        (LOST, True, False),
        (refusal(503, "overloaded"), True, True),
        (refusal(503, "outcome-unknown"), True, False),
        (Reply(status=503, headers={}, body=b"<html>"), True, False),
        (refusal(429), True, True),
        (refusal(502), True, False),
        (refusal(504), True, False),
        (refusal(500), True, False),
        (refusal(422), False, False),
        (refusal(409), False, False),
        (ACCEPTED, False, False),
    ],
)
def test_only_what_cannot_happen_twice_is_sent_again(
    outcome: Outcome, with_key: bool, without: bool
) -> None:
    """A key, or reading, makes it safe; else it must be certain that nothing was done."""
    assert may_repeat(SUBMIT.request, outcome) is with_key
    assert may_repeat(GET, outcome) is with_key
    assert may_repeat(CANCEL, outcome) is without


def test_the_same_request_with_the_same_key_until_it_is_answered() -> None:
    """Lost, unknown, unavailable: then accepted; fields that are not known yet are passed over."""
    talk = Conversation()
    unknown, away = refusal(503, "outcome-unknown"), refusal(503, "storage-unavailable")
    got = talk.hold(SUBMIT, [LOST, unknown, away, REFUSED, ACCEPTED], patience=60, chance=0.5)
    assert got.id == "1"
    assert talk.sent == [SUBMIT.request] * 5
    assert talk.sent[0].headers["Idempotency-Key"] == '"key"'


def test_waits_double_up_to_a_bound_and_are_drawn_by_chance() -> None:
    """From a half to the whole of 1, 2, 4, 8, and 8 ever after."""
    for chance, expected in ((0.0, [0.5, 1, 2, 4, 4]), (1.0, [1.0, 2, 4, 8, 8])):
        talk = Conversation()
        talk.hold(SUBMIT, [LOST] * 5 + [ACCEPTED], patience=60, chance=chance)
        assert talk.pauses == expected


def test_the_server_says_how_long_to_wait_at_least() -> None:
    """Retry-After is obeyed, and chance adds to it; what is no number is passed over."""
    talk = Conversation()
    asked = refusal(503, **{"retry-after": "7"})
    odd = refusal(503, **{"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"})
    talk.hold(SUBMIT, [asked, odd, ACCEPTED], patience=60, chance=1.0)
    assert talk.pauses == [7.5, 2.0]


def test_patience_counts_from_the_first_trouble_and_ends_before_a_wait_that_exceeds_it() -> None:
    """What the last one met is raised: a silence as Unreachable, a refusal as it is."""
    talk = Conversation()
    with pytest.raises(Unreachable, match="cut"):
        talk.hold(SUBMIT, [LOST] * 99, patience=10, chance=1.0)
    assert talk.pauses == [1, 2, 4]
    with pytest.raises(TaskyardProblem, match="said so") as refused:
        Conversation().hold(SUBMIT, [refusal(503, "overloaded")] * 9, patience=10, chance=1.0)
    assert (refused.value.code, refused.value.status) == ("overloaded", 503)
    talk = Conversation()
    with pytest.raises(Unreachable):
        talk.hold(SUBMIT, [LOST], patience=0, chance=0.0)
    assert len(talk.sent) == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=502, headers={}, body=b"<html>Bad Gateway</html>"),
        Reply(status=200, headers={}, body=b"<html>Welcome</html>"),
        Reply(status=200, headers={}, body=b'{"id": 1}'),
        Reply(status=302, headers={"location": "/login"}, body=b""),
        Reply(status=404, headers={}, body=b'{"code": 7}'),
    ],
)
def test_what_taskyard_never_says_is_called_unintelligible(reply: Reply) -> None:
    """A proxy's page is told from a refusal, with its status."""
    dialog = ask(operations.get("id"), Repeats(patience=0))
    next(dialog)
    with pytest.raises(TaskyardProblem, match=str(reply.status)) as raised:
        dialog.send(reply)
    assert (raised.value.code, raised.value.status) == ("unintelligible", reply.status)


def test_faults_are_told_each_with_its_place() -> None:
    """The message lists them."""
    body = (
        b'{"code":"invalid-arguments","status":422,"detail":"no",'
        b'"errors":[{"pointer":"/args/width","detail":"is 0"}]}'
    )
    dialog = ask(Call(GET, Task), Repeats())
    next(dialog)
    with pytest.raises(TaskyardProblem, match="/args/width: is 0") as raised:
        dialog.send(Reply(status=422, headers={}, body=body))
    assert raised.value.faults[0].pointer == "/args/width"
