"""How requests are written: paths, queries, bodies and keys."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

from taskyard.client.exchange import Params, Request


def post(path: str, body: bytes | None = None, *, key: str | None = None) -> Request:
    """Return a POST of JSON; what has an idempotency key may be sent again."""
    headers = {} if body is None else {"Content-Type": "application/json"}
    if key is not None:
        headers["Idempotency-Key"] = quoted(key)
    return Request(method="POST", path=path, headers=headers, body=body, safe=key is not None)


def query(values: Mapping[str, Any]) -> Params:
    """Return query parameters: None is left out, of several values each stands by itself."""
    params: list[tuple[str, str]] = []
    for name, value in values.items():
        if value is None:
            continue
        several = [value] if isinstance(value, str | int | datetime) else list(value)
        params += [(name, _text(each)) for each in several]
    return tuple(params)


def segment(text: str) -> str:
    """Return text as one segment of a path."""
    return quote(text, safe="")


def quoted(key: str) -> str:
    """Return a string as Structured Fields write it (RFC 9651, section 4.1.6)."""
    escaped = key.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
