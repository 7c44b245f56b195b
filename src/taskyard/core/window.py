"""The window of a pool: how many wake-ups the broker may hold of it, and when to look again.

Twice what the workers can hold keeps all of them busy. Where tasks are short that would be gone
before the dispatcher looks again, so the window also covers what is claimed within a quarter of a
second: that, and no more, is how far those who come later are behind.
"""

import math

from taskyard.core.routing import Pool

LARGEST = 20_000
_TIMES_CAPACITY = 2
_COVERS = 0.25  # seconds of claims
_COVERS_AT_MOST = 2.0  # where the dispatcher itself is slow
_SMOOTHED_OVER = 0.5  # seconds
_SOONEST, _LATEST = 0.004, 0.25  # seconds between two looks while tasks wait


def window_size(pool: Pool, *, consumers: int, rate: float) -> int:
    """Return how many wake-ups the broker may hold, for so many workers and claims a second."""
    if pool.window is not None:
        return pool.window
    capacity = max(1, consumers) * pool.concurrency * pool.prefetch
    return min(LARGEST, max(_TIMES_CAPACITY * capacity, math.ceil(rate * _COVERS)))


def grown_size(size: int, *, wanted: int, rate: float, starved: bool) -> int:
    """Return the size that follows a size, if so much is wanted by what is measured.

    A window that was full and is nearly empty at the next look holds its workers up, and a rate
    measured then is too low: it is doubled, else it would shrink for ever on a busy machine.
    """
    if starved:
        return max(wanted, min(2 * size, LARGEST, math.ceil(rate * _COVERS_AT_MOST)))
    return max(wanted, size - max(1, size // 50))


def smoothed_rate(rate: float, *, claimed: int, seconds: float) -> float:
    """Return the claims a second after so many more were seen in so many seconds."""
    if seconds <= 0.0:
        return rate
    fresh = 1.0 - math.exp(-seconds / _SMOOTHED_OVER)
    return rate + (max(0, claimed) / seconds - rate) * fresh


def look_again(size: int, *, rate: float) -> float:
    """Return the seconds until a quarter of a full window is claimed."""
    if rate <= 0.0:
        return 2 * _SOONEST
    return min(_LATEST, max(_SOONEST, size / rate / 4))
