"""api/asyncapi.py: the document is AsyncAPI 3.0, and true of the broker and the reader."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from taskyard.api.asyncapi import document
from taskyard.broker.topology import desired
from taskyard.core.routing import RoutingTable
from taskyard.routing_files import read_routing
from taskyard.services.cloudevents import STRUCTURED, Delivery, amqp_attributes, read
from tests.events import THUMBNAILS, event, headers, table

ROOT = Path(__file__).parents[3]
PUBLISHED = ROOT / "tests" / "vendor" / "asyncapi" / "schema-3.0.0.json"
TABLE = table(THUMBNAILS)
DOCUMENT = document(TABLE, prefix="t")

Json = dict[str, Any]


@pytest.fixture(scope="module")
def published() -> jsonschema.Draft7Validator:
    """The JSON Schema that the authors of AsyncAPI publish."""
    return jsonschema.Draft7Validator(json.loads(PUBLISHED.read_text()))


@pytest.mark.parametrize(
    "given",
    [
        TABLE,
        table(),
        read_routing(ROOT / "routing"),
        read_routing(ROOT / "tests" / "deployment" / "routing"),
    ],
    ids=["one rule", "no rules", "the deployment", "that of the tests"],
)
def test_the_document_fits_the_published_schema(
    given: RoutingTable, published: jsonschema.Draft7Validator
) -> None:
    """Whatever the rules are."""
    published.validate(document(given, prefix="t"))


def _put(path: str, value: Any) -> Callable[[Json], None]:
    def damage(broken: Json) -> None:
        *parents, last = path.split("/")
        for name in parents:
            broken = broken[name]
        broken[last] = value

    return damage


@pytest.mark.parametrize(
    "damage",
    [
        lambda broken: broken.pop("info"),
        _put("asyncapi", "2.6.0"),
        _put("channels/events/adress", "x"),
        _put("channels/events/parameters/type/schema", {}),
        _put("channels/lifecycle/bindings/amqp/is", "topic"),
        _put("channels/lifecycle/bindings/amqp/exchange/type", "pubsub"),
        _put("operations/receiveEvent/action", "publish"),
        _put("operations/sendChange/bindings/amqp/deliveryMode", 3),
        _put("components/messages/change/body", {}),
        _put("components/schemas/Change/type", "objct"),
    ],
)
def test_a_damaged_document_does_not_fit(
    damage: Callable[[Json], None], published: jsonschema.Draft7Validator
) -> None:
    """The schema is strict, down to the bindings and the schemas of messages."""
    broken = deepcopy(DOCUMENT)
    damage(broken)

    assert not published.is_valid(broken)


def at(path: str, node: Any = DOCUMENT) -> Iterator[Any]:
    """Every object at a path in which * stands for each of its members."""
    if path in ("", "/"):
        yield node
        return
    head, _, rest = path[1:].partition("/")
    for child in node.values() if head == "*" else [node[head]] if head in node else []:
        yield from at(f"/{rest}" if rest else "", child)


def test_every_reference_leads_somewhere() -> None:
    """Of channels, messages and schemas."""

    def references(node: Any) -> Iterator[str]:
        if isinstance(node, dict):
            yield from [node["$ref"]] if "$ref" in node else []
            for child in node.values():
                yield from references(child)

    found = set(references(DOCUMENT))
    assert len(found) >= 5
    assert all(len(list(at(reference.removeprefix("#")))) == 1 for reference in found)


def test_actions_parameters_and_addresses_agree() -> None:
    """Each parameter stands in its address, and each operation names a channel."""
    assert {each["action"] for each in at("/operations/*")} == {"send", "receive"}
    for channel in at("/channels/*"):
        for name in channel["parameters"]:
            assert f"{{{name}}}" in channel["address"]
        assert channel["address"].count("{") == len(channel["parameters"])


def test_the_exchanges_are_those_of_the_topology() -> None:
    """Their names and types, as `taskyard topology apply` makes them."""
    made = {(each.name, each.type) for each in desired(TABLE, prefix="t", version=(4, 3)).exchanges}
    said = {(e["name"], e["type"]) for e in at("/channels/*/bindings/amqp/exchange")}
    assert said == {("t.events", "topic"), ("t.lifecycle", "topic")}
    assert said <= made


def test_what_the_document_describes_is_what_is_read() -> None:
    """An event that fits its schemas is taken, in both modes; without an attribute it is not."""
    given = event(1)
    schema = {**DOCUMENT["components"]["schemas"]["CloudEvent"]}
    spelt = DOCUMENT["components"]["messages"]["binaryEvent"]["headers"]
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(given, schema)
    jsonschema.validate(headers(given), spelt)
    body = json.dumps(given).encode()
    assert read(Delivery(body=body, content_type=STRUCTURED)).id == "e1"
    assert read(Delivery(body=b"", attributes=amqp_attributes(headers(given)))).id == "e1"
    for name in schema["required"]:
        without = {key: value for key, value in given.items() if key != name}
        assert not jsonschema.Draft7Validator(schema).is_valid(without)
        assert not jsonschema.Draft7Validator(spelt).is_valid(headers(without))
