"""What the tests of pages share: the application with its login, and a browser's steps."""

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from quart import Quart, Response
from quart.typing import TestClientProtocol as HttpClient

from taskyard import bootstrap
from taskyard.api.app import create_app
from taskyard.bootstrap.api import with_dashboard
from taskyard.bootstrap.identity import open_identity
from taskyard.core.principal import Scope, TenantId
from taskyard.core.routing import RoutingTable
from taskyard.services.keys import KeyWish
from taskyard.settings import Settings
from tests.application import TABLE, open_parts


def given(database_url: str, **more: Any) -> Settings:
    return Settings(
        database_url=database_url, amqp_url="amqp://nobody@127.0.0.1/v", stores={},
        key_pepper=b"p" * 32, session_keys=("s" * 32,), **more,
    )  # fmt: skip


@asynccontextmanager
async def application(
    settings: Settings, table: RoutingTable = TABLE, **changes: Any
) -> AsyncIterator[Quart]:
    async with (
        open_parts(settings.database_url, table, **changes) as parts,
        open_identity(settings, parts.pool) as identity,
    ):
        opened = replace(parts, **identity)
        url = settings.trace_url
        yield create_app(with_dashboard(opened, encrypted=False, trace_url=url))


async def make_key(settings: Settings, *scopes: Scope, patterns: tuple[str, ...] = ("a.*",)) -> str:
    wish = KeyWish(
        tenant=TenantId("acme"), name="k", scopes=frozenset(scopes), created_by="tests",
        patterns=patterns,
    )  # fmt: skip
    key, _ = await bootstrap.create_key(settings, wish)
    return key


async def text(response: Response) -> str:
    return str(await response.get_data(as_text=True))


async def csrf(browser: HttpClient, path: str = "/login") -> str:
    """The token of the form on a page."""
    found = re.search(r'name="csrf" value="([^"]+)"', await text(await browser.get(path)))
    assert found
    return found.group(1)


async def log_in(browser: HttpClient, key: str) -> Response:
    form = {"csrf": await csrf(browser), "key": key}
    return await browser.post("/login", form=form)


def session_of(browser: HttpClient) -> str:
    (value,) = [cookie.value for cookie in browser.cookie_jar if "taskyard" in cookie.name]
    return str(value)


def fields(page: str, *, action: str = "") -> dict[str, str]:
    """What the form of a page that posts sends by itself, to an address that ends so."""
    for found in re.finditer(r'<form[^>]*method="post" action="([^"]*)">(.*?)</form>', page, re.S):
        if found.group(1).endswith(action) and found.group(1) != "/logout":
            hidden = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', found.group(2))
            return {name: html.unescape(value) for name, value in hidden}
    raise AssertionError(f"no form for {action}: {page}")
