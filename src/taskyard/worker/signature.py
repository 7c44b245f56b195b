"""From a function's type hints to the JSON Schema of its arguments, and back to typed values."""

import inspect
import typing
from collections.abc import Callable
from typing import Any

import msgspec

from taskyard.core.errors import Fault, Misconfigured

_PLAIN = (type(None), bool, int, float, str)


def parameters(task_type: str, function: Callable[..., Any]) -> type[msgspec.Struct]:
    """Return a struct with the function's parameters as fields.

    Raises Misconfigured for what cannot be filled from a JSON object: *args, positional-only
    parameters, and types that JSON has no form for.
    """
    hints = typing.get_type_hints(function, include_extras=True)
    fields: list[Any] = []
    open_ended = False
    for name, parameter in inspect.signature(function).parameters.items():
        match parameter.kind:
            case parameter.VAR_KEYWORD:
                open_ended = True
            case parameter.VAR_POSITIONAL | parameter.POSITIONAL_ONLY:
                raise _unusable(task_type, f"the parameter {name!r} cannot be given by name")
            case _:
                fields.append(_field(name, hints.get(name, Any), parameter.default))
    struct = msgspec.defstruct(
        "Arguments", fields, kw_only=True, forbid_unknown_fields=not open_ended
    )
    try:
        msgspec.json.schema(struct)
    except TypeError as error:
        raise _unusable(task_type, str(error)) from error
    return struct


def _field(name: str, hint: Any, default: Any) -> tuple[Any, ...]:
    if default is inspect.Parameter.empty:
        return (name, hint)
    if isinstance(default, _PLAIN):
        return (name, hint, default)
    # A default that JSON cannot show stays the function's own business.
    return (name, hint | msgspec.UnsetType, msgspec.UNSET)


def _unusable(task_type: str, problem: str) -> Misconfigured:
    return Misconfigured(
        f"the function of {task_type!r} cannot take its arguments from JSON",
        faults=(Fault(task_type, problem),),
    )


def schema(struct: type[msgspec.Struct]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a parameter struct, whole in itself."""
    (root,), components = msgspec.json.schema_components([struct], ref_template="#/$defs/{name}")
    # The struct stands for the arguments themselves, so its definition is lifted to the top.
    name = str(root["$ref"]).rsplit("/", 1)[-1]
    top = dict(components.pop(name))
    top.pop("title", None)
    return {**top, "$defs": components} if components else top


def bind(struct: type[msgspec.Struct], args: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments for the function. Raises msgspec.ValidationError."""
    bound = msgspec.convert(args, struct)
    known = {name: getattr(bound, name) for name in struct.__struct_fields__}
    return args | {name: value for name, value in known.items() if value is not msgspec.UNSET}
