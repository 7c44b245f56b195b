"""routing_events.py: rules, compiled when they are read; what is wrong is said with its place."""

import json
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from taskyard.core.errors import Fault, InvalidRouting
from taskyard.routing_events import EVENTS_KEYS, PUBLISHER_KEYS, RULE_KEYS, read_events
from taskyard.routing_files import read_routing

GOOD = '[[rule]]\nname = "a"\nmatch = "upload.*"\ntask = "image.x"\n'


def schema() -> Any:
    return json.loads((files("taskyard") / "schemas" / "events.schema.json").read_text())


def faults(text: str) -> list[str]:
    found: list[Fault] = []
    read_events(tomllib.loads(text), found)
    return [str(fault) for fault in found]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('when = "data.size >"', "[[rule]] 'a' when: column 12: ends too early"),
        ('when = "data..size"', "when: column 6: '.' cannot stand here"),
        ('when = "data.#"', "when: column 6: Unknown token"),
        ('when = ""', "when: is empty"),
        ('when = "lenght(data)"', "when: column 1: there is no function lenght()"),
        ('when = "x && length(a, b)"', "when: column 6: length() takes 1 arguments, not 2"),
        ('when = "merge()"', "merge() takes at least 1 arguments, not 0"),
        (f'when = "{"a" * 1001}"', "when: has 1001 characters; at most 1000"),
        (f'when = "{"[" * 16}a{"]" * 16}"', "is nested deeper than 16 levels"),
        (f'when = "{"!" * 400}a"', "nested"),
        ("args = { width = 128 }", "args width: is 128; write a JMESPath string"),
        ('args = { x = "data.[" }', "args x: column 7"),
        ('args = { "a-b" = "x" }', "args.a-b: is no name of an argument"),
        ('args = "data"', "args: must be a table"),
        ('dedupe = "]"', "dedupe: column 1"),
        ("priority = 10", "priority: is 10"),
        ('delay = "soon"', "delay: is 'soon'"),
        ('dely = "1s"', "did you mean 'delay'?"),
    ],
)
def test_a_rule_that_does_not_compile_is_named_with_its_column(line: str, expected: str) -> None:
    """The fault says file, rule and column."""
    found = faults(GOOD + line)
    assert len(found) == 1, found
    assert found[0].startswith("events.toml [[rule]] 'a'")
    assert expected in found[0]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD + GOOD, "is there twice"),
        ('[[rule]]\nname = "a"\ntask = "x"\n', "match: is required"),
        ('[[rule]]\nname = "A b"\nmatch = "x"\ntask = "x"\n', "is 'A b'"),
        ('[[rule]]\nname = "a"\nmatch = "x.a*"\ntask = "x"\n', "has the word 'a*'"),
        ("[rule]\n", "write [[rule]]"),
        ("rule = [1]\n", "must be a table"),
        ('[events]\nretention = "long"\n', "[events] retention: is 'long'"),
        ("[event]\n", "is not a known key"),
        ('publishers = ["shop"]\n', "must be tables such as [publishers.shop]"),
        ('[publishers."a.b"]\n', "[publishers.a.b]: is no name for a user"),
        ("[publishers.guest]\n", "is a user that everybody knows"),
        ("[publishers.shop]\ntypes = []\n", "[publishers.shop] types: must be a list"),
        ('[publishers.shop]\ntypes = ["a.b*"]\n', "has the word 'b*'"),
        ("[publishers.shop]\ntype = 1\n", "did you mean 'types'?"),
    ],
)
def test_what_is_wrong_with_the_file_is_said(text: str, expected: str) -> None:
    """Whatever it is, and where."""
    assert any(expected in fault for fault in faults(text))
    fits = jsonschema.Draft202012Validator(schema()).is_valid(tomllib.loads(text))
    assert fits == (expected == "is there twice")  # which JSON Schema cannot tell


def test_schema_and_reader_know_the_same_keys() -> None:
    """An editor offers what the reader takes."""
    described = schema()["properties"]
    assert set(described["rule"]["items"]["properties"]) == set(RULE_KEYS)
    assert set(described["events"]["properties"]) == set(EVENTS_KEYS)
    publisher = described["publishers"]["additionalProperties"]
    assert set(publisher["properties"]) == set(PUBLISHER_KEYS)


def test_publishers_are_read_with_the_types_they_may_publish() -> None:
    """Without types they may publish all."""
    found = read_events(
        tomllib.loads('[publishers.shop]\ntypes = ["order.*"]\n[publishers.billing]\n'), []
    )
    assert [(each.name, each.types) for each in found.publishers] == [
        ("shop", ("order.*",)),
        ("billing", ()),
    ]


def test_a_rule_whose_task_no_pool_runs_stops_the_start(tmp_path: Path) -> None:
    """So does one that does not compile: every process reads the whole folder first."""
    (tmp_path / "pools.toml").write_text('[p]\ntasks = ["mail.*"]\nmodules = ["m"]\n')
    (tmp_path / "events.toml").write_text(GOOD)
    with pytest.raises(InvalidRouting) as caught:
        read_routing(tmp_path)
    assert "no pool runs the task type 'image.x'" in str(caught.value.faults[0])
    (tmp_path / "events.toml").write_text(GOOD + 'when = "]"')
    with pytest.raises(InvalidRouting) as caught:
        read_routing(tmp_path)
    assert str(caught.value.faults[0]).startswith("events.toml [[rule]] 'a' when: column 1")
