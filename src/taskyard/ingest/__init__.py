"""The event consumer: events from the broker become tasks. Any number may run beside each other."""

from taskyard.ingest.consume import HELD, consume

__all__ = ["HELD", "consume"]
