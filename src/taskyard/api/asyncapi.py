"""The AsyncAPI 3.0 document: what is said over AMQP, events in and changes of tasks out.

Specification: https://www.asyncapi.com/docs/reference/specification/v3.0.0, AMQP bindings 0.3.0.
"""

from importlib.metadata import version
from typing import Any

from quart import Blueprint, Response

from taskyard.api.parts import Parts
from taskyard.api.render import respond
from taskyard.core.routing import RoutingTable
from taskyard.core.states import State
from taskyard.services.cloudevents import JSON, STRUCTURED

Json = dict[str, Any]

_BINDING = "0.3.0"
_TEXT: Json = {"type": "string", "minLength": 1}
_TIME: Json = {"type": "string", "format": "date-time"}
_ATTRIBUTES: Json = {
    "specversion": {"const": "1.0"},
    "id": {**_TEXT, "description": "Unique within its source; a repeat makes nothing new."},
    "source": {**_TEXT, "description": "Who publishes, a URI reference."},
    "type": {**_TEXT, "maxLength": 255, "description": "What rules match, words joined by dots."},
    "subject": _TEXT,
    "time": _TIME,
}
_REQUIRED = ["specversion", "id", "source", "type"]


def asyncapi_blueprint(parts: Parts) -> Blueprint:
    """Serve the document."""
    blueprint = Blueprint("asyncapi", __name__)

    @blueprint.get("/asyncapi.json")
    async def asyncapi() -> Response:
        return respond(document(parts.table, prefix=parts.prefix))

    return blueprint


def document(table: RoutingTable, *, prefix: str) -> Json:
    """Return the whole document for a deployment."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Taskyard",
            "version": version("taskyard"),
            "description": "CloudEvents 1.0 over AMQP 0-9-1: events that come in become tasks by "
            "the rules of this deployment, and every change of a task goes out.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": JSON,
        "channels": {"events": _events(table, prefix), "lifecycle": _lifecycle(table, prefix)},
        "operations": {
            "receiveEvent": _operation("receive", "events", "Take an event in, once."),
            "sendChange": _operation("send", "lifecycle", "Tell of a change of a task."),
        },
        "components": {"messages": _messages(), "schemas": _schemas()},
    }


def _events(table: RoutingTable, prefix: str) -> Json:
    patterns = sorted({rule.match for rule in table.events.rules})
    return {
        "address": "{type}",
        "title": "Events in",
        "description": "Publish with the event's type as routing key. Rules "
        f"match these types: {', '.join(patterns) or 'none yet'}. What none matches is parked.",
        "parameters": {"type": {"description": "The event's type.", "examples": patterns}},
        "messages": {
            name: {"$ref": f"#/components/messages/{name}"}
            for name in ("binaryEvent", "structuredEvent")
        },
        "bindings": _exchange(f"{prefix}.events"),
    }


def _lifecycle(table: RoutingTable, prefix: str) -> Json:
    pools = sorted({pattern for pool in table.pools.values() for pattern in pool.tasks})
    return {
        "address": "task.{type}.{state}",
        "title": "Changes of tasks out",
        "description": "Bind a queue of your own, with a topic pattern on the routing key.",
        "parameters": {
            "type": {"description": "The task type, words joined by dots.", "examples": pools},
            "state": {"description": "What the task became.", "enum": [*State]},
        },
        "messages": {"change": {"$ref": "#/components/messages/change"}},
        "bindings": _exchange(f"{prefix}.lifecycle"),
    }


def _exchange(name: str) -> Json:
    exchange = {"name": name, "type": "topic", "durable": True, "autoDelete": False}
    return {"amqp": {"is": "routingKey", "exchange": exchange, "bindingVersion": _BINDING}}


def _operation(action: str, channel: str, summary: str) -> Json:
    binding: Json = {"ack": True} if action == "receive" else {"deliveryMode": 2}
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "summary": summary,
        "bindings": {"amqp": {**binding, "bindingVersion": _BINDING}},
    }


def _messages() -> Json:
    return {
        "binaryEvent": {
            "summary": "Attributes as headers that begin with cloudEvents: or cloudEvents_.",
            "contentType": JSON,
            "headers": _headers("cloudEvents:"),
            "payload": {"description": "The event's data, any JSON; at most 1 MiB."},
        },
        "structuredEvent": {
            "summary": "The whole event as JSON, at most 1 MiB.",
            "contentType": STRUCTURED,
            "payload": {"$ref": "#/components/schemas/CloudEvent"},
        },
        "change": {
            "summary": "A change of a task, in binary mode; the type is the routing key.",
            "contentType": JSON,
            "headers": _headers("cloudEvents_"),
            "payload": {"$ref": "#/components/schemas/Change"},
        },
    }


def _headers(prefix: str) -> Json:
    return {
        "type": "object",
        "required": [prefix + name for name in _REQUIRED],
        "properties": {prefix + name: schema for name, schema in _ATTRIBUTES.items()},
    }


def _schemas() -> Json:
    count = {"type": "integer", "minimum": 0}
    return {
        "CloudEvent": {
            "type": "object",
            "required": _REQUIRED,
            "properties": {**_ATTRIBUTES, "datacontenttype": _TEXT, "data": {}},
        },
        "Change": {
            "type": "object",
            "required": ["id", "seq", "type", "pool", "state", "generation", "attempt", "at"],
            "properties": {
                "id": {"type": "string", "format": "uuid"},
                "seq": {**count, "description": "Numbers the changes of a task without a gap."},
                "type": _TEXT,
                "pool": _TEXT,
                "state": {"enum": [*State]},
                "generation": count,
                "attempt": count,
                "at": _TIME,
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
    }
