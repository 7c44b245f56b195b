"""The command line: each command calls one function elsewhere."""

from taskyard.cli.app import app

__all__ = ["app"]
