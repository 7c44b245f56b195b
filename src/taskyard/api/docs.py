"""/openapi.json."""

from quart import Blueprint


def docs_blueprint() -> Blueprint:
    return Blueprint("docs", __name__)
