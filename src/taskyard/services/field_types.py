"""Fields as OpenAPI describes them.

The patterns are documentation: what they say is checked where it is used, in better sentences than
"does not match". A test holds both against each other with what Schemathesis makes of them.
"""

from typing import Annotated

from msgspec import Meta

from taskyard.core.routing import HIGHEST_PRIORITY, LOWEST_PRIORITY

TypeName = Annotated[
    str,
    Meta(
        extra_json_schema={
            "pattern": r"^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$",
            "maxLength": 200,
            "examples": ["image.thumbnail"],
        }
    ),
]
Priority = Annotated[
    int, Meta(extra_json_schema={"minimum": LOWEST_PRIORITY, "maximum": HIGHEST_PRIORITY})
]
Duration = Annotated[
    str,
    Meta(
        extra_json_schema={
            "pattern": r"^([0-9]{1,9}(\.[0-9]{1,3})?(ms|s|m|h|d))+$",
            "examples": ["90s", "1h30m"],
        }
    ),
]
TopicPattern = Annotated[
    str,
    Meta(
        extra_json_schema={
            "pattern": r"^([*#]|[^\u0000.*#]+)(\.([*#]|[^\u0000.*#]+))*$",
            "maxLength": 255,
            "examples": ["image.*", "upload.#"],
        }
    ),
]
Url = Annotated[str, Meta(extra_json_schema={"format": "uri", "minLength": 1, "maxLength": 2048})]
