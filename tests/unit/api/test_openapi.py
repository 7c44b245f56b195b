"""api/openapi.py: the document and the application say the same."""

import re
from unittest.mock import Mock

from openapi_spec_validator import validate
from quart import Quart

from taskyard.api.app import create_app
from taskyard.api.docs import docs_blueprint
from taskyard.api.errors import STATUS, explanations
from taskyard.api.openapi import document
from taskyard.api.operations import OPERATIONS
from taskyard.core.routing import RoutingTable

TABLE = RoutingTable(pools={}, defaults={})
UNDOCUMENTED = {"/openapi.json", "/asyncapi.json", "/docs", "/problems/{code}", "/style.css"}


def test_the_document_is_openapi() -> None:
    """It is valid under the specification's own schema."""
    validate(document())


def test_every_route_is_described_and_the_reverse() -> None:
    """Nothing is served that is not described, and nothing described is missing."""
    routes = {
        (method.lower(), re.sub(r"<(\w+)>", r"{\1}", rule.rule))
        for rule in create_app(Mock(table=TABLE, pages=())).url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    described = {(operation.method, operation.path) for operation in OPERATIONS}
    assert {route for route in routes if route[1] not in UNDOCUMENTED} == described


def test_every_refusal_named_is_explained_with_its_status() -> None:
    """The statuses in the document are those that the error handler sends."""
    statuses = {kind.code: status for kind, status in STATUS.items()}
    for operation in OPERATIONS:
        for status, codes in (operation.refusals or {}).items():
            assert {statuses[code] for code in codes} == {status}, operation.path


def test_what_asks_who_it_is_may_find_nobody_who_knows() -> None:
    """Beside what the operation itself refuses with the same status."""
    paths = document()["paths"]
    submit = paths["/v1/tasks"]["post"]["responses"]["503"]["description"]
    for code in ("issuer-unavailable", "storage-unavailable", "backlog-full"):
        assert submit.count(f"`{code}`") == 1
    assert {"401", "403", "503"} <= set(paths["/v1/task-types"]["get"]["responses"])
    assert "401" not in paths["/livez"]["get"]["responses"]


def test_explanations_are_unique() -> None:
    """Each code is explained once."""
    codes = [code for code, _, _ in explanations()]
    assert len(codes) == len(set(codes))


async def test_the_page_shows_every_operation_and_problem() -> None:
    """Also those that answer without a body."""
    app = Quart("taskyard.api")
    app.register_blueprint(docs_blueprint())
    page = await app.test_client().get("/docs")
    assert page.status_code == 200
    text = await page.get_data(as_text=True)
    assert [each.path for each in OPERATIONS if each.path not in text] == []
    assert [code for code, _, _ in explanations() if f"/problems/{code}" not in text] == []
