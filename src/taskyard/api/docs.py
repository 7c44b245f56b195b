"""/openapi.json, /docs and /problems: documentation that needs no other server."""

from quart import Blueprint, Response, abort, render_template

from taskyard.api.errors import explanations
from taskyard.api.openapi import document
from taskyard.api.operations import OPERATIONS
from taskyard.api.render import respond


def docs_blueprint() -> Blueprint:
    """Serve the documentation, made once."""
    blueprint = Blueprint("docs", __name__)
    whole = document()

    @blueprint.get("/openapi.json")
    async def openapi() -> Response:
        return respond(whole)

    @blueprint.get("/docs")
    async def docs() -> str:
        return await render_template(
            "docs.html", document=whole, operations=OPERATIONS, problems=list(explanations())
        )

    @blueprint.get("/style.css")
    async def style() -> Response:
        return Response(await render_template("page.css"), content_type="text/css; charset=utf-8")

    @blueprint.get("/problems/<code>")
    async def problem(code: str) -> str:
        found = next((entry for entry in explanations() if entry[0] == code), None)
        if found is None:
            abort(404)
        return await render_template("problem.html", problem=found)

    return blueprint
