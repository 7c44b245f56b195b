"""X-Request-Id: told, kept, and in what is logged."""

import pytest
import structlog
from structlog.testing import LogCapture

from tests.application import client_of, open_parts

TASK = "0198c0de-0000-7000-8000-000000000000"


@pytest.mark.parametrize("given", ["5f1a7f0e", "Root=1-67891233-abc", "a" * 128])
async def test_a_sane_name_is_kept(database_url: str, given: str) -> None:
    """So that the caller finds its request in our logs."""
    async with open_parts(database_url) as parts:
        answer = await client_of(parts).get("/livez", headers={"X-Request-Id": given})
    assert answer.headers["X-Request-Id"] == given


@pytest.mark.parametrize("given", [None, "", "a" * 129, "ü", 'a"b', "a b", "-a"])
async def test_any_other_is_replaced(database_url: str, given: str | None) -> None:
    """By one of our own; each request has another."""
    headers = {} if given is None else {"X-Request-Id": given}
    async with open_parts(database_url) as parts:
        client = client_of(parts)
        found = [(await client.get("/livez", headers=headers)).headers for _ in range(2)]
    ids = {each["X-Request-Id"] for each in found}
    assert len(ids) == 2
    assert all(len(each) == 32 for each in ids)


async def test_what_is_logged_meanwhile_says_which_request(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And which task it was about; a refusal has the id as well."""
    captured = LogCapture()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, captured])
    async with open_parts(database_url) as parts:

        async def broken(*_: object) -> None:
            raise RuntimeError("a fault of ours")

        monkeypatch.setattr("taskyard.api.tasks.tasks_table.get", broken)
        answer = await client_of(parts).get(f"/v1/tasks/{TASK}", headers={"X-Request-Id": "mine"})
    structlog.reset_defaults()
    assert (answer.status_code, answer.headers["X-Request-Id"]) == (500, "mine")
    [line] = [each for each in captured.entries if each["event"] == "request failed"]
    assert (line["request_id"], line["task_id"], line["method"]) == ("mine", TASK, "GET")
