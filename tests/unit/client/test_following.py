"""client/following.py: how long a stream is taken up again."""

import pytest

from taskyard.client import Unreachable, operations
from taskyard.client.exchange import Reply, Silence
from taskyard.client.following import Following
from taskyard.client.repeats import Repeats

CUT = Silence(why="cut", sent=True)


def following(clock: list[float]) -> Following:
    repeats = Repeats(patience=10, base=4, clock=lambda: clock[0], chance=lambda: 0.0)
    return Following(operations.stream({}), repeats)


def test_patience_starts_anew_with_everything_that_is_heard() -> None:
    """A stream that breaks now and then may last for ever; one that stays away does not."""
    clock = [0.0]
    stream = following(clock)
    for _ in range(5):
        clock[0] += 8
        assert stream.broken(CUT).seconds == 2
        assert list(stream.hear(b": still here\n\n")) == []
    assert stream.broken(None).seconds == 2
    clock[0] += 9
    with pytest.raises(Unreachable, match="ended the stream"):
        stream.broken(None)


def test_the_wait_is_as_long_as_the_server_asks() -> None:
    """By `retry` in the stream, or Retry-After of a refusal."""
    stream = following([0.0])
    assert list(stream.hear(b"retry: 5000\n\n")) == []
    assert stream.broken(CUT).seconds == 5
    stream.request()
    assert stream.broken(CUT).seconds == 5
    refusal = Reply(status=503, headers={"retry-after": "9"}, body=b"{}")
    assert stream.broken(refusal).seconds == 9
