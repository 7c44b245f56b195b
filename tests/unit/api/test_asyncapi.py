"""api/asyncapi.py: the document is AsyncAPI 3.0, and true of the broker and the reader.

The JSON Schema of AsyncAPI comes with no package of Python, so the structure is held against the
specification's own rules here: required and known fields of each object, and every reference.
"""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from taskyard.api.asyncapi import document
from taskyard.broker.topology import desired
from taskyard.services.cloudevents import STRUCTURED, Delivery, amqp_attributes, read
from tests.events import THUMBNAILS, event, headers, table

TABLE = table(THUMBNAILS)
DOCUMENT = document(TABLE, prefix="t")

# Specification 3.0.0: the fields that an object must have, and those that it may have.
OBJECTS: list[tuple[str, set[str], set[str]]] = [
    ("/", {"asyncapi", "info"}, {"id", "servers", "defaultContentType", "channels", "operations",
                                 "components"}),
    ("/info", {"title", "version"}, {"description", "termsOfService", "contact", "license", "tags",
                                     "externalDocs"}),
    ("/info/license", {"name"}, {"url"}),
    ("/channels/*", set(), {"address", "messages", "title", "summary", "description", "servers",
                            "parameters", "tags", "externalDocs", "bindings"}),
    ("/channels/*/parameters/*", set(), {"enum", "default", "description", "examples", "location"}),
    ("/channels/*/bindings", set(), {"amqp"}),
    ("/channels/*/bindings/amqp", {"is"}, {"exchange", "queue", "bindingVersion"}),
    ("/channels/*/bindings/amqp/exchange", {"name", "type"}, {"durable", "autoDelete", "vhost"}),
    ("/operations/*", {"action", "channel"}, {"title", "summary", "description", "security", "tags",
                                              "externalDocs", "bindings", "traits", "messages",
                                              "reply"}),
    ("/operations/*/bindings/amqp", set(), {"expiration", "userId", "cc", "priority",
                                            "deliveryMode", "mandatory", "bcc", "timestamp", "ack",
                                            "bindingVersion"}),
    ("/components", set(), {"schemas", "messages"}),
    ("/components/messages/*", set(), {"headers", "payload", "correlationId", "contentType", "name",
                                       "title", "summary", "description", "tags", "externalDocs",
                                       "bindings", "examples", "traits"}),
]  # fmt: skip


def at(path: str, node: Any = DOCUMENT) -> Iterator[Any]:
    """Every object at a path in which * stands for each of its members."""
    if path in ("", "/"):
        yield node
        return
    head, _, rest = path[1:].partition("/")
    for child in node.values() if head == "*" else [node[head]] if head in node else []:
        yield from at(f"/{rest}" if rest else "", child)


@pytest.mark.parametrize(("path", "required", "allowed"), OBJECTS)
def test_each_object_has_the_fields_of_the_specification(
    path: str, required: set[str], allowed: set[str]
) -> None:
    """All that it must have, and none that nobody knows."""
    found = list(at(path))
    assert found
    for each in found:
        assert required <= each.keys() <= required | allowed


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
