"""worker/signature.py: from type hints to a JSON Schema, and back to typed values."""

from datetime import datetime
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pytest

from taskyard.core.errors import Misconfigured
from taskyard.worker.signature import bind, parameters, schema


class Box(msgspec.Struct):
    width: Annotated[int, msgspec.Meta(ge=1)]
    height: int = 1


def example(
    source: str,
    box: Box,
    kind: Literal["a", "b"] = "a",
    at: datetime | None = None,
    tags: list[str] = ["x"],  # noqa: B006 - a default that JSON cannot show
) -> None: ...


def test_the_schema_is_one_that_validators_read() -> None:
    """It names what is required, nests structs, and closes the object."""
    described = schema(parameters("t", example))
    jsonschema.Draft202012Validator.check_schema(described)
    validator = jsonschema.Draft202012Validator(described)
    assert validator.is_valid({"source": "s", "box": {"width": 2}})
    for bad in ({}, {"source": 1, "box": {"width": 2}}, {"source": "s", "box": {"width": 0}},
                {"source": "s", "box": {"width": 1}, "more": 1}):  # fmt: skip
        assert not validator.is_valid(bad)


def test_arguments_become_typed_values() -> None:
    """Structs and dates are made; a default that JSON cannot show is left to the function."""
    struct = parameters("t", example)
    bound = bind(struct, {"source": "s", "box": {"width": 2}, "at": "2026-01-01T00:00:00Z"})
    assert bound["box"] == Box(2)
    assert isinstance(bound["at"], datetime)
    assert bound["kind"] == "a"
    assert "tags" not in bound


def test_bad_arguments_are_refused() -> None:
    """With msgspec's sentence."""
    with pytest.raises(msgspec.ValidationError, match="source"):
        bind(parameters("t", example), {"box": {"width": 2}})


def test_keyword_arguments_leave_the_object_open() -> None:
    """What **kwargs takes may be anything."""

    def open_ended(a: int, **more: Any) -> None: ...

    struct = parameters("t", open_ended)
    assert bind(struct, {"a": 1, "b": [2]}) == {"a": 1, "b": [2]}


def test_what_cannot_be_given_by_name_is_refused() -> None:
    """The fault names task type and parameter."""

    def positional(*values: int) -> None: ...

    def odd(lock: type) -> None: ...

    for function in (positional, odd):
        with pytest.raises(Misconfigured) as caught:
            parameters("some.type", function)
        assert "some.type" in str(caught.value.faults[0])
