"""Which methods an address has: said by Allow, of that very address.

Werkzeug adds those of every rule that could match: `/v1/tasks/batch` could be a task's id as well.
"""

from collections.abc import Iterable

from quart import Quart, Response, request
from werkzeug.exceptions import HTTPException


def register_options(app: Quart) -> None:
    """Answer OPTIONS with the methods of the rule itself."""

    @app.before_request
    async def options() -> Response | None:
        if request.method != "OPTIONS" or request.url_rule is None:
            return None
        return Response(status=204, headers={"Allow": allow(app, [request.url_rule.rule])})


def allow_of(app: Quart, path: str, methods: Iterable[str]) -> str:
    """Return the Allow header of a path, of which some rules have these methods."""
    adapter, rules = app.url_map.bind(""), set()
    for method in methods:
        try:
            rules.add(adapter.match(path, method=method, return_rule=True)[0].rule)
        except HTTPException:
            continue  # another rule, which this method would redirect to or not find
    literal = [rule for rule in rules if "<" not in rule]
    return allow(app, literal or rules)


def allow(app: Quart, rules: Iterable[str]) -> str:
    """Return the methods of these rules for the Allow header (RFC 9110, section 10.2.1)."""
    wanted = set(rules)
    found = {
        m for rule in app.url_map.iter_rules() if rule.rule in wanted for m in rule.methods or ()
    }
    return ", ".join(sorted(found | {"OPTIONS"}))
