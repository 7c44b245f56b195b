"""What browsers are told about every answer."""

from quart import Quart, Response

# Nothing inline and nothing from elsewhere; no page of others may hold ours in a frame.
_POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def register_headers(app: Quart) -> None:
    """Send the headers that keep a browser from guessing, framing and telling others."""

    @app.after_request
    async def protect(response: Response) -> Response:
        headers = response.headers
        headers["X-Content-Type-Options"] = "nosniff"
        if response.mimetype == "text/html":
            headers["Content-Security-Policy"] = _POLICY
            headers["X-Frame-Options"] = "DENY"
            headers["Referrer-Policy"] = "same-origin"
        return response
