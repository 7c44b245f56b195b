"""core/topics.py and RabbitMQ agree on what a pattern matches."""

import random
from collections import defaultdict

import amqp
import pytest

from taskyard.broker.declare import connected
from taskyard.core import topics

WORDS = ["a", "b", "ab", "", "*", "#"]
PATTERNS, KEYS = 90, 90


def spell(chance: random.Random, words: list[str]) -> str:
    return ".".join(chance.choices(words, k=chance.randint(0, 5)))


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_broker_routes_as_we_explain(amqp_url: str, prefix: str, seed: int) -> None:
    """Random patterns and keys, empty words and the empty key among them."""
    chance = random.Random(seed)
    patterns = sorted({spell(chance, WORDS) for _ in range(PATTERNS)})
    keys = sorted({spell(chance, WORDS[:4]) for _ in range(KEYS)})
    exchange = f"{prefix}.{seed}"
    got: dict[str, set[str]] = defaultdict(set)
    with connected(amqp_url) as broker:
        channel = broker.channel()
        channel.confirm_select()
        channel.exchange_declare(exchange, "topic", durable=False, auto_delete=False)
        queues = {pattern: channel.queue_declare("", exclusive=True).queue for pattern in patterns}
        for pattern, queue in queues.items():
            channel.queue_bind(queue, exchange, pattern)
        for key in keys:
            channel.basic_publish_confirm(amqp.Message(f"<{key}>"), exchange, key)
        for pattern, queue in queues.items():
            while (message := channel.basic_get(queue, no_ack=True)) is not None:
                got[pattern].add(message.body[1:-1])
        channel.exchange_delete(exchange)
    expected = {p: {key for key in keys if topics.matches(p, key)} for p in patterns}
    assert {p: keys for p, keys in got.items() if keys} == {p: k for p, k in expected.items() if k}
    assert len(patterns) * len(keys) > 2_000
