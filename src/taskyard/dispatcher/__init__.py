"""The dispatcher: small loops, one a duty, each calling one service on NOTIFY or on a timer.

Any number may run beside each other: each takes rows with FOR UPDATE SKIP LOCKED.
"""

from taskyard.dispatcher.loops import Dispatcher

__all__ = ["Dispatcher"]
