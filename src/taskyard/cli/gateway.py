"""Asking a running gateway, for commands that pass on what it answers."""

from typing import Any

import httpx

from taskyard.cli.report import fail

_TIMEOUT = 60.0  # seconds; a replay of many takes its time


def ask(api: str, method: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
    """Return the JSON that the gateway answers; what it refuses ends the command in words."""
    params = {name: value for name, value in query.items() if value is not None}
    try:
        response = httpx.request(method, f"{api}{path}", json=body, params=params, timeout=_TIMEOUT)
        found = dict(response.json())
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise fail(f"{api} does not answer as a gateway does: {error}") from error
    if response.is_error:
        faults = tuple(f"{each['pointer']}: {each['detail']}" for each in found.get("errors", ()))
        raise fail(str(found.get("detail")), faults)
    return found
