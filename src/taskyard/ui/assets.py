"""Stylesheet and scripts of the dashboard, under an address that changes with them."""

import hashlib
from importlib.resources import files

from quart import Blueprint, Response, abort

_KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
_FOR_EVER = "public, max-age=31536000, immutable"


def serve_assets(blueprint: Blueprint) -> str:
    """Serve what is in the folder assets; return the address that all of it is below.

    One digest stands for the whole folder, so that modules name each other by relative paths.
    """
    folder = files("taskyard.ui").joinpath("assets")
    held = {each.name: each.read_bytes() for each in sorted(folder.iterdir(), key=lambda e: e.name)}
    whole = hashlib.blake2b(digest_size=8)
    for name, content in held.items():
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    digest = whole.hexdigest()

    @blueprint.get("/assets/<version>/<name>")
    async def asset(version: str, name: str) -> Response:
        if name not in held:
            abort(404)
        kind = next(kind for ending, kind in _KINDS.items() if name.endswith(ending))
        # During a deploy a page of another release may ask: it keeps nothing of what is here.
        kept = _FOR_EVER if version == digest else "no-store"
        return Response(held[name], 200, {"Cache-Control": kept}, content_type=kind)

    return f"/assets/{digest}"
