"""`python -m taskyard` is `taskyard`."""

from taskyard.cli import app

app()
