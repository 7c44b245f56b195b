"""core/topics.py and RabbitMQ agree on what a pattern matches."""

import random
from collections import defaultdict

import amqp
import pytest

from taskyard.broker.declare import connected
from taskyard.core import topics

# Empty words, wildcards that are only part of a word, and keys that look like patterns.
KEY_WORDS = ["a", "a", "b", "ab", "é", "A", "", "*", "#"]
PATTERN_WORDS = [*KEY_WORDS, "*", "*", "#", "a*", "##"]
EDGES = {"", ".", "..", "#", "*", "#.#", "*.*", "#.*", "*.#", "a.", ".a", "#.", ".#", "a..b"}
PATTERNS, KEYS = 80, 100


def spell(chance: random.Random, words: list[str]) -> str:
    return ".".join(chance.choices(words, k=chance.randint(1, 5)))


def routed(url: str, exchange: str, patterns: list[str], keys: list[str]) -> dict[str, set[str]]:
    """Return which keys the broker put into the queue bound with each pattern."""
    got: dict[str, set[str]] = defaultdict(set)
    with connected(url) as broker:
        channel = broker.channel()
        channel.confirm_select()
        channel.exchange_declare(exchange, "topic", durable=False, auto_delete=True)
        queues = {pattern: channel.queue_declare("", exclusive=True).queue for pattern in patterns}
        for pattern, queue in queues.items():
            channel.queue_bind(queue, exchange, pattern)
        for key in keys:
            channel.basic_publish_confirm(amqp.Message(f"<{key}>"), exchange, key)
        for pattern, queue in queues.items():
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                got[pattern].add(message.body[1:-1])
    return got


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_broker_routes_as_we_explain(amqp_url: str, prefix: str, seed: int) -> None:
    """Random patterns and keys and all the odd ones, the empty key among them."""
    chance = random.Random(seed)
    patterns = sorted(EDGES | {spell(chance, PATTERN_WORDS) for _ in range(PATTERNS)})
    keys = sorted(EDGES | {spell(chance, KEY_WORDS) for _ in range(KEYS)})
    got = routed(amqp_url, f"{prefix}.{seed}", patterns, keys)
    wrong = [
        (pattern, key, "RabbitMQ routes it" if key in got[pattern] else "RabbitMQ does not")
        for pattern in patterns
        for key in keys
        if topics.matches(pattern, key) is not (key in got[pattern])
    ]
    assert wrong == []
    assert len(patterns) * len(keys) > 5_000
    assert 0.02 < sum(map(len, got.values())) / (len(patterns) * len(keys)) < 0.5


def test_what_two_patterns_share_reaches_both_queues(amqp_url: str, prefix: str) -> None:
    """The key that a fault of the routing table names is one the broker would send to both."""
    chance = random.Random(4)
    words = ["a", "b", "*", "#"]
    pairs = [(spell(chance, words), spell(chance, words)) for _ in range(30)]
    shared = {pair: key for pair in pairs if (key := topics.common_key(*pair)) is not None}
    patterns = sorted({pattern for pair in shared for pattern in pair})
    got = routed(amqp_url, f"{prefix}.shared", patterns, sorted(set(shared.values())))
    assert len(shared) > 5
    for (one, other), key in shared.items():
        assert key in got[one] & got[other], (one, other, key)
