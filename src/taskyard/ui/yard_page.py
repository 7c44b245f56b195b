"""The page Yard: the flow as a picture and as a table, live."""

from hashlib import blake2b

from quart import Blueprint, Response, render_template, request

from taskyard.services.flow import READ_EVERY
from taskyard.ui.frame import page
from taskyard.ui.picture import WIDTH, picture_of
from taskyard.ui.yard import Yard

_AGAIN = 2 * READ_EVERY


def serve_yard(blueprint: Blueprint, yard: Yard) -> None:
    """Serve the page, and the part of it that is asked for again and again."""

    @blueprint.get("/")
    async def start() -> Response:
        flow = await yard.flow.read()
        return await page(
            "yard.html", flow=flow, picture=picture_of(flow), width=WIDTH, again=_AGAIN
        )

    @blueprint.get("/flow")
    async def flow() -> Response:
        found = await yard.flow.read()
        text = await render_template(
            "flow.html", flow=found, picture=picture_of(found), width=WIDTH
        )
        return _tagged(text)


def _tagged(text: str) -> Response:
    """Return a part of a page with an ETag; 304 to who has it. No cache keeps it."""
    tag = blake2b(text.encode(), digest_size=12).hexdigest()
    headers = {"ETag": f'"{tag}"', "Cache-Control": "no-store"}
    if request.if_none_match.contains_weak(tag):
        return Response("", 304, headers)
    return Response(text, 200, headers, content_type="text/html; charset=utf-8")
