"""routing_files.py: the files of the routing folder, and the schemas that editors read."""

import json
import tomllib
from datetime import timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from taskyard.core.errors import InvalidRouting
from taskyard.core.limits import Rate
from taskyard.core.quotas import Quota
from taskyard.core.routing_limits import has_limits, limits_for
from taskyard.routing_files import KEYS, read_routing

ROUTING = Path(__file__).parents[2] / "routing"
GOOD = '[media]\ntasks = ["image.*"]\nmodules = ["workers.media"]\n'


def schema(name: str) -> Any:
    return json.loads((files("taskyard") / "schemas" / f"{name}.schema.json").read_text())


def faults(folder: Path, pools: str, tasks: str = "") -> list[str]:
    (folder / "pools.toml").write_text(pools)
    (folder / "tasks.toml").write_text(tasks)
    with pytest.raises(InvalidRouting) as caught:
        read_routing(folder)
    return [str(fault) for fault in caught.value.faults]


def test_the_routing_table_of_this_deployment_is_sound() -> None:
    """What ships is read, and fits its schema."""
    table = read_routing(ROUTING)
    assert set(table.pools) == {"media", "documents", "analysis"}
    assert [rule.name for rule in table.events.rules] == [
        "thumbnail-new-uploads", "summarize-new-tables",
    ]  # fmt: skip
    for name in ("pools", "tasks", "events", "resources", "limits"):
        jsonschema.validate(tomllib.loads((ROUTING / f"{name}.toml").read_text()), schema(name))


def test_every_fault_of_both_files_comes_at_once(tmp_path: Path) -> None:
    """Nobody mends a file one fault at a time."""
    found = faults(
        tmp_path,
        '[Media]\ntasks = ["a.b*"]\nmodules = []\nconcurency = 2\nprefetch = 0\n[docs]\n',
        '["a.b"]\npriority = 12\ntimeout = "soon"\nretry = { max_attempts = 0, bse = "1s" }\n',
    )
    expected = [
        "[Media]: is no name for a pool", "'a.b*' has the word", "modules: must be a list",
        "did you mean 'concurrency'?", "prefetch: is 0", "[docs] tasks: is required",
        "[docs] modules: is required", "priority: is 12", "timeout: is 'soon'", "max_attempts",
        "did you mean 'base'?",
    ]  # fmt: skip
    assert [part for part in expected if not any(part in fault for fault in found)] == []


BAD_POOLS = [
    'execution = "gevent"', "concurrency = 0", 'concurrency = "2"', 'queue_type = "stream"',
    "drain = 30", "prefetch = true", "unknown = 1",
]  # fmt: skip
BAD_TASKS = [
    "priority = 10", "timeout = 60", 'timeout = ""', "max_args = 100",
    'max_args = "1MB"', "retry = 5", "concurrency = 0", 'rate = "fast"', "rate = 10",
    'resources = []', 'resources = "stripe"', 'retry = { base = "x" }', "unknown = 1",
]  # fmt: skip


@pytest.mark.parametrize("line", BAD_POOLS)
def test_reader_and_schema_refuse_the_same_pools(tmp_path: Path, line: str) -> None:
    """An editor underlines what the reader refuses."""
    assert faults(tmp_path, GOOD + line)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(GOOD + line), schema("pools"))


@pytest.mark.parametrize("line", BAD_TASKS)
def test_reader_and_schema_refuse_the_same_tasks(tmp_path: Path, line: str) -> None:
    """An editor underlines what the reader refuses."""
    text = f'["image.x"]\n{line}\n'
    assert faults(tmp_path, GOOD, text)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema("tasks"))


def test_reader_and_schema_know_the_same_keys() -> None:
    """A key that one of them lacks would be refused or go unnoticed."""
    for name in ("pools", "tasks", "resources"):
        described = schema(name)["additionalProperties"]["properties"]
        assert tuple(described) == KEYS[f"{name}.toml"]
    tenant = schema("limits")["properties"]["tenant"]
    assert tuple(tenant["properties"]) == KEYS["limits.toml"]


BAD_RESOURCES = [
    "[Stripe]\nconcurrency = 1", "[stripe]", "[stripe]\nconcurrency = 0", '[stripe]\nrate = "1"',
    "[stripe]\nrate = 5", "[stripe]\nburst = 5", "stripe = 5",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_RESOURCES)
def test_reader_and_schema_refuse_the_same_resources(tmp_path: Path, text: str) -> None:
    """An editor underlines what the reader refuses."""
    (tmp_path / "resources.toml").write_text(text)
    assert faults(tmp_path, GOOD)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema("resources"))


BAD_LIMITS = [
    "[tenants]", "[tenant]\nqueued = 0", '[tenant]\nrate = "fast"', "[tenant]\nstored = 5",
    "[tenant]\nburst = 5", "tenant = 5",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_LIMITS)
def test_reader_and_schema_refuse_the_same_limits(tmp_path: Path, text: str) -> None:
    """An editor underlines what the reader refuses."""
    (tmp_path / "limits.toml").write_text(text)
    assert faults(tmp_path, GOOD)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(tomllib.loads(text), schema("limits"))


def test_what_holds_for_tenants_is_read(tmp_path: Path) -> None:
    """Unlimited, if nothing is said."""
    (tmp_path / "pools.toml").write_text(GOOD)
    assert read_routing(tmp_path).quota.is_unlimited
    (tmp_path / "limits.toml").write_text('[tenant]\nrate = "100/s"\nstored = "10GiB"\n')
    expected = Quota(rate=Rate(100, timedelta(seconds=1)), stored=10 * 1024**3)
    assert read_routing(tmp_path).quota == expected


@pytest.mark.parametrize("rate", ["0/s", "20000/s", "5/2d", "5/0s"])
def test_a_rate_that_cannot_be_kept_is_refused(tmp_path: Path, rate: str) -> None:
    """Each start is remembered for its period, so both are bounded."""
    [fault] = faults(tmp_path, GOOD, f'["image.x"]\nrate = "{rate}"\n')
    assert fault.startswith('tasks.toml ["image.x"] rate: is ')


def test_limits_are_read(tmp_path: Path) -> None:
    """A task type has its own limit and those of the resources it names, in the order of locks."""
    (tmp_path / "pools.toml").write_text(GOOD)
    (tmp_path / "tasks.toml").write_text(
        '["image.*"]\nconcurrency = 3\nrate = "600/m"\nresources = ["stripe", "smtp"]\n'
    )
    (tmp_path / "resources.toml").write_text('[stripe]\nconcurrency = 5\n[smtp]\nrate = "5/10s"\n')
    table = read_routing(tmp_path)
    shown = [(each.name, each.concurrency, each.rate) for each in limits_for(table, "image.x")]
    assert shown == [
        ("resource:smtp", None, Rate(5, timedelta(seconds=10))),
        ("resource:stripe", 5, None),
        ("task:image.x", 3, Rate(600, timedelta(minutes=1))),
    ]
    assert has_limits(table)
    assert not has_limits(read_routing(ROUTING))


@pytest.mark.parametrize(
    ("content", "part"),
    [(b"[media\n", "is not TOML"), (b"\xff", "is not UTF-8"), (b"media = 1\n", "must be a table")],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes, part: str) -> None:
    """The fault says which file and what about it."""
    (tmp_path / "pools.toml").write_bytes(content)
    with pytest.raises(InvalidRouting) as caught:
        read_routing(tmp_path)
    assert part in str(caught.value.faults[0])


def test_a_missing_pools_file_is_said(tmp_path: Path) -> None:
    """tasks.toml may be absent, pools.toml may not."""
    with pytest.raises(InvalidRouting) as caught:
        read_routing(tmp_path)
    assert [fault.where for fault in caught.value.faults] == ["pools.toml"]
