"""Topic patterns as AMQP 0-9-1 defines them (section 3.1.3.3) and as RabbitMQ matches them.

Words are separated by dots and may be empty. `*` stands for exactly one word, `#` for zero or
more. RabbitMQ splits the empty routing key into no words at all, not into one empty word.
"""

import re
from functools import cache, lru_cache

SHORTSTR_BYTES = 255  # AMQP 0-9-1, section 4.2.5.3: routing keys are short strings


def words(key: str) -> tuple[str, ...]:
    """Split a pattern or routing key into its words."""
    return tuple(key.split(".")) if key else ()


@lru_cache(maxsize=4096)
def matches(pattern: str, key: str) -> bool:
    """Return whether RabbitMQ's topic exchange would route `key` over a binding `pattern`."""
    # Row by row over the pattern: reached[i] says that the words so far can match key[:i].
    parts = words(key)
    reached = [True] + [False] * len(parts)
    for word in words(pattern):
        if word == "#":
            first = reached.index(True) if True in reached else len(reached)
            reached = [i >= first for i in range(len(reached))]
        else:
            reached = [False] + [reached[i] and word in ("*", part) for i, part in enumerate(parts)]
    return reached[-1]


def problem(pattern: str) -> str | None:
    """Return what is wrong with a pattern, in words, or None."""
    if not pattern:
        return "is empty; write # to match every task type"
    if len(pattern.encode()) > SHORTSTR_BYTES:
        return f"is longer than {SHORTSTR_BYTES} bytes, the limit of an AMQP routing key"
    for word in words(pattern):
        if not word:
            return "has an empty word between its dots, which no type has"
        if len(word) > 1 and ("*" in word or "#" in word):
            return f"has the word {word!r}: * and # stand for whole words between dots"
    return None


def is_literal(pattern: str) -> bool:
    """Return whether the pattern has no wildcard, so it names one key only."""
    return not {"*", "#"} & set(words(pattern))


def common_key(one: str, other: str) -> str | None:
    """Return a routing key that both patterns match, or None when there is none.

    The patterns have no empty words (see `problem`): AMQP cannot spell a key of one empty word.
    """

    @cache
    def shared(a: tuple[str, ...], b: tuple[str, ...]) -> tuple[str, ...] | None:
        if not a and not b:
            return ()
        if b and b[0] == "#":
            a, b = b, a
        if a and a[0] == "#":
            if (rest := shared(a[1:], b)) is not None:  # the # stands for no word
                return rest
            if not b or b[0] == "#":
                return shared(a, b[1:]) if b else None
            rest = shared(a, b[1:])  # the # takes the other's next word
            return None if rest is None else (_spelt(b[0]), *rest)
        if not a or not b or not (a[0] == b[0] or "*" in (a[0], b[0])):
            return None
        rest = shared(a[1:], b[1:])
        word = b[0] if a[0] == "*" else a[0]
        return None if rest is None else (_spelt(word), *rest)

    found = shared(words(one), words(other))
    return None if found is None else ".".join(found)


def _spelt(word: str) -> str:
    """A wildcard shown as an example word."""
    return "any" if word in ("*", "#") else word


def as_regex(pattern: str) -> str:
    """Return the POSIX expression that a key with a dot behind it matches as the key does.

    Not for the empty key, which has no words.
    """
    spelt = {"*": r"[^.]*\.", "#": r"([^.]*\.)*"}
    parts = (spelt.get(word) or f"{_ODD.sub(_ESCAPED, word)}\\." for word in words(pattern))
    return f"^{''.join(parts)}$"


_ODD = re.compile(r"[^\w-]")  # a letter behind a backslash would mean something
_ESCAPED = r"\\\g<0>"
