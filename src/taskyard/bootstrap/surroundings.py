"""What a process finds in its environment."""

import os
from collections.abc import Mapping

from taskyard.core.routing import RoutingTable
from taskyard.routing_files import read_routing
from taskyard.settings import Settings, load


def settings() -> Settings:
    """Return the settings of this process. Raises InvalidSettings with every fault."""
    return load(os.environ)


def routing(given: Settings) -> RoutingTable:
    """Return the routing table of this deployment. Raises InvalidRouting with every fault."""
    return read_routing(given.routing)


def stack_settings() -> tuple[Settings, dict[str, str]]:
    """Return the settings for a stack on private servers, and which URLs were given after all.

    Raises InvalidSettings: everything is checked before anything starts.
    """
    urls = ("TASKYARD_DATABASE_URL", "TASKYARD_AMQP_URL")
    given = {name: os.environ[name] for name in urls if name in os.environ}
    private = {
        "TASKYARD_DATABASE_URL": "postgresql://private@127.0.0.1/private",
        "TASKYARD_AMQP_URL": "amqp://private@127.0.0.1/private",
    }
    return load({**private, **os.environ}), given


def child_environment(defaults: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for the roles of a stack: ours, over some defaults."""
    return {**defaults, **os.environ}
