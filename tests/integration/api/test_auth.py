"""api/auth.py: who is let in, and to what."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
from quart.typing import TestClientProtocol as HttpClient

from taskyard.api.operation import Operation
from taskyard.api.operations import OPERATIONS
from taskyard.core.errors import Unauthenticated
from taskyard.core.principal import DEFAULT_TENANT, Principal, Scope
from tests.application import client_of, open_parts

GUARDED = [each for each in OPERATIONS if each.scope]


class Scoped:
    """Knows who is called like a scope, with that scope alone."""

    async def principal_of(self, token: str) -> Principal:
        if token not in set(Scope):
            raise Unauthenticated("nobody is called so")
        granted = frozenset({Scope(token)})
        return Principal(tenant=DEFAULT_TENANT, name=f"key:{token}", scopes=granted)


@pytest.fixture
async def http(database_url: str) -> AsyncIterator[HttpClient]:
    async with open_parts(database_url, authenticator=Scoped()) as parts:
        yield client_of(parts)


def path_of(operation: Operation) -> str:
    names = ("task", "webhook", "delivery", "key", "pool", "task_type", "session", "worker")
    return operation.path.format(**{name: str(uuid4()) for name in names})


async def test_nobody_is_let_in_without_a_credential(http: HttpClient) -> None:
    """401 on every guarded operation, before anything is read; probes are for everybody."""
    for operation in GUARDED:
        for shown in ("", "Bearer", "Bearer  ", "Basic eDp5", "Bearer a b", "Bearer stranger"):
            response = await http.open(
                path_of(operation), method=operation.method.upper(),
                headers={"Authorization": shown}, data=b"{not even JSON",
            )  # fmt: skip
            assert response.status_code == 401, (operation.path, shown)
            assert response.headers["WWW-Authenticate"].startswith("Bearer")
            assert (await response.get_json())["code"] == "unauthenticated"
    for path in ("/livez", "/readyz", "/openapi.json", "/asyncapi.json", "/docs"):
        assert (await http.get(path, headers={"Authorization": ""})).status_code == 200


@pytest.mark.parametrize("operation", GUARDED, ids=lambda each: f"{each.method} {each.path}")
async def test_an_operation_asks_for_one_scope(http: HttpClient, operation: Operation) -> None:
    """403 for every other one, in words; admin may do everything."""
    for scope in Scope:
        headers = {"Authorization": f"Bearer {scope}", "Accept": "application/json"}
        if scope in (operation.scope, Scope.ADMIN):
            continue  # what then happens is held by other tests
        response = await http.open(
            path_of(operation), method=operation.method.upper(), headers=headers
        )
        body = await response.get_json()
        assert (response.status_code, body["code"]) == (403, "forbidden")
        assert f"needs the scope {operation.scope}" in body["detail"]


async def test_the_right_scope_is_let_in(http: HttpClient) -> None:
    """A reader reads, a submitter submits; HEAD is a GET."""
    for method, path, scope, status in (
        ("GET", "/v1/tasks", "read", 200),
        ("HEAD", "/v1/tasks", "read", 200),
        ("HEAD", "/v1/tasks", "submit", 403),
        ("GET", "/v1/tasks", "admin", 200),
        ("POST", "/v1/webhooks", "admin", 415),
        ("POST", f"/v1/tasks/{uuid4()}/cancel", "cancel", 404),
        ("GET", "/nowhere", "read", 404),
        ("DELETE", "/v1/tasks", "read", 405),
    ):
        headers = {"Authorization": f"bearer {scope}"}
        response = await http.open(path, method=method, headers=headers)
        assert response.status_code == status, (method, path, scope)
    response = await http.post(
        "/v1/tasks", json={"type": "a.b"}, headers={"Authorization": "Bearer submit"}
    )
    assert response.status_code == 202
