"""core/errors: the tree of errors."""

import inspect
from collections.abc import Iterator

from taskyard.core import errors
from taskyard.core.errors import TaskyardError


def tree(kind: type[TaskyardError] = TaskyardError) -> Iterator[type[TaskyardError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__.startswith(f"{errors.__name__}."):
            yield from tree(child)


def test_every_error_has_a_code_of_its_own_and_stands_in_the_picture() -> None:
    """The module's docstring draws the whole tree."""
    kinds = list(tree())
    assert len({kind.code for kind in kinds}) == len(kinds)
    for kind in kinds:
        assert kind.__name__ in (errors.__doc__ or "")
        assert inspect.getdoc(kind)
        assert getattr(errors, kind.__name__) is kind
    for leaf in (kind for kind in kinds if not kind.__subclasses__()):
        assert leaf.code in (errors.__doc__ or "")
